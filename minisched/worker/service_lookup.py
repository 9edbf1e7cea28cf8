"""Asking OpenMetadata for the service of a pipeline: its type is not in the pipeline, its connection may be needed."""

from __future__ import annotations

import importlib
import time
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from . import models
from .errors import CannotRun
from .run_log import say

# A server that restarts, or a proxy whose server does, is there again within seconds.
PATIENCE_S = 15.0
_PAUSE_S = 0.5
_RESTARTING = frozenset({502, 503, 504})

_COLLECTIONS = {
    kind + "Service": kind + "Services"
    for kind in (
        "api",
        "dashboard",
        "database",
        "drive",
        "mcp",
        "messaging",
        "metadata",
        "mlmodel",
        "pipeline",
        "search",
        "security",
        "storage",
    )
}


class ServiceUnavailable(CannotRun):
    """OpenMetadata does not give us the service; the message says what to do."""


def collection_of(service_type: str) -> str:
    """The REST collection of an entity type. Raises ServiceUnavailable for what is no service."""
    if service_type not in _COLLECTIONS:
        raise ServiceUnavailable("service.type {!r} is not a kind of service".format(service_type))
    return _COLLECTIONS[service_type]


def fetch_service(connection: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """The service as JSON, by its reference; a server that does not answer is asked again for PATIENCE_S.

    Raises ServiceUnavailable.
    """
    collection = collection_of(str(reference.get("type")))
    name = str(reference.get("fullyQualifiedName") or reference.get("name") or "")
    host = str(connection.get("hostPort"))
    path = "/services/{}/name/{}".format(collection, quote(name, safe=""))
    try:
        service = _get(_client(connection), path, host)
    except Exception as error:
        message, hint = _explain(error, "{} {}".format(reference.get("type"), name), host)
        raise ServiceUnavailable(message, hint) from error
    if not isinstance(service, dict) or not service.get("serviceType"):
        raise ServiceUnavailable("OpenMetadata at {} gave no answer that describes the service {}".format(host, name))
    return service


def _get(client: Any, path: str, host: str) -> Any:
    """The first answer. Raises whatever the package's client does."""
    give_up = time.monotonic() + PATIENCE_S
    told = False
    while True:
        try:
            return client.get(path)
        except Exception as error:
            if not _may_pass(error) or time.monotonic() >= give_up:
                raise
            if not told:
                say("OpenMetadata at %s does not answer; it is asked again for %d s: %s", host, PATIENCE_S, error)
                told = True
        time.sleep(_PAUSE_S)


def _may_pass(error: Exception) -> bool:
    return _status_of(error) in _RESTARTING or _is_of_transport(error)


def _client(connection: dict[str, Any]) -> Any:
    """The package's own REST client: it knows the tokens, proxies and certificates of the connection."""
    api = importlib.import_module("metadata.ingestion.ometa.ometa_api")
    # The workflow checks the versions itself; here it would only cost a call.
    quiet = models.known_connection(dict(connection, enableVersionValidation=False))
    return api.OpenMetadata(models.parse(models.server_connection_model(), quiet)).client


def _explain(error: Exception, service: str, host: str) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    status = _status_of(error)
    if status == 401:
        return (
            "the bot token was rejected by OpenMetadata at {} (401)".format(host),
            "Deploy the pipeline again so that it gets the current token, or correct openmetadata.jwt_token.",
        )
    if status == 403:
        return (
            "the bot may not read the {} of OpenMetadata at {} (403)".format(service, host),
            "Give the bot a role that allows it.",
        )
    if status == 404:
        return (
            "there is no {} in OpenMetadata at {} (404)".format(service, host),
            "Create the service in OpenMetadata, or correct the pipeline's service.",
        )
    if _is_of_transport(error):
        reason = getattr(error, "cause", error)
        return (
            "OpenMetadata at {} cannot be reached: {}".format(host, reason),
            "Check openMetadataServerConnection.hostPort, and that this machine can reach it.",
        )
    return (
        "cannot read the {} from OpenMetadata at {}: {}: {}".format(service, host, type(error).__name__, error),
        "Check openMetadataServerConnection of the pipeline.",
    )


def _is_of_transport(error: Exception) -> bool:
    """Whether there was no answer, or not the whole of one. Errors of `requests` that carry one are OSErrors too."""
    if _status_of(error) is not None:
        return False
    return type(error).__name__ == "RestTransportError" or isinstance(error, (OSError, HTTPException))


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status else None
