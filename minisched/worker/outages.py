"""A run waits for an OpenMetadata that restarts: its requests to it are sent again when nothing answers.

The package gives up after two seconds, on older lines at once, and has no setting for it. In every line its REST client
sends through the `request` of a session of `requests` that it makes for itself.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Callable

from .run_log import say

PATIENCE_S = 30.0
_PAUSE_S = 0.5
_CLIENT = "metadata.ingestion.ometa.client"
# What may be sent twice although it may have arrived.
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


def wait_out(host_port: object) -> None:
    """From now on, in this process. Other servers that the package's client is used for are asked as ever."""
    rest = getattr(sys.modules.get(_CLIENT), "REST", None)
    if rest is None or not host_port:
        return
    make, outage = rest.__init__, Outage(str(host_port))

    def make_patient(client: Any, config: Any, *arguments: Any, **named: Any) -> None:
        make(client, config, *arguments, **named)
        session = getattr(client, "_session", None)
        if session is not None and _same(getattr(config, "base_url", None), host_port):
            session.request = outage.patient(session.request)

    rest.__init__ = make_patient


def _same(one: object, other: object) -> bool:
    return str(one).rstrip("/") == str(other).rstrip("/")


class Outage:
    """Whether the server answers. It has PATIENCE_S to come back, once for all requests of an outage, and nobody waits
    for one that has never answered: its address may be wrong."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._has_answered = False
        self._since: float | None = None

    def patient(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """`send(method, url, …)`, repeated while the outage lasts and that can do no harm."""

        def request(method: str, url: Any, **options: Any) -> Any:
            while True:
                try:
                    answer = send(method, url, **options)
                except Exception as error:
                    if not self._is_worth_waiting(error, str(method).upper()):
                        raise
                else:
                    self._note_answer()
                    return answer
                time.sleep(_PAUSE_S)

        return request

    def _note_answer(self) -> None:
        with self._lock:
            self._has_answered, self._since = True, None

    def _is_worth_waiting(self, error: Exception, method: str) -> bool:
        if not _is_broken_connection(error):
            return False
        with self._lock:
            if not self._has_answered:
                return False
            is_new = self._since is None
            self._since = since = time.monotonic() if self._since is None else self._since
        if is_new:
            say("OpenMetadata at %s does not answer; requests wait for it for %d s: %s", self._host, PATIENCE_S, error)
        if time.monotonic() - since >= PATIENCE_S:
            return False
        return method in _REPEATABLE or _was_never_sent(error)


def _is_broken_connection(error: Exception) -> bool:
    """A `requests.ConnectionError`; what it stands for may be nested in other words on each line."""
    return any(kind.__name__ == "ConnectionError" for kind in type(error).__mro__)


def _was_never_sent(error: Exception) -> bool:
    """Nobody listened, so that nothing can have been done."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return type(reason).__name__ in ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")
