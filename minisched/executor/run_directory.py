"""Where a run keeps its files: `<root>/<yyyy-mm-dd>/<run id>/`, named by ids that we minted and never by input."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from minisched.domain.instant import require_utc
from minisched.domain.pipeline import Document
from minisched.worker import protocol


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

    def record(self, run_id: str, name: str) -> Document | None:
        """One of the JSON files of protocol.py, or None when it is absent or not whole."""
        path = self.find(run_id)
        return None if path is None else protocol.read_record(str(path), name)

    def size(self, run_id: str) -> int:
        path = self.find(run_id)
        try:
            return 0 if path is None else (path / protocol.LOG_FILE).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        path = self.find(run_id)
        if path is None:
            return b""
        try:
            fd = os.open(path / protocol.LOG_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, limit, offset)
        finally:
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
