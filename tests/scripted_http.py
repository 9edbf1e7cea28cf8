"""An HTTP server on loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `body` is its JSON, or None."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Page:
    """An answer that is no JSON, or comes with headers of its own."""

    content: bytes
    headers: dict[str, str]


@dataclass
class ScriptedServer:
    """`answer(asked)` returns (status, JSON body, raw bytes or Page); b"" is an empty body."""

    url: str
    asked: list[Asked] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _bytes_of(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


Answer = Callable[[Asked], tuple[int, Any]]


@contextmanager
def scripted_server(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Speaks HTTPS when it is given what to show."""
    server = _Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    scheme = "http"
    if tls is not None:
        scheme, server.socket = "https", tls.wrap_socket(server.socket, server_side=True)
    scripted = ScriptedServer(f"{scheme}://127.0.0.1:{server.server_address[1]}")

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, dict(self.headers), body)
            scripted.asked.append(asked)
            status, content = answer(asked)
            page = content if isinstance(content, Page) else Page(_bytes_of(content), {})
            data = page.content
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | page.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            """Silent: the test sees what was asked."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
