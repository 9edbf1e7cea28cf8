"""SIGTERM to a run means: end now, and tell OpenMetadata the truth about it.

A workflow that is interrupted by an ordinary exception reports success, because its last act only looks for errors. So
the handler remembers why, everything that the workflow reports from then on is overridden, and a BaseException ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Any, Iterator

from . import protocol

STOP = "stop"


class Stopped(BaseException):
    """The run was asked to end. Not an Exception: nobody but the runner may catch it."""


class StopSwitch:
    """Whether and why the run has to end. `guard` is the socket on which the guard says why, just before SIGTERM."""

    def __init__(self, guard: socket.socket) -> None:
        self._guard = guard
        self._holds = 0
        self._over = False
        self.cause: str | None = None

    def install(self) -> None:
        """From now on SIGTERM raises Stopped in the main thread; a second one leaves at once."""
        signal.signal(signal.SIGTERM, self._heard)

    def _heard(self, *_: Any) -> None:
        if self.cause is not None:
            os._exit(protocol.EXIT_STOPPED)
        self.cause = self._why()
        with contextlib.suppress(OSError):
            os.write(2, "SIGTERM: ending this run ({})\n".format(self.cause.replace("_", " ")).encode())
        if not self._holds and not self._over:
            raise Stopped(self.cause)

    def _why(self) -> str:
        try:
            self._guard.setblocking(False)
            message, _ = protocol.receive(self._guard)
            return str(message.get("cause") or STOP)
        except (OSError, EOFError, protocol.ProtocolError):
            return STOP

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, SIGTERM is noted but does not interrupt: the last report to OpenMetadata is under way."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def end(self) -> None:
        """The verdict is being written; nothing may interrupt it any more."""
        self._over = True

    @property
    def verdict(self) -> str:
        """What an ended run is called: stopped by a person, failed by a limit."""
        return "stopped" if self.cause == STOP else "failed"
