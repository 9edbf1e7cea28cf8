"""Which version an OpenMetadata server has: asked seldom, remembered, and never worth waiting for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from minisched.clients.openmetadata_http import Timeouts, checked, document_of, openmetadata_client
from minisched.domain.errors import MinischedError
from minisched.domain.pipeline import Document

_FRESH_S = 300.0
_ASK_AGAIN_S = 30.0
_MOST_SERVERS = 256
_TIMEOUTS = Timeouts(connect_s=1.0, read_s=2.0)


@dataclass(frozen=True, slots=True)
class _Answer:
    version: str | None
    again_at: float


class ServerVersions:
    """By the address in a document's connection. `complete` fills in the connection of a document that has none."""

    def __init__(self, complete: Callable[[Document], Document], now_s: Callable[[], float] = time.monotonic) -> None:
        self._complete = complete
        self._now_s = now_s
        self._lock = threading.Lock()
        self._answers: dict[str, _Answer] = {}

    def known(self, document: Document) -> str | None:
        """The last one that was heard of, without asking anybody."""
        connection = self._connection(document)
        answer = self._answers.get(_address(connection)) if connection else None
        return answer.version if answer else None

    def asked(self, document: Document) -> str | None:
        """The version; the last one that was heard of, or None, when the server does not answer within seconds."""
        connection = self._connection(document)
        if connection is None:
            return None
        address = _address(connection)
        answer = self._answers.get(address)
        if answer is None or answer.again_at <= self._now_s():
            answer = self._remembered(address, _version(connection), answer)
        return answer.version

    def _remembered(self, address: str, version: str | None, before: _Answer | None) -> _Answer:
        now_s = self._now_s()
        if version is None:
            answer = _Answer(before.version if before else None, now_s + _ASK_AGAIN_S)
        else:
            answer = _Answer(version, now_s + _FRESH_S)
        with self._lock:
            self._answers.pop(address, None)
            self._answers[address] = answer
            while len(self._answers) > _MOST_SERVERS:
                del self._answers[next(iter(self._answers))]
        return answer

    def _connection(self, document: Document) -> Document | None:
        try:
            found: Document = self._complete(document)["openMetadataServerConnection"]
        except MinischedError:
            return None
        return found


def _address(connection: Document) -> str:
    return str(connection["hostPort"]).rstrip("/")


def _version(connection: Document) -> str | None:
    try:
        with openmetadata_client(connection, _TIMEOUTS) as client:
            body = document_of(checked(client.get("/v1/system/version")))
    except MinischedError:
        return None
    version = (body or {}).get("version")
    return version if isinstance(version, str) else None
