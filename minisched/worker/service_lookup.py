"""Asking OpenMetadata for the service of a pipeline: its type is not in the pipeline, its connection may be needed."""

from __future__ import annotations

import importlib
from typing import Any
from urllib.parse import quote

from .models import parse

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


class ServiceUnavailable(Exception):
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
        raise ServiceUnavailable(_explain(error, reference, name, host)) from error
    if not isinstance(service, dict) or not service.get("serviceType"):
        raise ServiceUnavailable("OpenMetadata at {} gave no answer that describes the service {}".format(host, name))
    return service


def _client(connection: dict[str, Any]) -> Any:
    """The package's own REST client: it knows the tokens, proxies and certificates of the connection."""
    schema = importlib.import_module(
        "metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection"
    )
    api = importlib.import_module("metadata.ingestion.ometa.ometa_api")
    # The workflow checks the versions itself; here it would only cost a call.
    quiet = dict(connection, enableVersionValidation=False)
    return api.OpenMetadata(parse(schema.OpenMetadataConnection, quiet)).client


def _explain(error: Exception, reference: dict[str, Any], name: str, host: str) -> str:
    status = _status_of(error)
    if status == 401:
        return (
            "the bot token was rejected by OpenMetadata at {} (401): deploy the pipeline again so that it gets the "
            "current token, or correct openmetadata.jwt_token in the settings".format(host)
        )
    if status == 403:
        return "the bot may not read the {} {} of OpenMetadata at {} (403)".format(reference.get("type"), name, host)
    if status == 404:
        return "there is no {} named {} in OpenMetadata at {} (404)".format(reference.get("type"), name, host)
    return "cannot read the {} {} from OpenMetadata at {}: {}: {}".format(
        reference.get("type"), name, host, type(error).__name__, error
    )


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status else None
