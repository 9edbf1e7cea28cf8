"""Every route says what it needs of its callers; one guard before all of them lets in or turns away (pitfall L1).

Whether somebody is let in depends on the route that will answer, never on how its path is spelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Response
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import AfterRequestHookHandler, Guard

from minisched.acting import Action, acting
from minisched.domain.access import ACCESS, ANYBODY, BY_ITSELF, Permission, Principal, Role, least_role
from minisched.domain.errors import Forbidden, StoreUnavailable
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

AnyConnection = ASGIConnection[Any, Any, Any, Any]


def guard_of(authenticator: Authenticator) -> Guard:
    """The guard of an application. It raises Unauthenticated, TooManyFailures and Forbidden."""

    async def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
        needed = handler.opt.get(ACCESS)
        if needed in (ANYBODY, BY_ITSELF):
            return
        principal = await _identified(authenticator, connection)
        connection.scope["user"] = principal
        method = str(connection.scope.get("method"))
        permission = needed.get(method) if isinstance(needed, Mapping) else needed
        require(principal, permission if isinstance(permission, Permission) else None)
        if method not in _SAFE_METHODS and not (principal.role is Role.BOT and permission is Permission.REPORT):
            operation = handler.name or handler.handler_name.rpartition(".")[2]
            acting.set(Action(principal, operation, request_line(connection), peer_of(connection)))

    return guard


def witness_of(trail: AuditTrail) -> AfterRequestHookHandler:
    """What was asked for and done, but changed nothing in our database, gets its row when it is answered."""

    async def witness(response: Response[Any]) -> Response[Any]:
        if (action := acting.get()) is not None and (response.status_code or 200) < 400 and action.unrecorded():
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


def peer_of(connection: AnyConnection) -> str:
    return connection.client.host if connection.client else ""


def request_line(connection: AnyConnection) -> str:
    return f"{connection.scope.get('method')} {connection.scope['path']}"[:_LONGEST_REQUEST]


async def _identified(authenticator: Authenticator, connection: AnyConnection) -> Principal:
    authorization = connection.headers.get("authorization")
    if (known := authenticator.remembered(authorization)) is not None:
        return known
    return await sync_to_thread(authenticator.identify, authorization, peer_of(connection))
