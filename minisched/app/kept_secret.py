"""A secret that is made once and kept in a file which only its owner can read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_SHORTEST = 8


def kept_secret(path: Path, *, random_bytes: int) -> str:
    """What the file holds; it is made when there is none, or none that was written to its end.

    The file appears whole or not at all, wherever that is cut off, and whoever else makes it at the same time gets the
    same.
    """
    if _is_whole(found := _read(path)):
        return found
    with _alone_in(path.parent):
        # Another may have made it meanwhile. What was cut off, by an earlier version or a full disk, is replaced.
        if not _is_whole(found := _read(path)):
            found = secrets.token_urlsafe(random_bytes)
            _write(path, found)
    return found


def _is_whole(text: str) -> bool:
    return len(text) >= _SHORTEST


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii", errors="replace").strip()
    return ""


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
