"""Files that hold secrets are overwritten before they are removed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_BLOCK = 1 << 20


def shred(path: Path) -> str | None:
    """Overwrite with random bytes, then remove; None when that was done, else why it was not.

    Links are left alone. A file system that keeps old blocks (copy-on-write, snapshots) and a backup keep what they
    have.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return error.strerror or str(error)
    with os.fdopen(descriptor, "wb", buffering=0):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            return "it is not a file of its own"
        try:
            _overwrite(descriptor, status.st_size)
            path.unlink()
        except OSError as error:
            return error.strerror or str(error)
    return None


def _overwrite(descriptor: int, size: int) -> None:
    written = 0
    while written < size:
        written += os.write(descriptor, os.urandom(min(_BLOCK, size - written)))
    os.fsync(descriptor)
