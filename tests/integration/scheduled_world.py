"""A scheduler over a real SQLite database, with a clock that a test moves and a server that it can kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from minisched.clients.local import LocalClient, new_run
from minisched.domain.outcome import outcome
from minisched.domain.pipeline import Deployment, Document, PipelineRef
from minisched.domain.run import Run, RunKind, RunReason, RunState
from minisched.domain.tick import CatchUpPolicy, Decision, Tick
from minisched.ports import ClientResponse, RunQuery
from minisched.scheduler import Backfill, Scheduler
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.runs import SqlRunStore
from minisched.store.schedules import SqlScheduleStore
from minisched.store.secrets import SecretBox, new_key
from minisched.store.tick_history import SqlTickHistory
from minisched.store.watches import SqlWatches
from tests.api_worlds import migrated_database
from tests.fakes import FakeExecutor, FakeRuntimeChoice, FakeRuntimes, MemoryRunLogs, ScriptedJudge
from tests.fakes_store import ManualClock

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0


class _NoAutomations:
    def run(self, workflow: Document, *, runtime: str) -> ClientResponse:
        return ClientResponse(200, None, "local")


class ScheduledWorld:
    """`server()` begins a new server on the same database, as after a kill -9: what the old one knew is gone."""

    def __init__(self, database: Database, clock: ManualClock, policy: CatchUpPolicy) -> None:
        self.database = database
        self.clock = clock
        self.policy = policy
        self.box = SecretBox([new_key()])
        self.deployments = SqlDeploymentStore(database, self.box)
        self.runs = SqlRunStore(database, self.box, clock)
        self.schedules = SqlScheduleStore(database, self.box)
        self.history = SqlTickHistory(database, self.box)
        self.executor = FakeExecutor(self.runs, clock)
        self.backfill = Backfill(
            deployments=self.deployments, schedules=self.schedules, executor=self.executor, run_of=self._run_of
        )
        self.server()

    def server(self, *, loaded: bool = True) -> None:
        self.scheduler = Scheduler(
            schedules=self.schedules,
            watches=SqlWatches(self.database),
            executor=self.executor,
            run_of=self._run_of,
            clock=self.clock,
            policy=self.policy,
        )
        self.client = LocalClient(
            deployments=self.deployments,
            runs=self.runs,
            logs=MemoryRunLogs(),
            executor=self.executor,
            health=FakeRuntimes(),
            alarm=self.scheduler,
            automations=_NoAutomations(),
            clock=self.clock,
            chooser=FakeRuntimeChoice(),
            judge=ScriptedJudge(),
            host_ip=lambda: "192.0.2.1",
            kill_patience_s=1.0,
        )
        if loaded:
            self.scheduler.load()
            self.scheduler.ring()

    def _run_of(
        self, deployment: Deployment, run_id: str, scheduled_for: datetime, kind: RunKind, requested_by: str
    ) -> Run:
        return new_run(
            deployment,
            run_id=run_id,
            kind=kind,
            clock=self.clock,
            runtime="main",
            requested_by=requested_by,
            scheduled_for=scheduled_for,
        )

    # --- what a test does -------------------------------------------------------------------------------------------

    def deploy(
        self, cron: str | None, *, pipeline_id: str | None = None, enabled: bool | None = None, **timing: Any
    ) -> str:
        """A pipeline with this schedule; its id."""
        pipeline_id = pipeline_id or str(uuid4())
        document: Document = {
            "id": pipeline_id,
            "name": f"p{pipeline_id[:8]}",
            "fullyQualifiedName": f"shop.p{pipeline_id[:8]}",
            "pipelineType": "metadata",
            "service": {"fullyQualifiedName": "shop", "type": "databaseService"},
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
            "airflowConfig": {"scheduleInterval": cron, **timing},
        }
        if enabled is not None:
            document["enabled"] = enabled
        assert self.client.deploy_pipeline(document).code == 200
        return pipeline_id

    def enable(self, pipeline_id: str, *, enabled: bool = True) -> None:
        assert self.client.toggle_ingestion(self._ref(pipeline_id), enabled=enabled).code == 200

    def delete(self, pipeline_id: str) -> None:
        assert self.client.delete_pipeline(self._ref(pipeline_id)).code == 200

    def _ref(self, pipeline_id: str) -> PipelineRef:
        return PipelineRef(f"p{pipeline_id[:8]}", pipeline_id)

    def pass_time(self, seconds: float, *, every_s: float = 15.0) -> None:
        """Time goes by while the scheduler is at work."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            left = (end - self.clock.now()).total_seconds()
            self.clock.advance(min(every_s, left))
            self.scheduler.ring()

    def jump(self, seconds: float) -> None:
        """The clock moves at once, forward or back: it was set, or the machine slept."""
        self.clock.advance(seconds)
        self.scheduler.ring()

    def end_runs(self) -> None:
        """Everything that is queued runs and ends."""
        while (run := self.runs.claim(slots=1_000)) is not None:
            done = outcome(RunState.SUCCESS, RunReason.COMPLETED, "The workflow ended well.")
            self.runs.finish(run.id, done, ended_at=self.clock.now())

    # --- what is seen -----------------------------------------------------------------------------------------------

    def ticks(self, pipeline_id: str) -> list[Tick]:
        """Oldest first."""
        return self.history.ticks(pipeline_id, limit=100_000)[::-1]

    def decisions(self, pipeline_id: str) -> list[tuple[str, str, int]]:
        """`(HH:MM, decision, instants)`, oldest first."""
        return [(f"{tick.scheduled_for:%H:%M}", tick.decision.value, tick.instants) for tick in self.ticks(pipeline_id)]

    def fired(self, pipeline_id: str) -> list[str]:
        """HH:MM of what has fired; each has its run."""
        fired = [tick for tick in self.ticks(pipeline_id) if tick.decision is Decision.FIRED]
        for tick in fired:
            run = self.runs.get(tick.run_id or "")
            assert (run.pipeline_id, run.scheduled_for) == (pipeline_id, tick.scheduled_for)
        return [f"{tick.scheduled_for:%H:%M}" for tick in fired]

    def runs_of(self, pipeline_id: str) -> list[Run]:
        """Oldest instant first."""
        found = self.runs.search(RunQuery(pipeline_id=pipeline_id, limit=100_000))
        return sorted(found, key=lambda run: run.scheduled_for or run.enqueued_at)


@contextmanager
def scheduled_world(
    directory: Path,
    *,
    now: datetime = datetime(2026, 3, 2, 11, 59, 30, tzinfo=UTC),
    grace_s: float = HOUR,
    window_s: float = DAY,
    catchup_runs: int = 100,
    url: str | None = None,
) -> Iterator[ScheduledWorld]:
    """A world whose clock shows `now`; on a new SQLite database, or on the one of this URL."""
    url = url or migrated_database(directory / "minisched.db")
    database = open_database(url, synchronous="OFF")
    try:
        policy = CatchUpPolicy(timedelta(seconds=grace_s), timedelta(seconds=window_s), catchup_runs)
        yield ScheduledWorld(database, ManualClock(now), policy)
    finally:
        database.close()
