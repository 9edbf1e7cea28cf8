"""Where the dialect is served, and who is let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from litestar import Response, Router, route
from litestar.params import FromPath, RawBody

from minisched.acting import Action, acting
from minisched.api.access import OWN_ACCOUNT, note, peer_of, request_line
from minisched.api.airflow_plugin.access import Access, Denied
from minisched.api.airflow_plugin.call import Call
from minisched.api.airflow_plugin.errors import EXCEPTION_HANDLERS, answered, failed, translated
from minisched.api.airflow_plugin.operations import Operations
from minisched.api.errors import AnyRequest
from minisched.domain.access import Principal, Role
from minisched.domain.errors import MinischedError, PipelineNotFound
from minisched.ports import AuditTrail, PipelineServiceClient

# An OpenMetadata server whose endpoint ends with this path is served by the runtime of that name, health included, so
# that servers of several lines can share this one.
RUNTIME_PATH = "/runtimes/{runtime:str}"
# In the order in which the newest OpenMetadata asks for them; older ones know the last (contract §1.2).
PREFIXES = ("/pluginsv2/api/v2/openmetadata", "/api/v2/openmetadata", "/api/v1/openmetadata")

_ANYTHING: dict[str, Any] = {
    "http_method": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "status_code": 200,
    "sync_to_thread": True,
    "include_in_schema": False,
    "opt": OWN_ACCOUNT,
}
_WITHOUT_PASSWORD = ("GET", "health")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="minisched"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowPlugin:
    """The orchestrator that the dialect speaks for, and the one account. Without a password it lets nobody in."""

    client: PipelineServiceClient
    username: str
    password: str | None
    audit_trail: AuditTrail


def airflow_plugin_routers(plugin: AirflowPlugin) -> list[Router]:
    """The same routes below every prefix. One handler: codes and bodies are the plugin's, also for unknown routes."""
    access = Access(plugin.username, plugin.password)

    def answered_by(operation: str, request: AnyRequest, body: bytes, runtime: str | None) -> Response[Any]:
        asked = (str(request.method), operation.strip("/"))
        try:
            if asked != _WITHOUT_PASSWORD:
                access.check(request.headers.get("authorization"), peer_of(request))
            operations = Operations(plugin.client, plugin.username, runtime)
            if asked[0] == "GET":
                return _performed(operations, asked, _call(request, body))
            return _on_record(plugin, asked[1], request, lambda: _performed(operations, asked, _call(request, body)))
        except Denied as denied:
            return failed(denied.code, str(denied), _CHALLENGE if denied.code == HTTPStatus.UNAUTHORIZED else None)

    @route("/{operation:path}", **_ANYTHING)
    def answer(operation: FromPath[str], request: AnyRequest, body: RawBody) -> Response[Any]:
        return answered_by(operation, request, body, None)

    @route("/{operation:path}", **_ANYTHING)
    def answer_of_runtime(
        runtime: FromPath[str], operation: FromPath[str], request: AnyRequest, body: RawBody
    ) -> Response[Any]:
        return answered_by(operation, request, body, runtime)

    handlers = {"": answer, RUNTIME_PATH: answer_of_runtime}
    return [
        Router(path=start + prefix, route_handlers=[handler], exception_handlers=EXCEPTION_HANDLERS)
        for start, handler in handlers.items()
        for prefix in PREFIXES
    ]


def _on_record(
    plugin: AirflowPlugin, operation: str, request: AnyRequest, perform: Callable[[], Response[Any]]
) -> Response[Any]:
    """What the OpenMetadata server has done here is in the audit trail like what people do."""
    principal = Principal(plugin.username, Role.ADMIN, "airflow_plugin")
    action = Action(principal, operation, request_line(request), peer_of(request))
    before = acting.set(action)
    try:
        answer = perform()
    finally:
        acting.reset(before)
    if answer.status_code == HTTPStatus.OK and action.unrecorded():
        note(plugin.audit_trail, action)
    return answer


def _call(request: AnyRequest, body: bytes) -> Call:
    return Call(dict(request.query_params), request.headers.get("content-type", ""), body)


def _performed(operations: Operations, asked: tuple[str, str], call: Call) -> Response[Any]:
    perform = operations.find(*asked)
    if perform is None:
        return failed(HTTPStatus.NOT_FOUND, f"There is no {asked[0]} {asked[1][:200]} here.")
    try:
        return answered(*perform(call))
    except PipelineNotFound:
        return failed(HTTPStatus.NOT_FOUND, f"DAG {call.argument('dag_id')} not found.")
    except MinischedError as error:
        return translated(error)
