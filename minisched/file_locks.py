"""The locks that the kernel holds on a file: looking takes none, so it keeps nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class FileLock:
    """`kind` is FLOCK or POSIX. `first` is the offset of the first byte that is locked."""

    kind: str
    exclusive: bool
    pid: int
    first: int


def locks_on(path: Path) -> list[FileLock]:
    """All that are held; none when there is no such file, or the kernel does not tell. Source: proc_locks(5)."""
    try:
        inode = path.stat().st_ino
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    return list(_parsed(lines, inode))


def _parsed(lines: list[str], inode: int) -> Iterator[FileLock]:
    for line in lines:
        # "1: POSIX  ADVISORY  WRITE 708 fe:00:12345 120 120"; who waits for a lock has "->" after the number.
        words = line.split()
        # A device has other numbers there than in stat on some systems, so the inode has to do.
        if len(words) == 8 and words[5].rpartition(":")[2] == str(inode):
            yield FileLock(words[1], words[3] == "WRITE", int(words[4]), int(words[6]))
