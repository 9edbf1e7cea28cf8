"""A secret that is made once and kept in a file which only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_SHORTEST = 8


def kept_secret(path: Path, *, random_bytes: int) -> str:
    """What the file holds; it is made when there is none, or none that was written to its end.

    The file appears whole or not at all, whoever else makes it at the same time and wherever that is cut off.
    """
    while len(found := _read(path)) < _SHORTEST:
        draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
        _write(draft, secrets.token_urlsafe(random_bytes))
        try:
            if found or path.exists():
                draft.replace(path)  # what is there was cut off by an earlier version or a full disk
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return found


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii", errors="replace").strip()
    return ""


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
