"""Runs that a person orders for instants that have passed: of the lowest priority, and never twice for one instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from minisched.domain.errors import PipelineNotFound
from minisched.domain.run import Run, RunKind
from minisched.ports import DeploymentStore, Executor, ScheduleStore
from minisched.scheduler.scheduler import RunOf


class Backfill:
    """Implements `ports.BackfillQueue`."""

    def __init__(
        self, *, deployments: DeploymentStore, schedules: ScheduleStore, executor: Executor, run_of: RunOf
    ) -> None:
        self._deployments = deployments
        self._schedules = schedules
        self._executor = executor
        self._run_of = run_of

    def backfill(self, pipeline_id: str, instants: Sequence[datetime], *, requested_by: str) -> list[Run]:
        deployment = self._deployments.get(pipeline_id)
        if deployment is None:
            raise PipelineNotFound(f"Pipeline {pipeline_id} is not deployed", hint="Deploy it first.")
        # Runs that are queued in the same millisecond are claimed in the order of their ids.
        run_ids = sorted(str(uuid4()) for _ in instants)
        runs = [
            self._run_of(deployment, run_id, instant, RunKind.BACKFILL, requested_by)
            for run_id, instant in zip(run_ids, sorted(instants), strict=True)
        ]
        queued = self._schedules.enqueue(runs)
        if queued:
            self._executor.wake()
        return queued
