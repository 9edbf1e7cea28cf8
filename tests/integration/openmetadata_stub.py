"""The little of an OpenMetadata server that a workflow needs to start, fail and report: a fake at the process boundary.

It records every call. Entities that are PUT get an id and come back as they were sent.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "eyJraWQiOiJub25lIiwiYWxnIjoiUlMyNTYifQ.eyJzdWIiOiJpbmdlc3Rpb24tYm90In0.c2lnbmF0dXJl"
PIPELINE_ID = "22222222-2222-4222-8222-222222222222"


class OpenMetadataStub:
    """`services` by collection and name, `pipelines` by FQN, `steps` of connection tests; `statuses` came in."""

    def __init__(self, version: str = "2.0.7") -> None:
        self.version = version
        self.services: dict[tuple[str, str], dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.automations: dict[str, dict[str, Any]] = {}
        self.steps = [{"name": "CheckAccess", "description": "d", "mandatory": True, "shortCircuit": True}]
        self.statuses: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.patches: list[Any] = []
        self.reject_token = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def connection(self) -> dict[str, Any]:
        """An openMetadataServerConnection to this stub."""
        host, port = self._server.server_address[:2]
        return {
            "hostPort": f"http://{host!s}:{port}/api",
            "authProvider": "openmetadata",
            "securityConfig": {"jwtToken": TOKEN},
        }

    def add_service(self, name: str, service_type: str, config: dict[str, Any]) -> dict[str, Any]:
        """A database service; returns the reference of it that a pipeline has."""
        reference: dict[str, Any] = {"id": str(uuid.uuid4()), "name": name, "fullyQualifiedName": name}
        self.services["databaseServices", name] = {
            **reference,
            "serviceType": service_type,
            "connection": {"config": config},
        }
        return {**reference, "type": "databaseService"}

    def pipeline(self, name: str, kind: str, service: dict[str, Any], **config: Any) -> dict[str, Any]:
        """A deployed pipeline that reports to this stub; the stub knows it."""
        document: dict[str, Any] = {
            "id": PIPELINE_ID,
            "name": name,
            "fullyQualifiedName": f"{service['name']}.{name}",
            "pipelineType": kind,
            "sourceConfig": {"config": config},
            "airflowConfig": {},
            "service": service,
        }
        self.pipelines[document["fullyQualifiedName"]] = document
        return {**document, "openMetadataServerConnection": self.connection}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """(status, body); None is an empty body."""
        with self._lock:
            self.calls.append(f"{method} {path}")
            if path == "system/version":
                return 200, {"version": self.version, "revision": "r", "timestamp": 0}
            if self.reject_token:
                return 401, {"code": 401, "message": "Token has expired"}
            for pattern, answer in (
                (r"services/ingestionPipelines/(.+)/pipelineStatus(?:/.+)?", self._status),
                (r"services/ingestionPipelines/name/(.+)", self._pipeline),
                (r"services/testConnectionDefinitions/name/(\w+)\..+", self._definition),
                (r"automations/workflows/(?:name/)?(.+)", self._automation),
                (r"services/(databaseServices/name/.+)", self._service),
            ):
                found = re.fullmatch(pattern, path)
                if found:
                    return answer(method, found.group(1), body)
            return self._anything(method, path, body)

    def _status(self, method: str, fqn: str, body: Any) -> tuple[int, Any]:
        if method == "PUT":
            self.statuses.append(body)
            return 200, self.pipelines.get(fqn, {})
        return 200, None

    def _pipeline(self, _: str, fqn: str, __: Any) -> tuple[int, Any]:
        return _found(self.pipelines.get(fqn), fqn)

    def _service(self, _: str, path: str, __: Any) -> tuple[int, Any]:
        collection, name = path.split("/name/")
        return _found(self.services.get((collection, name)), name)

    def _definition(self, _: str, name: str, __: Any) -> tuple[int, Any]:
        return 200, {
            "id": str(uuid.uuid4()),
            "name": name,
            "fullyQualifiedName": f"{name}.testConnectionDefinition",
            "steps": self.steps,
        }

    def _automation(self, method: str, name: str, body: Any) -> tuple[int, Any]:
        if method == "PATCH":
            self.patches.append(body)
            return 200, next(iter(self.automations.values()))
        return _found(self.automations.get(name), name)

    def _anything(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method in ("PUT", "POST") and isinstance(body, dict) and "name" in body:
            return 200, {**body, "id": str(uuid.uuid4()), "fullyQualifiedName": body["name"]}
        if method == "GET":
            return 404, {"code": 404, "message": f"{path} not found"}
        return 200, {}


def _found(document: dict[str, Any] | None, name: str) -> tuple[int, Any]:
    if document is None:
        return 404, {"code": 404, "message": f"instance for {name} not found"}
    return 200, document


def _handler(stub: OpenMetadataStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer: two would wait for a delayed acknowledgement

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(length)
            path = unquote(urlsplit(self.path).path).removeprefix("/api/v1/")
            status, answer = stub.answer(self.command, path, json.loads(data) if data else None)
            body = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


@contextmanager
def openmetadata_stub(**options: Any) -> Iterator[OpenMetadataStub]:
    """A running stub."""
    stub = OpenMetadataStub(**options)
    thread = threading.Thread(target=stub._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub._server.shutdown()
        stub._server.server_close()
        thread.join()
