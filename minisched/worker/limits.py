"""What a run may use: time, memory, room for its log; and how much of it was used."""

from __future__ import annotations

import os
import time
from typing import Any, Mapping

from . import memory, processes
from .log_limit import LogLimit
from .run_groups import BY_WATCHING, NoGroup

TIME = "time_limit"
MEMORY = "memory_limit"

LOOK_S = 0.1
HURRIED_LOOK_S = 0.02
PEAK_EVERY_S = 2.0
_FAR_OVER = 1.25


class Limits:
    """Looked at by the guard: `exceeded` says which limit is over, `next_look` when to ask again."""

    def __init__(self, limits: Mapping[str, Any], runner_pid: int) -> None:
        self.grace_s = float(limits.get("grace_s") or 0.0)
        self._timeout_s = limits.get("timeout_s")
        self._memory_kb = int(limits["memory_limit_mb"]) * 1024 if limits.get("memory_limit_mb") else None
        self._log_bytes = int(limits["log_limit_mb"]) * 1024 * 1024 if limits.get("log_limit_mb") else None
        self._memory = memory.RunMemory(runner_pid)
        self._group = NoGroup()
        self._watches_memory = self._memory_kb is not None
        self._started = time.monotonic()
        self._next_look = self._started + LOOK_S
        self._next_peak = self._started + PEAK_EVERY_S
        self._log: LogLimit | None = None
        self._used_kb: int | None = None
        self._peak_tree_rss_kb = 0

    def watch_log(self, fd: int) -> None:
        """Keep this log small; the descriptor stays the caller's."""
        if self._log_bytes is not None:
            self._log = LogLimit(fd, self._log_bytes)

    def hold_memory(self, group: NoGroup) -> None:
        """Leave the memory limit, if there is one, to the group; what it cannot hold goes on being watched."""
        if self._memory_kb is not None and group.limit_memory(self._memory_kb // 1024):
            self._group = group
            self._watches_memory = False

    def watch_memory(self, pid: int, rollup_fd: int) -> None:
        """The descriptor tells how much memory the process has; it is ours from now on."""
        self._memory.learn(pid, rollup_fd)

    def pause_s(self) -> float:
        """How long nothing has to be looked at."""
        until = self._next_look
        if self._timeout_s is not None:
            until = min(until, self._started + self._timeout_s)
        return max(0.0, until - time.monotonic())

    def exceeded(self, seen: set[int]) -> str | None:
        """Which limit the run is over. `seen` gets the pids that were met while looking."""
        now = time.monotonic()
        if self._timeout_s is not None and now >= self._started + self._timeout_s:
            return TIME
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_S
        if self._log is not None:
            self._log.keep()
            if self._log.hurries:
                self._next_look = now + HURRIED_LOOK_S
        if self._watches_memory or now >= self._next_peak:
            self._next_peak = now + PEAK_EVERY_S
            return MEMORY if self._over_memory(seen, 1.0) else None
        return None

    def far_exceeded(self) -> bool:
        """For a run that is being ended: True when it uses its grace to eat up the machine."""
        if self._log is not None:
            self._log.keep()
        return self._watches_memory and self._over_memory(set(), _FAR_OVER)

    def _over_memory(self, seen: set[int], factor: float) -> bool:
        pids = processes.tree(os.getpid())
        seen |= pids
        resident_kb = self._memory.resident_kb(pids)
        self._peak_tree_rss_kb = max(self._peak_tree_rss_kb, resident_kb)
        if self._memory_kb is None or not self._watches_memory or resident_kb <= self._memory_kb * factor:
            return False
        used_kb = self._memory.used_kb(pids)
        self._used_kb = max(self._used_kb or 0, used_kb)
        return used_kb > self._memory_kb * factor

    def as_record(self, max_rss_kb: int) -> dict[str, Any]:
        """For the exit record, after the end: what was used, and what was given up of the log."""
        peak_kb = max(self._peak_tree_rss_kb, max_rss_kb)
        record: dict[str, Any] = {"timeout_s": self._timeout_s, "peak_tree_rss_kb": peak_kb}
        if self._memory_kb is not None:
            record["memory_limit_kb"] = self._memory_kb
            record["memory_limit_by"] = BY_WATCHING
            record["memory_kb"] = self._used_kb  # the most that was measured; null when it never came near the limit
            record.update(self._group.as_record())
        if self._log is not None:
            self._log.keep(ended=True)
            record.update({"log_bytes": self._log.size, "log_dropped_bytes": self._log.dropped})
            if self._log.problem:
                record["log_problem"] = self._log.problem
        return record
