"""Finding what a person means: a pipeline by name, FQN or id; a service by its FQN."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

from minisched.cli.server import PIPELINES, Server
from minisched.domain.errors import Conflict, EntityNotFound, NotFound, PipelineNotFound

Document = dict[str, Any]

_PAGE = 1000
# Where the catalog keeps each type of service (contract §4.5); a test suite is one as far as pipelines are concerned.
SERVICE_PATHS = {
    f"{kind}Service": f"/api/v1/services/{kind}Services"
    for kind in (
        "database",
        "messaging",
        "dashboard",
        "pipeline",
        "mlmodel",
        "metadata",
        "storage",
        "search",
        "api",
        "drive",
        "security",
        "mcp",
    )
} | {"testSuite": "/api/v1/dataQuality/testSuites"}


class AmbiguousName(Conflict):
    """More than one pipeline has this name."""


def is_id(text: str) -> bool:
    """True for a UUID in its usual form."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def all_pipelines(server: Server, **filters: str | None) -> Iterator[Document]:
    """Every pipeline that matches, page by page."""
    params: dict[str, Any] = {key: value for key, value in filters.items() if value} | {"limit": _PAGE}
    while True:
        page = server.get(PIPELINES, params)
        yield from page["data"]
        after = page.get("paging", {}).get("after")
        if not after:
            return
        params["after"] = after


def find_pipeline(server: Server, name: str, *, fields: str | None = None, deleted_too: bool = False) -> Document:
    """The pipeline with this id, FQN or unambiguous name. Raises PipelineNotFound, AmbiguousName.

    With `deleted_too` those that are hidden are looked at when no other has the name.
    """
    try:
        return _find_pipeline(server, name, fields=fields)
    except PipelineNotFound:
        if not deleted_too:
            raise
        return _find_pipeline(server, name, fields=fields, include="all")


def _find_pipeline(server: Server, name: str, **filters: str | None) -> Document:
    params = {key: value for key, value in filters.items() if value}
    paths = [f"{PIPELINES}/{name}"] if is_id(name) else []
    if "." in name:
        paths.append(f"{PIPELINES}/name/{quote(name, safe='')}")
    for path in paths:
        try:
            found: Document = server.get(path, params)
        except NotFound:
            continue
        return found
    listed = list(all_pipelines(server, **filters))
    return _only(name, [pipeline for pipeline in listed if pipeline["name"] == name], listed)


def _only(name: str, matches: list[Document], listed: list[Document]) -> Document:
    if len(matches) == 1:
        return matches[0]
    if matches:
        fqns = ", ".join(sorted(str(match["fullyQualifiedName"]) for match in matches))
        raise AmbiguousName(f"{len(matches)} pipelines are called {name}.", hint=f"Say which: {fqns}.")
    raise PipelineNotFound(f"there is no pipeline {name}.", hint=_nearest(name, listed))


def _nearest(name: str, listed: list[Document]) -> str:
    near = difflib.get_close_matches(name, [str(pipeline["name"]) for pipeline in listed], n=3)
    return (
        f"Did you mean {' or '.join(near)}?"
        if near
        else "`minisched pipeline list` shows all, `minisched deployment list` what OpenMetadata deployed."
    )


def pipeline_key(server: Server, name: str) -> str:
    """The id of the pipeline with this id, FQN or name; the name itself when there is no entity of it.

    The server's own routes know what is deployed by id, FQN and name, with an entity here or without.
    """
    try:
        return str(find_pipeline(server, name)["id"])
    except NotFound:
        return name


def service_reference(server: Server, service: Any) -> Any:
    """The EntityReference of a service given by FQN alone, by name with a type, or in full already.

    Raises EntityNotFound when the catalog has none by that name.
    """
    if isinstance(service, str):
        return _look_up(server, service, tuple(SERVICE_PATHS))
    if not isinstance(service, dict) or service.get("id"):
        return service
    fqn = service.get("fullyQualifiedName") or service.get("name")
    if not fqn:
        return service
    service_type = service.get("type")
    return _look_up(server, str(fqn), (service_type,) if service_type in SERVICE_PATHS else tuple(SERVICE_PATHS))


def _look_up(server: Server, fqn: str, service_types: tuple[str, ...]) -> Document:
    for service_type in service_types:
        try:
            entity = server.get(f"{SERVICE_PATHS[service_type]}/name/{quote(fqn, safe='')}")
        except NotFound:
            continue
        return {"id": entity["id"], "type": service_type}
    raise EntityNotFound(
        f"there is no service {fqn}.",
        field="service",
        hint="Create it first, or name it by its fully qualified name.",
    )
