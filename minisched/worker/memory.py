"""How much memory a run has for itself.

A forked process has the launcher's imported modules in its resident set from the start, hundreds of megabytes that
cost nothing; a limit on that would not mean what it says. What counts is memory that is private to one process, plus
what the run's processes share with each other. The kernel tells both in smaps_rollup, which takes milliseconds, so it
is only asked when the resident sets, which take microseconds, add up to more than the limit.
"""

from __future__ import annotations

import contextlib
import os
from typing import Iterable

_ROLLUP = "/proc/{}/smaps_rollup"
_SIZE = 4096
_MOST_ROLLUPS = 64


_inherited_kb = 0


def note_inherited() -> None:
    """What this process has now is what its forks begin with and do not pay for."""
    global _inherited_kb
    with contextlib.suppress(OSError):
        _inherited_kb = _numbers(_read(_ROLLUP.format("self"))).get("Anonymous", 0)


def open_own_rollup() -> int:
    """A descriptor for somebody else: this process hides its memory, and may still say how much it has.

    Raises OSError where the kernel has no such file (before 4.14).
    """
    return os.open(_ROLLUP.format("self"), os.O_RDONLY | os.O_CLOEXEC)


class RunMemory:
    """Measures the processes of one run. Those that hide their memory may give descriptors that tell."""

    def __init__(self, runner_pid: int) -> None:
        self._runner_pid = runner_pid
        self._rollups: dict[int, int] = {}

    def learn(self, pid: int, rollup_fd: int) -> None:
        """From now on the descriptor is ours."""
        self._forget(pid)
        if len(self._rollups) >= _MOST_ROLLUPS:
            for ended in [one for one in self._rollups if not os.path.isdir("/proc/{}".format(one))]:
                self._forget(ended)
        if len(self._rollups) < _MOST_ROLLUPS:
            self._rollups[pid] = rollup_fd
        else:
            os.close(rollup_fd)

    def _forget(self, pid: int) -> None:
        fd = self._rollups.pop(pid, -1)
        if fd >= 0:
            os.close(fd)

    def resident_kb(self, pids: Iterable[int]) -> int:
        """Resident and swapped memory, pages that processes share counted for each: never less than `used_kb`."""
        return sum(_resident_kb(pid) for pid in pids)

    def used_kb(self, pids: Iterable[int]) -> int:
        """Memory that would be free if these processes, and nobody else, were gone; rather too little than too much.

        What they share with the launcher cannot be told from what they share with each other, so as much of it is
        taken off as the launcher can have given.
        """
        begun_with = max(_inherited_kb, self._numbers_of(self._runner_pid).get("Anonymous", 0))
        private = shared = 0
        for pid in pids:
            numbers = self._numbers_of(pid)
            if numbers:
                own = numbers.get("Private_Dirty", 0) + numbers.get("SwapPss", 0)
                private += own
                shared += max(0, _proportional(numbers) - own)
            else:
                # A fork that hides its memory: it has what the runner has, and what it took since.
                private += max(0, _resident_kb(pid) - begun_with)
        return private + max(0, shared - _inherited_kb)

    def _numbers_of(self, pid: int) -> dict[str, int]:
        """Empty when the process does not tell, or has ended."""
        with contextlib.suppress(OSError):
            if pid in self._rollups:
                return _numbers(os.pread(self._rollups[pid], _SIZE, 0))
            return _numbers(_read(_ROLLUP.format(pid)))
        return {}


def _proportional(numbers: dict[str, int]) -> int:
    """Each page divided by the number of processes that have it; without those of files, which cost nothing."""
    if "Pss_Anon" in numbers:
        return numbers["Pss_Anon"] + numbers.get("Pss_Shmem", 0) + numbers.get("SwapPss", 0)
    return min(numbers.get("Pss", 0), numbers.get("Anonymous", 0)) + numbers.get("SwapPss", 0)


def _resident_kb(pid: int) -> int:
    try:
        numbers = _numbers(_read("/proc/{}/status".format(pid)))
    except OSError:
        return 0
    return numbers.get("VmRSS", 0) + numbers.get("VmSwap", 0)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _SIZE)
    finally:
        os.close(fd)


def _numbers(text: bytes) -> dict[str, int]:
    """The lines that say so many kB."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == b"kB":
            found[words[0].rstrip(b":").decode()] = int(words[1])
    return found
