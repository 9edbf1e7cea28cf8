"""Errors in the plugin's shape `{"error": text}`, with codes that OpenMetadata's Java client has names for (§1.6)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from litestar import Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from minisched.api.errors import AnyRequest
from minisched.domain.errors import (
    Conflict,
    InvalidInput,
    MinischedError,
    NameCollision,
    NotFound,
    OrchestratorRejected,
    OrchestratorUnavailable,
    StoreUnavailable,
)

_log = structlog.get_logger(__name__)

# The first class that an error is an instance of decides; whatever is not named is 500.
_STATUS: tuple[tuple[type[MinischedError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NameCollision, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (OrchestratorRejected, HTTPStatus.BAD_REQUEST),
    (OrchestratorUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
# A 400 with these words makes the Java client send the request again.
_RETRY_WORDS = "CSRF token"


def answered(code: int, body: Any, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(body, status_code=int(code), media_type=MediaType.JSON, headers=headers)


def failed(code: int, text: str, headers: dict[str, str] | None = None) -> Response[Any]:
    return answered(code, {"error": text.replace(_RETRY_WORDS, "CSRF-token")}, headers)


def translated(error: MinischedError) -> Response[Any]:
    """Its own words: people see this text as it is."""
    code = next((code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return failed(code, str(error))


def _http(_: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the framework refuses before the dialect sees it: bodies that are too large or that end early."""
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return failed(HTTPStatus.BAD_REQUEST, "The request body is too large (server.max_body_mb).")
    return failed(HTTPStatus.BAD_REQUEST, str(error.detail))


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    """A mistake of ours: said once in the log, with the traceback, and not at all to the caller."""
    _log.error("http.unexpected", method=request.method, path=request.scope["path"], exc_info=error)
    return failed(HTTPStatus.INTERNAL_SERVER_ERROR, "An unexpected problem occurred; minisched's log has it.")


EXCEPTION_HANDLERS: ExceptionHandlersMap = {HTTPException: _http, Exception: _unexpected}
