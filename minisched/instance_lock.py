"""One server per data directory: the second is refused, and told who the first is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minisched.domain.errors import ConfigurationError


@contextmanager
def instance_lock(path: Path) -> Iterator[bool]:
    """Hold the lock file while the block runs; True when the last holder did not come to the end of its block.

    Raises ConfigurationError that names the process which holds it. The kernel lets go when the holder dies, however it
    dies; children do not inherit it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 100, 0).decode(errors="replace").strip() or "unknown"
            raise ConfigurationError(
                f"another minisched serves this data directory (process {holder})",
                field="data_dir",
                hint="Stop it, or use another data_dir.",
            ) from None
        died = os.fstat(fd).st_size > 0
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield died
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
