"""Asking OpenMetadata for the service of a pipeline: its type is not in the pipeline, its connection may be needed."""

from __future__ import annotations

import importlib
from typing import Any
from urllib.parse import quote

from . import models
from .errors import CannotRun

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
    """The service as JSON, by its reference. Raises ServiceUnavailable."""
    collection = collection_of(str(reference.get("type")))
    name = str(reference.get("fullyQualifiedName") or reference.get("name") or "")
    host = str(connection.get("hostPort"))
    path = "/services/{}/name/{}".format(collection, quote(name, safe=""))
    try:
        service = _client(connection).get(path)
    except Exception as error:
        message, hint = _explain(error, "{} {}".format(reference.get("type"), name), host)
        raise ServiceUnavailable(message, hint) from error
    if not isinstance(service, dict) or not service.get("serviceType"):
        raise ServiceUnavailable("OpenMetadata at {} gave no answer that describes the service {}".format(host, name))
    return service


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
    if type(error).__name__ == "RestTransportError" or isinstance(error, OSError):
        reason = getattr(error, "cause", error)
        return (
            "OpenMetadata at {} cannot be reached: {}".format(host, reason),
            "Check openMetadataServerConnection.hostPort, and that this machine can reach it.",
        )
    return (
        "cannot read the {} from OpenMetadata at {}: {}: {}".format(service, host, type(error).__name__, error),
        "Check openMetadataServerConnection of the pipeline.",
    )


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status else None
