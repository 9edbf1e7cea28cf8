"""Every route says what it needs of its callers; one guard before all of them lets in or turns away (pitfall L1).

Whether somebody is let in depends on the route that will answer, never on how its path is spelled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import structlog
from litestar import Request, Response
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import AfterRequestHookHandler, Guard

from minisched.acting import Action, acting
from minisched.domain.access import ACCESS, ANYBODY, BY_ITSELF, Permission, Principal, Role, least_role
from minisched.domain.errors import Forbidden, StoreUnavailable, TooManyFailures
from minisched.ports import AuditTrail, Authenticator

_log = structlog.get_logger(__name__)

Needs = Mapping[str, Permission | str]

READ: Needs = {ACCESS: Permission.READ}
OPERATE: Needs = {ACCESS: Permission.OPERATE}
REPORT: Needs = {ACCESS: Permission.REPORT}
DECLARE: Needs = {ACCESS: Permission.DECLARE}
CHANGE: Needs = {ACCESS: Permission.CHANGE}
OPEN: Needs = {ACCESS: ANYBODY}
OWN_ACCOUNT: Needs = {ACCESS: BY_ITSELF}

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_REQUEST = 2000

# How long a stream goes on after its reader may not read any more.
_CHECKED_AGAIN_S = 5.0

_STRANGERS_AT_ONCE = 4
_MOST_WAITING = 64

T = TypeVar("T")

AnyConnection = ASGIConnection[Any, Any, Any, Any]


def guard_of(authenticator: Authenticator) -> Guard:
    """The guard of an application. It raises Unauthenticated, TooManyFailures and Forbidden."""

    strangers = anyio.CapacityLimiter(_STRANGERS_AT_ONCE)

    async def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
        acting.set(None)  # what an earlier request of the same connection did is over
        needed = handler.opt.get(ACCESS)
        if needed in (ANYBODY, BY_ITSELF):
            return
        principal = await _identified(authenticator, connection, strangers)
        connection.scope["user"] = principal
        method = str(connection.scope.get("method"))
        permission = _permission(needed, method)
        require(principal, permission)
        if method not in _SAFE_METHODS:
            # What a workflow reports is no change; should it touch more than that, it is.
            quiet = principal.role is Role.BOT and permission is Permission.REPORT
            operation = handler.name or handler.handler_name.rpartition(".")[2]
            acting.set(Action(principal, operation, request_line(connection), peer_of(connection), quiet=quiet))

    return guard


class Admission:
    """That a caller was let in. An answer that goes on for long asks again: tokens are revoked, and expire."""

    def __init__(self, authenticator: Authenticator, request: Request[Any, Any, Any]) -> None:
        self._authenticator = authenticator
        self._authorization = request.headers.get("authorization")
        self._peer = peer_of(request)
        self._permission = _permission(request.route_handler.opt.get(ACCESS), request.method)
        self._checked_at = time.monotonic()

    def lasting(self, look: Callable[[], T]) -> Callable[[], T]:
        """`look` for as long as the caller is let in; then it raises Unauthenticated or Forbidden."""

        def look_if_let_in() -> T:
            if time.monotonic() - self._checked_at >= _CHECKED_AGAIN_S:
                require(self._authenticator.identify(self._authorization, self._peer), self._permission)
                self._checked_at = time.monotonic()
            return look()

        return look_if_let_in


def witness_of(trail: AuditTrail) -> AfterRequestHookHandler:
    """What was asked for and done, but changed nothing in our database, gets its row when it is answered."""

    async def witness(response: Response[Any]) -> Response[Any]:
        action = acting.get()
        # What is done in the background is written down there, if it is done.
        is_done = (response.status_code or 200) < 400 and response.background is None
        if action is not None and is_done and action.unrecorded():
            await sync_to_thread(note, trail, action)
        return response

    return witness


def note(trail: AuditTrail, action: Action) -> None:
    """It is done, whether or not it can be written down."""
    try:
        trail.note(action)
    except StoreUnavailable as error:
        _log.error("audit.not_written", user=action.principal.name, request=action.request, error=str(error))


def require(principal: Principal, permission: Permission | None) -> None:
    """Raises Forbidden unless the caller has this permission; None is one that nobody has."""
    if permission is None:
        raise Forbidden("Nobody may do this.")
    if not principal.may(permission):
        name = f"Principal: CatalogPrincipal{{name='{principal.name}'}}"
        raise Forbidden(
            f"{name} operations [{permission.capitalize()}] not allowed.",
            hint=f"It needs the role {least_role(permission)}; this caller has {principal.role}.",
        )


def _permission(needed: Any, method: str) -> Permission | None:
    """What a route needs of who calls it with this method; None is what nobody has."""
    found = needed.get(method) if isinstance(needed, Mapping) else needed
    return found if isinstance(found, Permission) else None


def peer_of(connection: AnyConnection) -> str:
    return connection.client.host if connection.client else ""


def request_line(connection: AnyConnection) -> str:
    return f"{connection.scope.get('method')} {connection.scope['path']}"[:_LONGEST_REQUEST]


async def _identified(
    authenticator: Authenticator, connection: AnyConnection, strangers: anyio.CapacityLimiter
) -> Principal:
    authorization = connection.headers.get("authorization")
    if (known := authenticator.remembered(authorization)) is not None:
        return known
    if authorization is None or authenticator.is_known(authorization):
        return await sync_to_thread(authenticator.identify, authorization, peer_of(connection))
    # Strangers wait for each other, and not in the threads in which those who are known are answered.
    if strangers.statistics().tasks_waiting >= _MOST_WAITING:
        raise TooManyFailures("Too many want to be let in at the same time; try again.", wait_s=5)
    return await anyio.to_thread.run_sync(authenticator.identify, authorization, peer_of(connection), limiter=strangers)
