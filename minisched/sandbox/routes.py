"""The sandbox as Litestar routers: a stand-in for an OpenMetadata server below /api/v1."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from litestar import HttpMethod, MediaType, Request, Response, Router, get, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import RawBody

from minisched.domain.access import ACCESS, Permission
from minisched.ports import DocumentStore
from minisched.sandbox.callers import caller_of
from minisched.sandbox.calls import Call, path_segments, query_values
from minisched.sandbox.dependents import Dependents, NoDependents
from minisched.sandbox.dispatch import Dispatcher
from minisched.sandbox.tree import export, kind_counts, tree

MOUNT = "/api/v1"

# Every path below the mount. Those of services are told apart because others answer for some of them.
_PATHS = ("/{rest:path}", "/services", "/services/{rest:path}")
_NONE = NoDependents()
_READ = {ACCESS: Permission.READ}
# Runs write here what they find, people what they want them to find.
_BY_METHOD = {"GET": Permission.READ} | dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), Permission.REPORT)
_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]


def sandbox_routes(
    documents: DocumentStore,
    *,
    server_version: Callable[[], str],
    base_url: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    dependents: Dependents = _NONE,
) -> list[Router]:
    """Routers that answer everything below /api/v1 but `services/ingestionPipelines`.

    `server_version` is the release that runs are told (`2.0.7`, of the line of their runtime), `base_url` this API's
    address without version (`http://127.0.0.1:8580/api`). Who asks is in the scope's `user` (a Principal), put there by
    a guard of the application: runs see secrets in clear, all others see masks. `dependents` go with the services that
    are deleted. The caller must let bodies be as large as workflows send them, and turn errors into
    OpenMetadata's shape: its clients take the code from the body (contract §3.17).
    """
    dispatcher = Dispatcher(documents, server_version=server_version, base_url=base_url, now=now, dependents=dependents)

    def catalog(path: str) -> HTTPRouteHandler:
        # A handler of its own for each path: Litestar 2.25 wraps one of several paths twice when it is synchronous.
        @route(path, http_method=_METHODS, sync_to_thread=True, include_in_schema=False, opt={ACCESS: _BY_METHOD})
        def answer(request: Request[Any, Any, Any], body: RawBody) -> Response[Any]:
            found = dispatcher.answer(_call(request, body))
            return Response(found.body, status_code=found.status, headers=dict(found.headers))

        return answer

    @get("/minisched/sandbox", sync_to_thread=True, summary="Count what is in the sandbox", opt=_READ)
    def sandbox_kinds() -> dict[str, int]:
        """By type of entity."""
        return kind_counts(documents)

    @get("/minisched/sandbox/tree", sync_to_thread=True, summary="Show the sandbox as a tree", opt=_READ)
    def sandbox_tree() -> dict[str, Any]:
        """Services, and what is below each."""
        return tree(documents)

    @get(
        "/minisched/sandbox/export",
        sync_to_thread=True,
        media_type=MediaType.TEXT,
        summary="Export the sandbox",
        opt=_READ,
    )
    def sandbox_export() -> str:
        """Every entity as a line of JSON."""
        return "".join(f"{line}\n" for line in export(documents))

    catch_all = [catalog(path) for path in _PATHS]
    handlers = [*catch_all, sandbox_kinds, sandbox_tree, sandbox_export]
    return [Router(MOUNT, route_handlers=handlers)]


def _call(request: Request[Any, Any, Any], body: bytes) -> Call:
    scope = request.scope
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return Call(
        method=request.method,
        segments=path_segments(raw_path, MOUNT),
        repeated=query_values(scope.get("query_string", b"")),
        body=body,
        caller=caller_of(scope["user"]),
    )
