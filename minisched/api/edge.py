"""What happens to every request before it is routed and to every answer as it leaves.

- Only names of this server are accepted as Host while it listens on loopback, and a browser's write only from a page of
  this server: otherwise any web page could reach it through a browser that knows a password (DNS rebinding, CSRF).
- A slash that was percent-encoded stays inside its path segment: fully qualified names may hold slashes.
- Answers are not cached and not guessed at.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import structlog
from litestar.types import ASGIApp, Message, Receive, Send

from minisched import failpoints
from minisched.api.errors import error_body

_log = structlog.get_logger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ANSWER_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Edge:
    """An ASGI application around another."""

    def __init__(
        self, app: ASGIApp, *, bound_host: str, public_url: str | None, keep_slashes_below: Iterable[str]
    ) -> None:
        self._app = app
        self._check_host = is_loopback(bound_host)
        self._hosts = {"localhost", "127.0.0.1", "::1", bound_host.strip("[]").lower()}
        self._public_netloc = urlsplit(public_url).netloc.lower() if public_url else None
        if public_url and (public_host := urlsplit(public_url).hostname):
            self._hosts.add(public_host)
        self._keep_slashes_below = tuple(f"{prefix}/" for prefix in keep_slashes_below)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send, changes=scope["method"] not in _SAFE_METHODS)
        if (refusal := self._refusal(scope)) is not None:
            await answer.refuse(*refusal)
        else:
            self._mend_path(scope)
            await self._app(scope, receive, answer.send)
        _log.debug(
            "http.request",
            method=scope["method"],
            path=scope["path"],
            status=answer.status,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        if "\0" in scope["path"] or b"\0" in unquote_to_bytes(scope["query_string"]):
            return HTTPStatus.BAD_REQUEST, "The address holds the character U+0000."
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._check_host and _hostname(host) not in self._hosts:
            return HTTPStatus.FORBIDDEN, "This server is not known by the name in the Host header."
        origin = headers.get(b"origin")
        if origin is not None and scope["method"] not in _SAFE_METHODS and not self._is_own(origin, host):
            return HTTPStatus.FORBIDDEN, "Pages of other origins may not change anything here."
        return None

    def _is_own(self, origin: bytes, host: str) -> bool:
        try:
            netloc = urlsplit(origin.decode("latin-1")).netloc.lower()
        except ValueError:
            return False
        return netloc != "" and netloc in (host, self._public_netloc)

    def _mend_path(self, scope: Any) -> None:
        raw_path = scope.get("raw_path")
        if not raw_path or not scope["path"].startswith(self._keep_slashes_below):
            return
        segments = raw_path.split(b"?", 1)[0].decode("latin-1").split("/")
        scope["path"] = "/".join(_segment(segment) for segment in segments)


def decoded(segment: str) -> str:
    """A path parameter below `keep_slashes_below` as the caller meant it."""
    return segment.replace("%2F", "/").replace("%25", "%")


def _segment(raw: str) -> str:
    return unquote(raw, errors="replace").replace("%", "%25").replace("/", "%2F")


def is_loopback(host: str) -> bool:
    """True when only this machine can reach a server that is bound to this host."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


class _Answer:
    """Watches an answer go out, and adds the headers that every answer has."""

    def __init__(self, send: Send, *, changes: bool) -> None:
        self._send = send
        self._changes = changes
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._changes and self.status < HTTPStatus.BAD_REQUEST:
                failpoints.reach("after_commit_before_200")
            names = {name.lower() for name, _ in message["headers"]}
            extra = [(name, value) for name, value in _ANSWER_HEADERS if name not in names]
            message = {**message, "headers": [*message["headers"], *extra]}
        await self._send(message)

    async def refuse(self, code: int, text: str) -> None:
        body = json.dumps(error_body(code, text)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": int(code), "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
