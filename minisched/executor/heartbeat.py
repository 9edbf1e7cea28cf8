"""Whether a launcher answers: asked at every look and never waited for, so that a hung one holds up nothing."""

from __future__ import annotations

import time

from minisched.domain.errors import OrchestratorUnavailable
from minisched.domain.pipeline import Document
from minisched.executor.launcher_client import LauncherClient

# Together with a look each second, a launcher that hangs is noticed within five.
_ASK_EVERY_S = 0.5
_SILENCE_S = 2.5


class Heartbeat:
    """Over a connection that is used for nothing else. `pong` is the launcher's last answer."""

    def __init__(self, client: LauncherClient) -> None:
        self._client = client
        self._asked_at: float | None = None
        self._next_at = 0.0
        self.pong: Document = {}

    def check(self) -> None:
        """Raises OrchestratorUnavailable when the launcher is gone or has been silent for too long."""
        # Answers first: if it was us who slept, they are there.
        if (answer := self._client.sign_of_life()) is not None:
            self.pong, self._asked_at = answer, None
        now = time.monotonic()
        if self._asked_at is not None:
            if now - self._asked_at > _SILENCE_S:
                raise OrchestratorUnavailable(f"the launcher has not answered for {now - self._asked_at:.1f} s")
        elif now >= self._next_at:
            self._client.ask_for_life()
            self._asked_at, self._next_at = now, now + _ASK_EVERY_S

    def close(self) -> None:
        self._client.close()
