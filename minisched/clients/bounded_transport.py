"""HTTP in which every answer comes, whole, within a time and below a size, however slowly or much the server talks.

httpx's own timeouts are per read: a server that sends one byte every now and then keeps a caller for ever.
"""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

_KEEPALIVE_S = 5.0


class AnswerTooLarge(httpx.TransportError):
    """The answer is larger than anything that is of use."""


class BoundedTransport(httpx.BaseTransport):
    """For one caller at a time. `total_s` is from the beginning of a request to the end of its answer.

    Takes proxies from the environment for the origin of `base_url`, as httpx does.
    """

    def __init__(
        self, base_url: str, *, ssl_context: ssl.SSLContext | None, total_s: float, most_bytes: int = 16 * 1024 * 1024
    ) -> None:
        self._total_s = total_s
        self._most_bytes = most_bytes
        self._backend = _Backend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            proxy=_proxy_for(base_url),
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=self._backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._backend.deadline = time.monotonic() + self._total_s
        assert isinstance(request.stream, httpx.SyncByteStream)
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, self._most_bytes),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any, most_bytes: int) -> None:
        self._stream = stream
        self._left = most_bytes

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            for part in self._stream:
                self._left -= len(part)
                if self._left < 0:
                    raise AnswerTooLarge("the answer is too large")
                yield part

    def close(self) -> None:
        self._stream.close()


class _Stream(httpcore.NetworkStream):
    """A connection whose waits end at the backend's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = self._backend.within(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, limit), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects; `deadline` is that of the request under way, on the monotonic clock."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self.deadline = 0.0

    def within(self, timeout: float | None, too_late: type[httpcore.TimeoutException]) -> float:
        """The shorter of the timeout and what is left. Raises when nothing is."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise too_late("the answer was not complete in time")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        limit = self.within(timeout, httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, limit, local_address, socket_options), self)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Callers know httpx's errors."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(str(error) or "the answer did not come in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error


def _proxy_for(base_url: str) -> httpcore.Proxy | None:
    parts = urlsplit(base_url)
    address = urllib.request.getproxies().get(parts.scheme)
    if not address or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    url = f"{proxy.scheme}://{proxy.hostname}{f':{proxy.port}' if proxy.port else ''}"
    auth = (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None
    return httpcore.Proxy(url, auth=auth)
