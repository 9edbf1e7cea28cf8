"""Who descends from whom, how much memory a tree holds, who carries a run's mark: read from /proc."""

from __future__ import annotations

import os
import time
from typing import AbstractSet

from .protocol import RUN_MARK, RUN_TITLE

_DEAD = b"ZX"
_OOM_LOOK_S = 1.0


def _read(path: str, size: int = 4096) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, size)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _state_and_parent(pid: int) -> tuple[int, int] | None:
    stat = _read("/proc/{}/stat".format(pid))
    end = stat.rfind(b")")
    if end < 0:
        return None
    state, parent = stat[end + 2 :].split(None, 2)[:2]
    return state[0], int(parent)


def descendants(root: int, without: AbstractSet[int] = frozenset()) -> set[int]:
    """Living processes below `root`, from one scan of /proc; neither zombies nor the trees that start at `without`."""
    children: dict[int, list[int]] = {}
    living: set[int] = set()
    for pid in _all_pids():
        facts = _state_and_parent(pid)
        if facts is None:
            continue
        children.setdefault(facts[1], []).append(pid)
        if facts[0] not in _DEAD:
            living.add(pid)
    found: set[int] = set()
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        if pid not in without:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found & living


def tree(root: int) -> set[int]:
    """Like `descendants`, but follows the kernel's lists of children: cheap, and blind to what forks meanwhile."""
    found: set[int] = set()
    waiting = _children(root)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(_children(pid))
    return found


def _children(pid: int) -> list[int]:
    directory = "/proc/{}/task".format(pid)
    try:
        threads = os.listdir(directory)
    except OSError:
        return []
    return [int(child) for tid in threads for child in _read("{}/{}/children".format(directory, tid), 65536).split()]


def marked(run_id: str) -> set[int]:
    """Processes that carry the run's mark: programs in their environment, as far as we may read it, forks in their
    command line."""
    mark = "{}={}".format(RUN_MARK, run_id).encode()
    title = (RUN_TITLE + run_id).encode()
    return {pid for pid in _all_pids() if title in _words(pid, "cmdline") or mark in _words(pid, "environ")}


def _words(pid: int, name: str) -> list[bytes]:
    try:
        with open("/proc/{}/{}".format(pid, name), "rb") as file:
            return [word.rstrip(b" ") for word in file.read().split(b"\0")]
    except OSError:
        return []


class RecentOomKills:
    """How often the kernel has killed for want of memory within the last seconds, on the whole machine: what happened
    earlier has nothing to do with a process that dies now."""

    def __init__(self) -> None:
        self._before = self._last = oom_kills()
        self._looked_at = time.monotonic()

    def look(self) -> None:
        """Call it often; it does something once a second."""
        now = time.monotonic()
        if now - self._looked_at >= _OOM_LOOK_S:
            self._before, self._last, self._looked_at = self._last, oom_kills(), now

    def count(self) -> int:
        """Since the look before the last one, so that a kill which that one has just seen still counts."""
        return oom_kills() - self._before


def oom_kills() -> int:
    """How often this machine's kernel has killed for want of memory since boot."""
    for line in _read("/proc/vmstat", 65536).splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0
