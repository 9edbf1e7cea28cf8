"""One server per data directory: the second is refused, and told who the first is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minisched.domain.errors import ConfigurationError
from minisched.file_locks import locks_on


@contextmanager
def instance_lock(path: Path, *, lost_by: int | None = None) -> Iterator[bool]:
    """Hold the lock file while the block runs; True when the last holder did not come to the end of its block.

    Raises ConfigurationError that names the process which holds it. The kernel lets go when the holder dies, however it
    dies; children do not inherit it. `lost_by` is a process that hangs and may not write any more: its lock does not
    count, because the file is replaced by another.
    """
    fd, died = _locked(path, lost_by)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield died
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _locked(path: Path, lost_by: int | None) -> tuple[int, bool]:
    fd = _opened(path)
    if _lock(fd):
        return fd, os.fstat(fd).st_size > 0
    holder = os.pread(fd, 100, 0).decode(errors="replace").strip() or "unknown"
    os.close(fd)
    if lost_by is None or holder != str(lost_by):
        raise ConfigurationError(
            f"another minisched serves this data directory (process {holder})",
            field="data_dir",
            hint="Stop it, or use another data_dir.",
        )
    return _replaced(path), True


def _replaced(path: Path) -> int:
    """A locked file in the place of the one that somebody else keeps locked."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        fresh.unlink()
    fd = _opened(fresh)
    _lock(fd)
    fresh.rename(path)
    return fd


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. Only looked at: trying could keep a server from starting."""
    return any(lock.kind == "FLOCK" for lock in locks_on(path))
