"""progress.json, each second: what the steps have counted so far."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from . import protocol
from .redaction import Redactor
from .steps import live_counters

EVERY_S = 1.0


class Progress:
    """Writes the counters of a running workflow from a thread of its own; the disk being full ends nothing."""

    def __init__(self, run_id: str, run_dir: str, redactor: Redactor) -> None:
        self._run_id = run_id
        self._run_dir = run_dir
        self._redactor = redactor
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, workflow: Any) -> None:
        self._thread = threading.Thread(target=self._write, args=(workflow,), name="minisched-progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()

    def join(self) -> None:
        """Wait for the thread's end, after `end`."""
        if self._thread is not None:
            self._thread.join()

    def _write(self, workflow: Any) -> None:
        last: list[dict[str, Any]] = []
        while not self._over.wait(EVERY_S):
            steps = self._redactor.clean_document(live_counters(workflow))
            if steps and steps != last:
                last = steps
                record = {"run_id": self._run_id, "at_ms": time.time_ns() // 1000000, "steps": steps}
                with contextlib.suppress(OSError):
                    protocol.write_record(self._run_dir, protocol.PROGRESS_FILE, record, durable=False)
