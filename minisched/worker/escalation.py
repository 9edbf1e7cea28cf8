"""Ending a tree of processes for certain: terminate, wait, freeze, kill, until the kernel says that none is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable

from . import processes
from .run_groups import NoGroup

KILL_BOUND_S = 30.0
LEFTOVER_GRACE_S = 1.0
_PIDS_KEPT = 500
_ROUND_S = 0.02
_FREEZE_SCANS = 20


class Escalation:
    """What was done to end the processes below this one, as data.

    `reap` collects ended children and says whether any process is left; `wait` sleeps until a child ends, at most so
    many seconds. Both belong to the guard. The kernel's list of who is in `group` adds to what is seen in /proc.
    """

    def __init__(self, run_id: str, group: NoGroup, reap: Callable[[], bool], wait: Callable[[float], None]) -> None:
        self._run_id = run_id
        self._group = group
        self._reap = reap
        self._wait = wait
        self._began: float | None = None
        self.signals: list[dict[str, object]] = []
        self.pids_seen: set[int] = set()
        self.pids_left = 0
        self.kill_ms: int | None = None

    def terminate(self, group: int | None) -> None:
        """SIGTERM to the runner's group and to every other descendant, SIGCONT so that the stopped hear it."""
        self._begin()
        pids = self._scan()
        in_group = set()
        if group is not None:
            in_group = {pid for pid in pids if _group_of(pid) == group}
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGTERM)
        for pid in pids - in_group:
            _send(pid, signal.SIGTERM)
        for pid in pids:
            _send(pid, signal.SIGCONT)
        self._note(signal.SIGTERM, pids)

    def wait_for_end(self, grace_s: float, done: Callable[[], bool]) -> bool:
        """Wait until `done`, at most `grace_s`; True when it is."""
        deadline = time.monotonic() + grace_s
        while self._reap() and not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wait(min(left, 0.2))
        return True

    def kill(self) -> None:
        """Freeze and kill in rounds until nobody is left, at most 30 s. A fork bomb cannot outrun frozen parents."""
        self._begin()
        deadline = time.monotonic() + KILL_BOUND_S
        while True:
            victims = self._freeze()
            self._group.kill()
            for pid in victims:
                _send(pid, signal.SIGKILL)
            if victims:
                self._note(signal.SIGKILL, victims)
            alive = self._reap()
            if not alive and not victims:
                self.pids_left = 0
                break
            if time.monotonic() > deadline:
                self.pids_left = len(self._scan())
                break
            self._wait(_ROUND_S)
        self._end()

    def finish(self) -> None:
        """Everything ended without SIGKILL."""
        if self._began is not None:
            self._end()

    def _freeze(self) -> set[int]:
        frozen: set[int] = set()
        for _ in range(_FREEZE_SCANS):
            fresh = self._scan() - frozen
            if not fresh:
                break
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            frozen |= fresh
        return frozen

    def _scan(self) -> set[int]:
        pids = processes.descendants(os.getpid()) | (processes.marked(self._run_id) - {os.getpid()})
        pids |= self._group.processes()
        self.pids_seen |= pids
        return pids

    def _begin(self) -> None:
        if self._began is None:
            self._began = time.monotonic()

    def _end(self) -> None:
        assert self._began is not None
        self.kill_ms = round((time.monotonic() - self._began) * 1000)

    def _note(self, signum: signal.Signals, pids: set[int]) -> None:
        if self.signals and self.signals[-1]["signal"] == signum.name == "SIGKILL":
            return  # one entry for all rounds
        at_ms = time.time_ns() // 1000000
        self.signals.append({"signal": signum.name, "at_ms": at_ms, "pids": sorted(pids)[:_PIDS_KEPT]})

    def as_record(self) -> dict[str, object]:
        return {
            "signals": self.signals,
            "pids_seen": sorted(self.pids_seen)[:_PIDS_KEPT],
            "pids_left": self.pids_left,
            "kill_ms": self.kill_ms,
        }


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signum)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
