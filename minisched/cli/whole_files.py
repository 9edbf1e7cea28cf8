"""Files that are either old or new as a whole, and directories for what only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from minisched.domain.errors import InvalidInput


def make_private_directory(path: Path) -> None:
    """Make it with mode 0700, or take one that others cannot write to. Raises InvalidInput."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o022:
            raise InvalidInput(f"others may write to {path}.", hint=f"chmod go-w {path}, or name another directory.")
    except OSError as error:
        raise InvalidInput(f"cannot make the directory {path}: {error.strerror}.") from error


def write_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """In place of what was there. Raises InvalidInput."""
    draft = path.with_name(f".{uuid4().hex}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}.") from error
