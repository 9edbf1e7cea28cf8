"""The alarm clock: APScheduler wakes us when a schedule is due; a tick enqueues a run and nothing else (D6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from minisched.domain.errors import DuplicateRun, MinischedError
from minisched.domain.pipeline import Deployment
from minisched.domain.run import Run
from minisched.domain.schedule import Schedule
from minisched.ports import Clock, DeploymentStore, Executor, RunStore

log = structlog.get_logger(__name__)


class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler is untyped
    """APScheduler's view of a Schedule: only when to ring next. Its own cron arithmetic is wrong (pitfalls A1-A8)."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        upcoming = self._schedule.next(max(previous, now) if previous else now, 1)
        return upcoming[0] if upcoming else None


class Scheduler:
    """Implements `ports.Alarm`. `run_of(deployment, scheduled_for)` makes the queued run of one instant."""

    def __init__(
        self,
        *,
        deployments: DeploymentStore,
        runs: RunStore,
        executor: Executor,
        run_of: Callable[[Deployment, str, datetime], Run],
        clock: Clock,
        misfire_grace_s: float,
    ) -> None:
        self._deployments = deployments
        self._runs = runs
        self._executor = executor
        self._run_of = run_of
        self._clock = clock
        self._misfire_grace = timedelta(seconds=misfire_grace_s)
        self._looked_at: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._aps: Any = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )

    def start(self) -> None:
        """Set every deployment of the tables, then begin to ring."""
        for deployment in self._deployments.all():
            self.set(deployment)
        self._aps.start()

    def close(self) -> None:
        """Ring no more; a tick that is at work is waited for."""
        if self._aps.running:
            self._aps.shutdown(wait=True)

    def set(self, deployment: Deployment) -> None:
        schedule = Schedule.of(deployment.airflow_config) if deployment.enabled else None
        if schedule is None:
            self.remove(deployment.id)
            return
        with self._lock:
            self._looked_at[deployment.id] = self._clock.now()
        self._aps.add_job(
            self._tick,
            ScheduleTrigger(schedule),
            args=(deployment.id,),
            id=deployment.id,
            name=deployment.fqn,
            replace_existing=True,
        )

    def remove(self, pipeline_id: str) -> None:
        with self._lock:
            self._looked_at.pop(pipeline_id, None)
        try:
            self._aps.remove_job(pipeline_id)
        except JobLookupError:
            return

    def _tick(self, pipeline_id: str) -> None:
        """Enqueue the latest instant that has come since the last look; earlier ones are coalesced into it."""
        try:
            self._enqueue_due(pipeline_id)
        except MinischedError as error:
            log.error("tick.failed", pipeline_id=pipeline_id, error=str(error))

    def _enqueue_due(self, pipeline_id: str) -> None:
        deployment = self._deployments.get(pipeline_id)
        schedule = Schedule.of(deployment.airflow_config) if deployment and deployment.enabled else None
        if deployment is None or schedule is None:
            return
        now = self._clock.now()
        with self._lock:
            since = self._looked_at.get(pipeline_id, now)
            self._looked_at[pipeline_id] = max(now, since)
        due = list(schedule.due(max(since, now - self._misfire_grace), now))
        if not due:
            return
        try:
            self._runs.enqueue(self._run_of(deployment, str(uuid4()), due[-1]))
        except DuplicateRun:
            return
        self._executor.wake()
        log.info("tick.fired", pipeline=deployment.fqn, scheduled_for=due[-1].isoformat(), coalesced=len(due) - 1)
