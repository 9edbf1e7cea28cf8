"""Whatever people, clocks and kills do: the decisions are the calendar's instants, and none is decided twice (R1, R2).

The model knows only which schedule was in force when, by the clock that the people saw. MINISCHED_LONG=1 tries more.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from minisched.domain.run import RunKind
from minisched.domain.schedule import Schedule
from minisched.domain.tick import Decision, Tick
from tests.integration.scheduled_world import ScheduledWorld, scheduled_world

PIPELINES = [str(uuid5(NAMESPACE_URL, f"pipeline {number}")) for number in range(3)]
CRONS = ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */6 * * *", "15,45 1-3 * * *", "0 0 29 2 *", None]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
# Before clocks change in Berlin, in New York, on Lord Howe, and nowhere.
STARTS = [
    datetime(2026, 3, 28, 22, 58, 10, tzinfo=UTC),
    datetime(2026, 11, 1, 4, 29, 50, tzinfo=UTC),
    datetime(2026, 10, 3, 14, 59, 59, tzinfo=UTC),
    datetime(2026, 6, 15, 12, 0, tzinfo=UTC),
]
FORWARD_S = [0.5, 10, 60, 7 * 60, 3600, 26 * 3600, 3 * 86400]
BACK_S = [30, 600, 3600, 90000]

pipelines = st.sampled_from(PIPELINES)


@dataclass
class InForce:
    since: datetime
    until: datetime | None
    timing: dict[str, Any]
    enabled: bool

    def instants(self, until: datetime) -> set[datetime]:
        schedule = Schedule.of(self.timing)
        return set(schedule.due(self.since, min(self.until or until, until))) if schedule else set()


class Calendar(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.model: dict[str, list[InForce]] = {pipeline: [] for pipeline in PIPELINES}

    @initialize(
        start=st.sampled_from(STARTS), catchup_runs=st.sampled_from([3, 100]), grace_s=st.sampled_from([0, 3600])
    )
    def begin(self, start: datetime, catchup_runs: int, grace_s: float) -> None:
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.world: ScheduledWorld = self.stack.enter_context(
            scheduled_world(directory, now=start, catchup_runs=catchup_runs, grace_s=grace_s)
        )

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                for pipeline in PIPELINES:
                    if self._present(pipeline) is not None:
                        self._enable(pipeline, enabled=True)
                self.world.scheduler.ring()
                self._check(complete=True)
        finally:
            self.stack.close()

    # --- people -----------------------------------------------------------------------------------------------------

    @rule(
        pipeline=pipelines,
        cron=st.sampled_from(CRONS),
        zone=st.sampled_from(ZONES),
        enabled=st.booleans(),
        catchup=st.booleans(),
    )
    def deploy(self, pipeline: str, cron: str | None, zone: str, enabled: bool, catchup: bool) -> None:
        timing = {"scheduleInterval": cron, "pipelineTimezone": zone, "pipelineCatchup": catchup}
        self.world.deploy(cron, pipeline_id=pipeline, enabled=enabled, pipelineTimezone=zone, pipelineCatchup=catchup)
        self._put(pipeline, timing, enabled=enabled)

    @rule(pipeline=pipelines, enabled=st.booleans())
    def toggle(self, pipeline: str, enabled: bool) -> None:
        if self._present(pipeline) is not None:
            self._enable(pipeline, enabled=enabled)

    @rule(pipeline=pipelines)
    def delete(self, pipeline: str) -> None:
        if (present := self._present(pipeline)) is not None:
            self.world.delete(pipeline)
            self._end(pipeline, present)

    @rule(pipeline=pipelines, hours=st.integers(1, 30))
    def backfill(self, pipeline: str, hours: int) -> None:
        present = self._present(pipeline)
        schedule = Schedule.of(present.timing) if present else None
        if schedule is None:
            return
        (version,) = self.world.schedules.present([pipeline])
        instants = list(schedule.due(version.decided_until - timedelta(hours=hours), version.decided_until))
        self.world.backfill.backfill(pipeline, instants[-20:], requested_by="ann")

    @rule()
    def runs_end(self) -> None:
        self.world.end_runs()

    # --- clocks and kills -------------------------------------------------------------------------------------------

    @rule(minutes=st.integers(1, 12))
    def works(self, minutes: int) -> None:
        self.world.pass_time(60 * minutes, every_s=20)

    @rule(seconds=st.sampled_from(FORWARD_S))
    def sleeps(self, seconds: float) -> None:
        self.world.jump(seconds)

    @rule(seconds=st.sampled_from(BACK_S))
    def goes_back(self, seconds: float) -> None:
        self.world.jump(-seconds)
        self._forget_the_future()

    @rule(seconds=st.sampled_from(FORWARD_S))
    def is_killed(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.server()

    @rule(seconds=st.sampled_from(BACK_S))
    def is_killed_and_goes_back(self, seconds: float) -> None:
        self.world.clock.advance(-seconds)
        self.world.server()
        self._forget_the_future()

    @rule(pipeline=pipelines, seconds=st.sampled_from(FORWARD_S))
    def is_killed_amid_a_change(self, pipeline: str, seconds: float) -> None:
        """Between the decisions by the old schedule and the new one."""
        self.world.clock.advance(seconds)
        self.world.scheduler.settle(pipeline, self.world.clock.now())
        self.world.server()

    # --- the model --------------------------------------------------------------------------------------------------

    def _enable(self, pipeline: str, *, enabled: bool) -> None:
        self.world.enable(pipeline, enabled=enabled)
        present = self._present(pipeline)
        assert present is not None
        self._put(pipeline, present.timing, enabled=enabled)

    def _present(self, pipeline: str) -> InForce | None:
        history = self.model[pipeline]
        return history[-1] if history and history[-1].until is None else None

    def _put(self, pipeline: str, timing: dict[str, Any], *, enabled: bool) -> None:
        present = self._present(pipeline)
        now = self.world.clock.now()
        if present is None:
            self._truncate(pipeline, now)
            self.model[pipeline].append(InForce(now, None, timing, enabled))
        elif (present.timing, present.enabled) != (timing, enabled):
            if self._same_instants(present.timing, timing) and present.enabled == enabled:
                present.timing = timing
                return
            self._end(pipeline, present)
            self.model[pipeline].append(InForce(now, None, timing, enabled))

    @staticmethod
    def _same_instants(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return {**one, "pipelineCatchup": None} == {**other, "pipelineCatchup": None}

    def _end(self, pipeline: str, present: InForce) -> None:
        present.until = self.world.clock.now()
        if present.until <= present.since:
            self.model[pipeline].remove(present)

    def _forget_the_future(self) -> None:
        """What was decided about it is reopened; what was deleted stays as it was."""
        for pipeline in PIPELINES:
            if self._present(pipeline) is not None:
                self._truncate(pipeline, self.world.clock.now())

    def _truncate(self, pipeline: str, now: datetime) -> None:
        kept = []
        for interval in self.model[pipeline]:
            if interval.until is None:
                kept.append(replace(interval, since=min(interval.since, now)))
            elif interval.since < now:
                kept.append(replace(interval, until=min(interval.until, now)))
        self.model[pipeline] = kept

    # --- what has to be true ----------------------------------------------------------------------------------------

    @invariant()
    def decisions_are_the_calendars_instants(self) -> None:
        if hasattr(self, "world"):
            self._check(complete=False)

    def _check(self, *, complete: bool) -> None:
        for pipeline in PIPELINES:
            decided = self._decided(pipeline)
            assert len(decided) == len(set(decided)), "an instant was decided twice"
            expected = self._expected(pipeline)
            fired = self._fired(pipeline)
            assert set(decided) - expected <= fired, "something was decided that is no instant"
            still_open = expected - set(decided)
            if complete:
                assert still_open == set(), "an instant was lost"
            else:
                assert still_open <= self._may_be_open(pipeline)

    def _expected(self, pipeline: str) -> set[datetime]:
        latest = self.world.clock.now()
        instants: set[datetime] = set()
        for interval in self.model[pipeline]:
            instants |= interval.instants(max(latest, interval.until or latest))
        return instants

    def _may_be_open(self, pipeline: str) -> set[datetime]:
        """Pauses are written down when they end."""
        present = self._present(pipeline)
        return set() if present is None or present.enabled else present.instants(self.world.clock.now())

    def _decided(self, pipeline: str) -> list[datetime]:
        return [instant for tick in self.world.ticks(pipeline) for instant in self._instants_of(tick)]

    def _instants_of(self, tick: Tick) -> list[datetime]:
        if tick.instants == 1:
            assert tick.scheduled_for == tick.through
            return [tick.scheduled_for]
        (version,) = [
            version
            for version in self.world.history.versions(tick.pipeline_id)
            if version.since < tick.scheduled_for and (version.until is None or tick.through <= version.until)
        ]
        assert version.schedule is not None
        instants = list(version.schedule.due(tick.scheduled_for - timedelta(milliseconds=1), tick.through))
        assert len(instants) == tick.instants
        return instants

    def _fired(self, pipeline: str) -> set[datetime]:
        """The instants of the runs; each has exactly one, and every scheduled one has its tick."""
        ticks = {tick.scheduled_for: tick for tick in self.world.ticks(pipeline) if tick.decision is Decision.FIRED}
        runs = self.world.runs_of(pipeline)
        instants = [run.scheduled_for for run in runs]
        assert len(instants) == len(set(instants)), "an instant has two runs"
        by_instant = {run.scheduled_for: run for run in runs}
        for instant, tick in ticks.items():
            assert by_instant[instant].id == tick.run_id
        for run in runs:
            assert run.kind is RunKind.BACKFILL or run.scheduled_for in ticks, "a run without a decision"
        return set(ticks)


@pytest.mark.timeout(3600)
def test_decisions_equal_the_calendar() -> None:
    long = bool(os.environ.get("MINISCHED_LONG"))
    run_state_machine_as_test(
        Calendar,
        settings=settings(
            max_examples=400 if long else 25,
            stateful_step_count=40 if long else 20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Looking for the shortest way to a failure takes longer than a test may.
            phases=[Phase.reuse, Phase.generate],
        ),
    )
