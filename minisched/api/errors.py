"""The one translation of errors into answers: OpenMetadata's shape `{"code": …, "message": …}` (contract §3.17)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ExceptionHandlersMap

from minisched.domain.errors import (
    ConfigurationError,
    Conflict,
    EntityExists,
    Forbidden,
    InvalidInput,
    MinischedError,
    NotFound,
    OrchestratorError,
    OrchestratorUnavailable,
    PreconditionFailed,
    StoreUnavailable,
    TooManyFailures,
    Unauthenticated,
)
from minisched.domain.pipeline import Document
from minisched.operations.editing import DeploymentFailed

_log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]

_RETRY_AFTER_S = "5"


class TooManyStreams(MinischedError):
    """Too many log streams are open; close one or read the log by offset."""


# The first class that an error is an instance of decides.
_STATUS: tuple[tuple[type[MinischedError], int, str | None], ...] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, None),
    (Forbidden, HTTPStatus.FORBIDDEN, None),
    (TooManyFailures, HTTPStatus.TOO_MANY_REQUESTS, None),
    (InvalidInput, HTTPStatus.BAD_REQUEST, None),
    (NotFound, HTTPStatus.NOT_FOUND, None),
    (Conflict, HTTPStatus.CONFLICT, None),
    (PreconditionFailed, HTTPStatus.PRECONDITION_FAILED, None),
    (DeploymentFailed, HTTPStatus.BAD_REQUEST, "DEPLOYMENT_ERROR"),
    (OrchestratorUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "PIPELINE_SERVICE_ERROR"),
    (OrchestratorError, HTTPStatus.BAD_REQUEST, "PIPELINE_SERVICE_ERROR"),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, None),
    (ConfigurationError, HTTPStatus.SERVICE_UNAVAILABLE, None),
    (TooManyStreams, HTTPStatus.TOO_MANY_REQUESTS, None),
)
_TO_BE_RETRIED = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


def error_body(code: int, message: str, error_type: str | None = None) -> Document:
    body: Document = {"code": int(code), "message": message}
    return body if error_type is None else {"code": body["code"], "errorType": error_type, "message": message}


def error_response(
    code: int, message: str, *, error_type: str | None = None, headers: dict[str, str] | None = None
) -> Response[Document]:
    body = error_body(code, message, error_type)
    return Response(body, status_code=int(code), media_type=MediaType.JSON, headers=headers)


def translated(request: AnyRequest, error: MinischedError) -> Response[Document]:
    """An error that we raised on purpose: its own words, which never hold a secret."""
    for kind, code, error_type in _STATUS:
        if isinstance(error, kind):
            return error_response(code, _message(error), error_type=error_type, headers=_headers(request, code))
    return _unexpected(request, error)


def _headers(request: AnyRequest, code: int) -> dict[str, str] | None:
    if code in _TO_BE_RETRIED:
        return {"Retry-After": _RETRY_AFTER_S}
    if code == HTTPStatus.UNAUTHORIZED:
        # A browser asks its user for a password when it is told Basic, which only a page that it opens should do.
        opened = request.headers.get("sec-fetch-mode") == "navigate"
        return {"WWW-Authenticate": 'Basic realm="minisched", charset="UTF-8"' if opened else "om-auth"}
    return None


def _message(error: MinischedError) -> str:
    return "Entity already exists" if isinstance(error, EntityExists) else str(error)


def _http(request: AnyRequest, error: HTTPException) -> Response[Document]:
    """An error that the framework found before a handler did."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and not _disconnected(error):
        return _unexpected(request, error)
    code = HTTPStatus.BAD_REQUEST if _disconnected(error) else error.status_code
    headers = dict(error.headers or {})
    return error_response(code, _http_message(request, error), headers=headers)


def _disconnected(error: HTTPException) -> bool:
    return isinstance(error, InternalServerException) and "disconnected" in str(error.detail)


def _http_message(request: AnyRequest, error: HTTPException) -> str:
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return f"There is nothing at {request.scope['path'][:512]}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.method} is not allowed at {request.scope['path'][:512]}"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return "The request body is too large."
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        return "; ".join(_parameter_problem(request, problem) for problem in error.extra)
    return str(error.detail)


def _parameter_problem(request: AnyRequest, problem: Any) -> str:
    """`limit: Expected `int`, got `str``: names the parameter, and its value only where it is one of a few words."""
    if not isinstance(problem, dict):
        return "Invalid parameter"
    return f"{_wire_name(request, str(problem.get('key', '')))}: {problem.get('message', 'is invalid')}"


def _wire_name(request: AnyRequest, parameter: str) -> str:
    """The name by which callers know a handler's parameter: `sortOrder` for `sort_order`."""
    handler = request.scope.get("route_handler")
    known = handler.parsed_fn_signature.parameters.get(parameter) if handler is not None else None
    return str(getattr(known and known.kwarg_definition, "name", None) or parameter)


def _unexpected(request: AnyRequest, error: Exception) -> Response[Document]:
    """A mistake of ours: said once in the log, with the traceback, and not at all to the caller."""
    template = request.scope.get("path_template", request.scope["path"])
    _log.error("http.unexpected", method=request.method, path=template, exc_info=error)
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "An unexpected problem occurred; the server's log has it.")


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    MinischedError: translated,
    HTTPException: _http,
    Exception: _unexpected,
}
