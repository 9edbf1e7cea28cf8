"""Sandboxes for tests: in this process, or served on a free port with the least of an API for pipelines beside it."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from litestar import HttpMethod, Litestar, Request, Response, Router, put, route
from litestar.handlers import BaseRouteHandler
from litestar.params import JSONBody, RawBody
from litestar.testing import TestClient
from litestar.types import ASGIApp, Message, Receive, Send

from minisched.api.errors import EXCEPTION_HANDLERS
from minisched.domain.access import RUN, Principal, Role
from minisched.domain.pipeline import Document
from minisched.ports import DocumentStore
from minisched.sandbox.calls import path_segments
from minisched.sandbox.routes import sandbox_routes
from minisched.serving import bind, serving_in_background

TOKEN = "bot-token-of-the-tests"
MOUNT = "/api/v1/services/ingestionPipelines"


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE_URL = "http://127.0.0.1:8580/api"


class SandboxApi:
    """Requests to a sandbox in this process: by a run, unless a person asks."""

    def __init__(self, http: TestClient[Any], documents: DocumentStore) -> None:
        self.http = http
        self.documents = documents

    def call(self, method: str, path: str, body: Any = None, *, by: str = "run", **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"} if by == "run" else {}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self.http.request(method, f"/api/v1/{path}", content=content, headers=headers, params=query or None)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of an answer that must be good."""
        answer = self.call(method, path, body, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
        """Code and message of an answer that must be an error in OpenMetadata's shape."""
        answer = self.call(method, path, body, **options)
        error = answer.json()
        assert answer.status_code == error["code"] >= 400, answer.text
        return error["code"], error["message"]

    def shop(self) -> Document:
        """A service, a database, a schema and the table `shop.db.public.orders`; the table."""
        connection = {"config": {"type": "Mysql", "username": "u", "authType": {"password": "s3cret"}}}
        self.ok("PUT", "services/databaseServices", {"name": "shop", "serviceType": "Mysql", "connection": connection})
        self.ok("PUT", "databases", {"name": "db", "service": "shop"})
        self.ok("PUT", "databaseSchemas", {"name": "public", "database": "shop.db"})
        return self.table("orders")

    def table(self, name: str, **fields: Any) -> Document:
        columns = [{"name": "id", "dataType": "INT"}, {"name": "note", "dataType": "TEXT"}]
        request = {"name": name, "databaseSchema": "shop.db.public", "columns": columns, **fields}
        table: Document = self.ok("PUT", "tables", request)
        return table


async def _guard(connection: Any, _: BaseRouteHandler) -> None:
    """Whoever shows the token is a run, and everybody else is let in as a person."""
    is_run = connection.headers.get("authorization") == f"Bearer {TOKEN}"
    run, person = Principal("ingestion-bot", Role.BOT, RUN), Principal("admin", Role.ADMIN, "password")
    connection.scope["user"] = run if is_run else person


@contextmanager
def sandbox_api(documents: DocumentStore, version: str = "2.0.7") -> Iterator[SandboxApi]:
    """The sandbox alone; its clock stands still."""
    routes = sandbox_routes(documents, server_version=lambda: version, base_url=BASE_URL, now=lambda: NOW)
    app = Litestar(
        routes,
        guards=[_guard],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    with TestClient(app) as http:
        yield SandboxApi(http, documents)


@dataclass
class SandboxServer:
    """Where it listens (`url` is the API without version), what it keeps, and every request with its status."""

    url: str
    documents: DocumentStore
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    statuses: list[Document] = field(default_factory=list)

    @property
    def connection(self) -> Document:
        """The openMetadataServerConnection of a run against this server."""
        return {
            "hostPort": self.url,
            "authProvider": "openmetadata",
            "securityConfig": {"jwtToken": TOKEN},
        }

    def refused(self) -> list[tuple[str, str, int]]:
        """Requests that were answered with an error."""
        return [request for request in self.requests if request[2] >= 400]


@contextmanager
def serving(documents: DocumentStore, version: str = "2.0.7") -> Iterator[SandboxServer]:
    with bind("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        server = SandboxServer(url, documents)
        routes = sandbox_routes(documents, server_version=lambda: version, base_url=url)
        app = Litestar(
            [*routes, _pipelines(server)],
            guards=[_guard],
            exception_handlers=EXCEPTION_HANDLERS,
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
        )
        with serving_in_background(_noting(app, server), listener, stopping=threading.Event()):
            yield server


def _noting(app: ASGIApp, server: SandboxServer) -> Any:
    async def noting(scope: Any, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                server.requests.append((scope["method"], scope["raw_path"].decode(), message["status"]))
            await send(message)

        await app(scope, receive, note)

    return noting


def _pipelines(server: SandboxServer) -> Router:
    """Pipelines are made by PUT; a status that was not put is an empty answer; everything else is taken and dropped."""
    pipelines: dict[str, Document] = {}

    @route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.PUT, HttpMethod.POST], sync_to_thread=True)
    def pipelines_api(request: Request[Any, Any, Any], body: RawBody) -> Response[Any]:
        segments = path_segments(request.scope["raw_path"], MOUNT)
        if request.method == "PUT" and segments[1:] == ["pipelineStatus"]:
            server.statuses.append(json.loads(body))
        if request.method == "GET" and segments[0] == "name":
            found = pipelines.get(segments[1])
            absent = {"code": 404, "message": f"ingestionPipeline instance for {segments[1]} not found"}
            return Response(found or absent, status_code=200 if found else 404)
        if request.method == "GET" and segments[1:2] == ["pipelineStatus"]:
            known = [status for status in server.statuses if status["runId"] == segments[2]]
            return Response(known[-1] if known else None, status_code=200)
        return Response(None, status_code=200)

    @put("/", sync_to_thread=True)
    def make(data: JSONBody[dict[str, Any]]) -> Document:
        return _made(pipelines, data)

    return Router(MOUNT, route_handlers=[pipelines_api, make])


def _made(pipelines: dict[str, Document], request: Document) -> Document:
    fqn = f"{request['service'].get('fullyQualifiedName') or request['service'].get('name')}.{request['name']}"
    pipelines[fqn] = {**request, "id": str(uuid.uuid4()), "fullyQualifiedName": fqn}
    return pipelines[fqn]
