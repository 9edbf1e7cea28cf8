"""Where a run keeps its files: `<root>/<yyyy-mm-dd>/<run id>/`, named by ids that we minted and never by input."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from minisched.domain.instant import require_utc
from minisched.domain.pipeline import Document
from minisched.worker import protocol

_NO_MORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class RunDirectories:
    """Finds, makes and reads run directories; also the `RunLogs` of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, Path] = {}

    def create(self, run_id: str, enqueued_at: datetime) -> Path:
        """The directory of the run, made now if it is not there (0700). Raises OSError when the disk will not."""
        path = self._root / require_utc(enqueued_at).strftime("%Y-%m-%d") / str(UUID(run_id))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remember(run_id, path)
        return path

    def find(self, run_id: str) -> Path | None:
        """The directory of the run, or None when it never had one or it is gone."""
        known = self._known.get(run_id)
        if known is not None and known.is_dir():
            return known
        name = str(UUID(run_id))
        for day in self._days():
            if (day / name).is_dir():
                self._remember(run_id, day / name)
                return day / name
        return None

    def remove(self, run_id: str) -> None:
        """The directory and its files are gone afterwards."""
        path = self.find(run_id)
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
            self._known.pop(run_id, None)

    def remove_days_before(self, moment: datetime) -> None:
        """Of runs that nothing else remembers: whole days, when they are over."""
        oldest = require_utc(moment).strftime("%Y-%m-%d")
        for day in self._days():
            if day.name < oldest:
                shutil.rmtree(day, ignore_errors=True)

    def record(self, run_id: str, name: str) -> Document | None:
        """One of the JSON files of protocol.py, or None when it is absent or not whole."""
        path = self.find(run_id)
        return None if path is None else protocol.read_record(str(path), name)

    def problem(self, run_id: str) -> tuple[bool, str] | None:
        """Why nothing may have been written there: whether the disk takes no more, and a sentence; None for nothing.

        Tries it, because a disk that the kernel has given up on still looks as if it could be written.
        """
        path = self.find(run_id)
        probe = (path or self._root) / f".probe.{os.getpid()}"
        try:
            with probe.open("wb", buffering=0) as file:
                file.write(b"x" * 4096)
        except OSError as error:
            return error.errno in _NO_MORE, f"its run directory cannot be written: {error.strerror}"
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return (False, "its run directory is gone") if path is None else None

    def size(self, run_id: str) -> int:
        path = self.find(run_id)
        try:
            return 0 if path is None else (path / protocol.LOG_FILE).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        with self._log(run_id) as fd:
            if fd is None:
                return b""
            data = os.pread(fd, min(limit, _kept_from(fd, offset)), offset)
            # The guard may have dropped some of it in this moment; then it reads as zeros.
            return data[: _kept_from(fd, offset)]

    def gap(self, run_id: str, *, offset: int) -> int:
        with self._log(run_id) as fd:
            return 0 if fd is None else _dropped_from(fd, offset)

    @contextlib.contextmanager
    def _log(self, run_id: str) -> Iterator[int | None]:
        path = self.find(run_id)
        try:
            fd = None if path is None else os.open(path / protocol.LOG_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            fd = None
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _days(self) -> Iterator[Path]:
        try:
            yield from sorted(self._root.iterdir(), reverse=True)
        except FileNotFoundError:
            return

    def _remember(self, run_id: str, path: Path) -> None:
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[run_id] = path


def _kept_from(fd: int, offset: int) -> int:
    """How many bytes there are from this offset to the next hole of the file, or to its end."""
    try:
        return os.lseek(fd, offset, os.SEEK_HOLE) - offset
    except OSError:
        return 0  # beyond the end


def _dropped_from(fd: int, offset: int) -> int:
    """How many bytes of a hole there are from this offset on."""
    size = os.fstat(fd).st_size
    if offset >= size:
        return 0
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) - offset
    except OSError:
        return size - offset  # a hole to the end
