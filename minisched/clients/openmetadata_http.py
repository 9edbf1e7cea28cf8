"""HTTP calls to an OpenMetadata server, as its connection document describes it (contract §4.6)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

from minisched.clients.bounded_transport import BoundedTransport
from minisched.clients.tls import trusting, unchecked
from minisched.domain.errors import EntityNotFound, OrchestratorRejected, OrchestratorUnavailable
from minisched.domain.pipeline import Document

_MOST_CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the whole of an answer."""

    connect_s: float
    read_s: float


class KeptClients:
    """Clients with the address, token and TLS rules of connections, kept open between calls; for one thread."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._clients: dict[str, httpx.Client] = {}

    @contextmanager
    def client(self, connection: Document) -> Iterator[httpx.Client]:
        """Raises OrchestratorUnavailable for whatever goes wrong in the block; redirects are not followed."""
        base = str(connection["hostPort"]).rstrip("/")
        try:
            yield self._client_of(base, connection)
        except (httpx.HTTPError, OSError) as error:
            raise OrchestratorUnavailable(f"OpenMetadata at {base} does not answer: {error}") from error

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client_of(self, base: str, connection: Document) -> httpx.Client:
        key = json.dumps(connection, sort_keys=True)
        if key not in self._clients:
            if len(self._clients) >= _MOST_CLIENTS:
                self.close()
            token = (connection.get("securityConfig") or {}).get("jwtToken")
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            timeouts = self._timeouts
            timeout = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s)
            transport = BoundedTransport(
                base, ssl_context=_tls_rules(connection), total_s=timeouts.connect_s + timeouts.read_s
            )
            self._clients[key] = httpx.Client(base_url=base, headers=headers, timeout=timeout, transport=transport)
        return self._clients[key]


@contextmanager
def openmetadata_client(connection: Document, timeouts: Timeouts) -> Iterator[httpx.Client]:
    """A client for one block, as KeptClients gives them."""
    with closing(KeptClients(timeouts)) as clients, clients.client(connection) as client:
        yield client


def checked(response: httpx.Response) -> httpx.Response:
    """The response when it is a success. Raises EntityNotFound, OrchestratorRejected (token) or …Unavailable.

    A 404 that is not in OpenMetadata's own form comes from something before it, and may be over in a moment.
    """
    if response.is_success:
        return response
    text = f"OpenMetadata answered {response.status_code} to {response.request.method} {response.request.url.path}"
    if response.status_code == httpx.codes.NOT_FOUND and _is_json(response):
        raise EntityNotFound(text)
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise OrchestratorRejected(text, hint="Deploy the pipeline again so that it carries a valid bot token.")
    raise OrchestratorUnavailable(text)


def _is_json(response: httpx.Response) -> bool:
    """OpenMetadata's own answers are; a page in HTML comes from something before it that knows nothing of entities."""
    try:
        response.json()
    except ValueError:
        return False
    return True


def document_of(response: httpx.Response) -> Document | None:
    """The JSON object of an answer; None for the empty success that stands for an unknown run (contract §3.11)."""
    if not response.content.strip():
        return None
    try:
        body = response.json()
    except ValueError as error:  # bytes that are no text, too
        raise OrchestratorUnavailable("OpenMetadata answered something that is not JSON") from error
    return body if isinstance(body, dict) else None


def _tls_rules(connection: Document) -> ssl.SSLContext | None:
    """no-ssl: the system's authorities; ignore: nothing is checked; validate: the connection's own authority."""
    if not str(connection["hostPort"]).startswith("https:"):
        return None
    mode = connection.get("verifySSL")
    if mode == "ignore":
        return unchecked()
    authority = (connection.get("sslConfig") or {}).get("caCertificate")
    return trusting(authority if mode == "validate" else None)
