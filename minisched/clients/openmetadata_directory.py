"""Looks up services, owners and the like at the OpenMetadata server of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import httpx

from minisched.clients.openmetadata_http import Timeouts, checked, document_of, openmetadata_client
from minisched.domain.errors import EntityNotFound
from minisched.domain.pipeline import Document
from minisched.ports import EntityRef

_TOLD = ("displayName", "description", "deleted", "href")
_COLLECTIONS = {"testSuite": "dataQuality/testSuites", "testCase": "dataQuality/testCases"}


class OpenMetadataDirectory:
    """Implements `ports.EntityDirectory`; asks each time, so what it answers is as fresh as the server."""

    def __init__(self, connection: Document, timeouts: Timeouts) -> None:
        self._connection = connection
        self._timeouts = timeouts

    def resolve(self, entity_type: str, entity_id: str, *, fields: Sequence[str] = ()) -> EntityRef:
        return self._look_up(entity_type, quote(entity_id, safe=""), entity_id, fields)

    def resolve_by_name(self, entity_type: str, fqn: str, *, fields: Sequence[str] = ()) -> EntityRef:
        return self._look_up(entity_type, f"name/{quote(fqn, safe='')}", fqn, fields)

    def _look_up(self, entity_type: str, path: str, asked: str, fields: Sequence[str]) -> EntityRef:
        with openmetadata_client(self._connection, self._timeouts) as client:
            try:
                found = document_of(checked(_answer(client, f"/v1/{_collection(entity_type)}/{path}", fields)))
            except EntityNotFound:
                found = None
        if not found:
            raise EntityNotFound(f"{entity_type} instance for {asked} not found")
        name = str(found.get("name") or asked)
        fqn = str(found.get("fullyQualifiedName") or name)
        extra: Document = {key: found[key] for key in (*_TOLD, *fields) if key in found}
        return EntityRef(id=str(found["id"]), type=entity_type, name=name, fully_qualified_name=fqn, extra=extra)


def _answer(client: httpx.Client, path: str, fields: Sequence[str]) -> httpx.Response:
    """The entity with these fields; without any, where an older server does not know one of them."""
    answer = client.get(path, params={"fields": ",".join(fields)} if fields else {})
    return client.get(path) if fields and answer.status_code == httpx.codes.BAD_REQUEST else answer


def _collection(entity_type: str) -> str:
    """The path of a type's collection: plural, and below /services for services."""
    plural = _COLLECTIONS.get(entity_type, f"{entity_type}s")
    return f"services/{plural}" if entity_type.endswith("Service") else plural
