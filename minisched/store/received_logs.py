"""ReceivedLogs in files: `<root>/<pipeline id>/<run id>.log`, and an empty `<run id>.closed` beside a closed one.

Both ids are checked to be UUIDs in their canonical form before they become part of a path.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from minisched.domain.errors import StoreUnavailable

MOST_RUNS = 200
_LOG, _CLOSED = ".log", ".closed"
_REST_DROPPED = b"\n\xe2\x80\xa6 the rest of this log is not kept \xe2\x80\xa6\n"


class FileReceivedLogs:
    """Thread-safe; one process writes. `largest_bytes` answers None for no limit."""

    def __init__(self, root: Path, largest_bytes: Callable[[], int | None] = lambda: None) -> None:
        self._root = root
        self._largest_bytes = largest_bytes
        self._writing = threading.Lock()

    def append(self, pipeline_id: str, run_id: str, text: str) -> None:
        path = self._path(pipeline_id, run_id)
        with self._writing, _disk_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._make_room(path.parent)
            path.with_suffix(_CLOSED).unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                file.write(self._kept(text.encode("utf-8", "replace"), os.fstat(descriptor).st_size))

    def _kept(self, data: bytes, size: int) -> bytes:
        """As much of it as may still be added, and once a line for the rest."""
        largest = self._largest_bytes()
        if largest is None or size + len(data) <= largest:
            return data
        return b"" if size > largest else data[: largest - size] + _REST_DROPPED

    def _make_room(self, directory: Path) -> None:
        logs = sorted(directory.glob(f"*{_LOG}"), key=_written_at, reverse=True)
        for path in logs[MOST_RUNS - 1 :]:
            _remove_log(path)

    def close(self, pipeline_id: str, run_id: str) -> None:
        path = self._path(pipeline_id, run_id)
        with self._writing, _disk_errors():
            if path.exists():
                path.with_suffix(_CLOSED).touch(mode=0o600)

    def is_closed(self, pipeline_id: str, run_id: str) -> bool:
        return self._path(pipeline_id, run_id).with_suffix(_CLOSED).exists()

    def size(self, pipeline_id: str, run_id: str) -> int | None:
        try:
            return self._path(pipeline_id, run_id).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, pipeline_id: str, run_id: str, *, offset: int, limit: int) -> bytes:
        try:
            with self._path(pipeline_id, run_id).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), limit, offset)
        except FileNotFoundError:
            return b""

    def runs(self, pipeline_id: str) -> list[tuple[str, datetime]]:
        found = [(path.stem, _written_at(path)) for path in self._directory(pipeline_id).glob(f"*{_LOG}")]
        return sorted(found, key=lambda run: (run[1], run[0]), reverse=True)

    def remove(self, pipeline_id: str) -> None:
        shutil.rmtree(self._directory(pipeline_id), ignore_errors=True)

    def prune(self, *, written_before: datetime) -> int:
        old = [path for path in self._root.glob(f"*/*{_LOG}") if _written_at(path) < written_before]
        for path in old:
            _remove_log(path)
            with contextlib.suppress(OSError):  # not empty: the pipeline has others
                path.parent.rmdir()
        return len(old)

    def _directory(self, pipeline_id: str) -> Path:
        return self._root / str(UUID(pipeline_id))

    def _path(self, pipeline_id: str, run_id: str) -> Path:
        return self._directory(pipeline_id) / f"{UUID(run_id)}{_LOG}"


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"The log cannot be written: {error.strerror}.") from error


def _written_at(path: Path) -> datetime:
    """The beginning of time for a file that is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.fromtimestamp(0, UTC)


def _remove_log(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(_CLOSED).unlink(missing_ok=True)
