"""The bell: APScheduler as an alarm clock with one job, and the only place that knows APScheduler.

It rings when it was asked to, and every `CAP_S` seconds in any case: a machine that slept and a clock that was set are
noticed within that time. Its own cron arithmetic, its stores and its misfire rules are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

CAP_S = 15.0

_JOB = "bell"
_CAP = timedelta(seconds=CAP_S)
# Those that were asked for while one is at work wait in the queue of the one thread.
_RINGS_AT_ONCE = 3


class _Cap(BaseTrigger):  # type: ignore[misc]  # APScheduler is untyped
    """Again after the cap, counted from now: what lies between is not made up for."""

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        return now + _CAP


class _CappedScheduler(BackgroundScheduler):  # type: ignore[misc]
    """Never sleeps longer than the cap, nor trusts a time to wake up that a clock set back has moved far away."""

    def _process_jobs(self) -> float:
        job = self.get_job(_JOB)
        now = datetime.now(UTC)
        if job is not None and job.next_run_time - now > _CAP + timedelta(seconds=1):
            job.modify(next_run_time=now)
        wait_s: float | None = super()._process_jobs()
        return CAP_S if wait_s is None else min(wait_s, CAP_S)


class Bell:
    """Calls `ring` from a thread of its own, one call at a time."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._aps: Any = _CappedScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": _RINGS_AT_ONCE, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._ring = ring

    def start(self) -> None:
        """Ring at once, then go on."""
        self._aps.add_job(self._ring, _Cap(), id=_JOB, next_run_time=datetime.now(UTC))
        self._aps.start()

    def ring_in(self, delay_s: float) -> None:
        """Let the next ring come after so many seconds, or after the cap if that is sooner."""
        delay = timedelta(seconds=min(max(delay_s, 0.0), CAP_S))
        if self._aps.running:
            self._aps.modify_job(_JOB, next_run_time=datetime.now(UTC) + delay)

    def close(self) -> None:
        """Ring no more; a ring that is at work is waited for."""
        if self._aps.running:
            self._aps.shutdown(wait=True)
