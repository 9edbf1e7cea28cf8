"""HTTP calls to an OpenMetadata server, as its connection document describes it (contract §4.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from minisched.domain.errors import EntityNotFound, OrchestratorRejected, OrchestratorUnavailable
from minisched.domain.pipeline import Document


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection and between two bytes of an answer."""

    connect_s: float
    read_s: float


@contextmanager
def openmetadata_client(connection: Document, timeouts: Timeouts) -> Iterator[httpx.Client]:
    """A client with the connection's address, token and TLS rules.

    Raises OrchestratorUnavailable for whatever goes wrong on the way there and back. Redirects are not followed.
    """
    token = (connection.get("securityConfig") or {}).get("jwtToken")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    base = str(connection["hostPort"]).rstrip("/")
    timeout = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s)
    try:
        with httpx.Client(base_url=base, headers=headers, timeout=timeout, verify=_verify(connection)) as client:
            yield client
    except (httpx.HTTPError, OSError) as error:
        raise OrchestratorUnavailable(f"OpenMetadata at {base} does not answer: {error}") from error


def checked(response: httpx.Response) -> httpx.Response:
    """The response when it is a success. Raises EntityNotFound, OrchestratorRejected (token) or …Unavailable."""
    if response.is_success:
        return response
    text = f"OpenMetadata answered {response.status_code} to {response.request.method} {response.request.url.path}"
    if response.status_code == httpx.codes.NOT_FOUND:
        raise EntityNotFound(text)
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise OrchestratorRejected(text, hint="Deploy the pipeline again so that it carries a valid bot token.")
    raise OrchestratorUnavailable(text)


def document_of(response: httpx.Response) -> Document | None:
    """The JSON object of an answer; None for the empty success that stands for an unknown run (contract §3.11)."""
    if not response.content.strip():
        return None
    try:
        body = response.json()
    except json.JSONDecodeError as error:
        raise OrchestratorUnavailable("OpenMetadata answered something that is not JSON") from error
    return body if isinstance(body, dict) else None


def _verify(connection: Document) -> Any:
    """no-ssl: the system's authorities; ignore: nothing is checked; validate: the connection's own authority."""
    mode = connection.get("verifySSL")
    if mode == "ignore":
        return False
    authority = (connection.get("sslConfig") or {}).get("caCertificate")
    return authority if mode == "validate" and authority else True
