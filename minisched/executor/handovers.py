"""Claimed runs that no guard has taken yet: each is handed to a launcher until one takes it, but not for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass

from minisched.domain.run import Run

ATTEMPTS = 5
_AGAIN_S = 0.5


@dataclass(slots=True)
class _Waiting:
    run: Run
    attempts: int = 0
    not_before: float = 0.0


class Handovers:
    """Repeating a hand-over is safe: a guard creates the started file before anything runs, and only one guard can."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, run: Run) -> None:
        """From now on it is not forgotten until it is dropped; due half a second from now."""
        self._waiting.setdefault(run.id, _Waiting(run)).not_before = time.monotonic() + _AGAIN_S

    def due(self) -> list[Run]:
        now = time.monotonic()
        return [waiting.run for waiting in self._waiting.values() if waiting.not_before <= now]

    def begin(self, run: Run) -> bool:
        """Count one attempt; False when there were enough."""
        self.add(run)
        waiting = self._waiting[run.id]
        waiting.attempts += 1
        return waiting.attempts <= ATTEMPTS

    def take_back(self, run: Run) -> None:
        """The attempt did not come to anything that it could be judged by."""
        if (waiting := self._waiting.get(run.id)) is not None:
            waiting.attempts -= 1

    def drop(self, run_id: str) -> None:
        self._waiting.pop(run_id, None)
