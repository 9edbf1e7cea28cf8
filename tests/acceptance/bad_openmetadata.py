"""An OpenMetadata server that misbehaves on the wire in the way that a test chooses, and can change at any time."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.acceptance.openmetadata_double import OpenMetadataDouble
from tests.scripted_http import Asked

PAGE = b"<html><body>The service is being moved.</body></html>"


class BadOpenMetadata:
    """`mode` is one of MODES; in the mode good it is an OpenMetadataDouble that takes the token `token`, if any."""

    def __init__(self) -> None:
        self.mode = "good"
        self.token: str | None = None
        self.double = OpenMetadataDouble()
        self.attempts: list[str] = []
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api"

    def connection(self, token: str = "t") -> dict[str, Any]:
        """An openMetadataServerConnection to it."""
        return {"hostPort": self.url, "securityConfig": {"jwtToken": token}}

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        self.attempts.append(f"{asked.method} {asked.path}")
        MODES[self.mode](self, handler, asked)

    # --- modes --------------------------------------------------------------------------------------------------------

    def good(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if self.token is not None and asked.headers.get("Authorization") != f"Bearer {self.token}":
            _reply(handler, 401, b'{"code": 401, "message": "Token has expired"}')
            return
        status, content = self.double.answer(asked)
        _reply(handler, status, content if isinstance(content, bytes) else json.dumps(content).encode())

    def server_error(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        _reply(handler, 500, b'{"code": 500, "message": "An exception with message [boom] was thrown"}')

    def restarting(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        """What a proxy says meanwhile."""
        _reply(handler, 503, PAGE)

    def page(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        _reply(handler, 200, PAGE)

    def page_not_found(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        _reply(handler, 404, PAGE)

    def redirect(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/signin")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def hang(self, *_: Any) -> None:
        self._over.wait()

    def reset(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def hang_up(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        """In the middle of the answer."""
        handler.close_connection = True
        handler.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    def drip(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        """One byte of the headers every now and then, for ever."""
        self._send_slowly(handler, b"HTTP/1.1 200 OK\r\nX-Padding: ")

    def drip_body(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        self._send_slowly(handler, b'{"')

    def _send_slowly(self, handler: BaseHTTPRequestHandler, start: bytes) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.sendall(start)
            while not self._over.wait(0.05):
                handler.connection.sendall(b"x")

    def flood(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        """More than anybody wants to hold in memory."""
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{")
            while not self._over.is_set():
                handler.connection.sendall(b" " * 65536)


MODES: dict[str, Callable[[BadOpenMetadata, BaseHTTPRequestHandler, Asked], None]] = {
    "good": BadOpenMetadata.good,
    "server_error": BadOpenMetadata.server_error,
    "restarting": BadOpenMetadata.restarting,
    "page": BadOpenMetadata.page,
    "page_not_found": BadOpenMetadata.page_not_found,
    "redirect": BadOpenMetadata.redirect,
    "hang": BadOpenMetadata.hang,
    "reset": BadOpenMetadata.reset,
    "hang_up": BadOpenMetadata.hang_up,
    "drip": BadOpenMetadata.drip,
    "drip_body": BadOpenMetadata.drip_body,
    "flood": BadOpenMetadata.flood,
}
FAULTS = [mode for mode in MODES if mode != "good"]


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "text/html" if body is PAGE else "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    with suppress(OSError):
        handler.wfile.write(body)


def _handler(server: BadOpenMetadata) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            with suppress(OSError):
                server.answer(self, Asked(self.command, self.path, dict(self.headers), body))

        do_GET = do_PUT = do_POST = do_PATCH = _handle  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            """Silent."""

    return Handler


@contextmanager
def bad_openmetadata() -> Iterator[BadOpenMetadata]:
    server = BadOpenMetadata()
    try:
        yield server
    finally:
        server.close()
