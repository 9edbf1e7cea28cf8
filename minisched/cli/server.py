"""A running minisched spoken to over HTTP: answers as JSON, failures as errors that say what to do."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from minisched.cli.credentials import PASSWORD_VARIABLE, TOKEN_VARIABLE, USER_VARIABLE
from minisched.cli.exit_codes import ServerRefused, ServerUnreachable
from minisched.domain.errors import InvalidInput, NotFound

PIPELINES = "/api/v1/services/ingestionPipelines"
RUNS = "/api/v1/minisched/runs"
PLACEMENTS = "/api/v1/minisched/pipelines"
QUEUE = "/api/v1/minisched/queue"
SANDBOX = "/api/v1/minisched/sandbox"
DEPLOYMENTS = "/api/v1/minisched/deployments"
RUNTIMES = "/api/v1/minisched/runtimes"
AUDIT = "/api/v1/minisched/audit"

JSON_PATCH = "application/json-patch+json"
# How OpenSSL, old and new, says that the first bytes were not of TLS; HTTP_REQUEST is what it calls a readable line.
_PLAIN_HTTP_REASONS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HOW_TO_BE_LET_IN = (
    f"Set {TOKEN_VARIABLE} (the server's admin makes one with `minisched token create NAME`), "
    f"or {USER_VARIABLE} and {PASSWORD_VARIABLE}."
)
_CONNECT_TIMEOUT_S = 5.0
# A kill answers when the processes are gone, which may take the grace period of the executor.
_READ_TIMEOUT_S = 120.0


class Server:
    """A connection to one server; close it, or use it as a context manager.

    Raises ServerUnreachable when nothing answers, NotFound for 404 and ServerRefused for every other refusal, with the
    server's own message.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport | None = None,
        *,
        authorization: str | None = None,
        tls: ssl.SSLContext | None = None,
        direct: bool = False,
    ) -> None:
        """`authorization` is the header of that name, `tls` how a certificate is checked, if not as usual; `direct` is
        without the proxies of the environment."""
        try:
            host = httpx.URL(url).host
            self._client = httpx.Client(
                base_url=url,
                timeout=httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
                transport=transport,
                trust_env=not direct and host not in _LOOPBACK,  # a proxy of the environment cannot reach our loopback
                headers={"Authorization": authorization} if authorization else {},
                verify=tls or True,
            )
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{url} is not an address: {error}", field="--url") from error
        if not host:
            raise InvalidInput(f"{url} is not an address.", field="--url", hint="It looks like http://127.0.0.1:8580.")
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return _document(self.call("GET", path, params=params))

    def post(self, path: str, body: Any = None) -> Any:
        return _document(self.call("POST", path, json=body))

    def put(self, path: str, body: Any) -> Any:
        return _document(self.call("PUT", path, json=body))

    def patch(self, path: str, operations: list[dict[str, Any]]) -> Any:
        """An RFC 6902 patch."""
        return _document(self.call("PATCH", path, content=json.dumps(operations), headers={"Content-Type": JSON_PATCH}))

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return _document(self.call("DELETE", path, params=params))

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; a response that is not a success is raised."""
        with self._reachable():
            response = self._client.request(method, path, **options)
        return self._accepted(response)

    @contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str], read_timeout_s: float | None
    ) -> Iterator[httpx.Response]:
        """A response whose body is read as it comes; a break in the middle is the caller's httpx.TransportError."""
        timeout = httpx.Timeout(read_timeout_s, connect=_CONNECT_TIMEOUT_S)
        request = self._client.build_request("GET", path, headers=dict(headers), timeout=timeout)
        with self._reachable():
            response = self._client.send(request, stream=True)
        try:
            if response.is_error:
                response.read()
            yield self._accepted(response)
        finally:
            response.close()

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        if _is_web_page(response):
            raise ServerUnreachable(
                f"no minisched server answers at {self.url}: a web page does, with status {response.status_code}.",
                hint="Name the address of the server itself with --url.",
            )
        if response.is_success:
            return response
        message = _message(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(message)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ServerRefused(message.rstrip(".") + ".", hint=_HOW_TO_BE_LET_IN)
        raise ServerRefused(message)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise _unreachable(self.url, error) from error


def _unreachable(url: str, error: httpx.TransportError) -> ServerUnreachable:
    """What was found at the address instead of a server that answers."""
    refusal = _tls_refusal(error)
    if isinstance(refusal, ssl.SSLCertVerificationError):
        return ServerUnreachable(f"the certificate of {url} is not trusted: {refusal.verify_message}.")
    if refusal is not None and refusal.reason in _PLAIN_HTTP_REASONS:
        plain = url.replace("https:", "http:", 1)
        return ServerUnreachable(f"what listens at {url} does not speak HTTPS.", hint=f"Try --url {plain}")
    if isinstance(error, httpx.RemoteProtocolError):
        return ServerUnreachable(
            f"what listens at {url} does not answer in HTTP: {str(error).rstrip('.')}.", hint=_another(url)
        )
    return ServerUnreachable(
        f"no minisched server answers at {url}: {str(error) or type(error).__name__}.",
        hint="Start one with `minisched serve`, or name another with --url.",
    )


def _another(url: str) -> str:
    """A server with a certificate hangs up on whoever speaks plain HTTP to it."""
    if url.startswith("http:"):
        return f"If it has a certificate, try --url {url.replace('http:', 'https:', 1)}"
    return "Name another with --url."


def _tls_refusal(error: BaseException) -> ssl.SSLError | None:
    """The error of the TLS library behind that of the HTTP client, if it is one."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, ssl.SSLError):
        behind = behind.__cause__ or behind.__context__
    return behind


def _is_web_page(response: httpx.Response) -> bool:
    """The server has none: they come from something else, or from a proxy whose server is gone."""
    kind = str(response.headers.get("Content-Type", ""))
    return kind.partition(";")[0].strip().lower() == "text/html"


def _message(response: httpx.Response) -> str:
    """The server's own sentence: `message` (OpenMetadata), `error` (plugin dialect) or `detail` (problem document)."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        for key in ("message", "error", "detail"):
            if body.get(key):
                return str(body[key])
    text = response.text.strip()[:500]
    return f"the server answered {response.status_code}" + (f": {text}" if text else "")


def _document(response: httpx.Response) -> Any:
    """The JSON of the body, None when it is empty (contract §3.11)."""
    if not response.content.strip():
        return None
    try:
        return response.json()
    except ValueError as error:
        raise ServerRefused(
            f"the answer of {response.request.url} is not JSON: {response.text[:200]!r}.",
            hint="Is that a minisched server?",
        ) from error
