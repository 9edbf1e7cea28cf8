"""Deletes old runs with their files, old logs of others, ticks and audit rows, a few at a time (R11)."""

from __future__ import annotations

import threading
from datetime import timedelta

import structlog

from minisched.domain.errors import StoreUnavailable
from minisched.executor.run_directory import RunDirectories
from minisched.ports import AuditTrail, Clock, ReceivedLogs, RunStore, TickHistory

log = structlog.get_logger(__name__)

_EVERY_S = 3600.0
_BATCH = 200
_TICK_BATCH = 1000


class Retention:
    """One thread; `retention` is the age at which a terminal run goes, `tick_retention` that of a tick,
    `audit_retention` that of the record of a change."""

    def __init__(
        self,
        *,
        runs: RunStore,
        ticks: TickHistory,
        directories: RunDirectories,
        received: ReceivedLogs,
        clock: Clock,
        retention: timedelta,
        tick_retention: timedelta,
        audit_trail: AuditTrail,
        audit_retention: timedelta,
    ) -> None:
        self._runs = runs
        self._ticks = ticks
        self._directories = directories
        self._received = received
        self._clock = clock
        self.retention = retention
        self.tick_retention = tick_retention
        self._audit_trail = audit_trail
        self.audit_retention = audit_retention
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

    def prune_ticks(self) -> int:
        """Delete the ticks that are old enough to go; returns how many rows that were."""
        total = 0
        before = self._clock.now() - self.tick_retention
        while deleted := self._ticks.prune(before=before, limit=_TICK_BATCH):
            total += deleted
        return total

    def prune_audit(self) -> int:
        """Delete the audit rows that are old enough to go; returns how many that were."""
        total = 0
        before = self._clock.now() - self.audit_retention
        while deleted := self._audit_trail.prune(before=before, limit=_TICK_BATCH):
            total += deleted
        return total

    def _loop(self) -> None:
        while not self._leaving.is_set():
            try:
                runs, ticks, changes = self.prune(), self.prune_ticks(), self.prune_audit()
                if runs or ticks or changes:
                    log.info("retention.pruned", runs=runs, ticks=ticks, audit_rows=changes)
            except StoreUnavailable as error:
                log.warning("store.unavailable", error=str(error))
            self._leaving.wait(_EVERY_S)
