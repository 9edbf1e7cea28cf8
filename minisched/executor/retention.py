"""Deletes runs that ended long ago, and their files and old logs of others, a few at a time (R11)."""

from __future__ import annotations

import threading
from datetime import timedelta

import structlog

from minisched.domain.errors import StoreUnavailable
from minisched.executor.run_directory import RunDirectories
from minisched.ports import Clock, ReceivedLogs, RunStore

log = structlog.get_logger(__name__)

_EVERY_S = 3600.0
_BATCH = 200


class Retention:
    """One thread; `retention` is the age at which a terminal run goes."""

    def __init__(
        self,
        *,
        runs: RunStore,
        directories: RunDirectories,
        received: ReceivedLogs,
        clock: Clock,
        retention: timedelta,
    ) -> None:
        self._runs = runs
        self._directories = directories
        self._received = received
        self._clock = clock
        self.retention = retention
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._leaving.set()
        if self._thread.ident is not None:
            self._thread.join()

    def prune(self) -> int:
        """Delete what is due now; returns how many runs that were."""
        too_old = self._clock.now() - self.retention
        total = 0
        while ids := self._runs.prune(ended_before=too_old, limit=_BATCH):
            for run_id in ids:
                self._directories.remove(run_id)
            total += len(ids)
        self._received.prune(written_before=too_old)
        return total

    def _loop(self) -> None:
        while not self._leaving.is_set():
            try:
                if deleted := self.prune():
                    log.info("retention.pruned", runs=deleted)
            except StoreUnavailable as error:
                log.warning("store.unavailable", error=str(error))
            self._leaving.wait(_EVERY_S)
