"""Every instant gets one decision, and one run at most, whatever clocks, servers and people do (R1, R2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete

from minisched.domain.errors import PipelineNotFound, StoreUnavailable
from minisched.domain.run import Priority, RunKind, RunState
from minisched.domain.tick import CatchUpPolicy, Decision, TickReason
from minisched.store.tables import schedules
from tests.integration.scheduled_world import DAY, HOUR, MINUTE, ScheduledWorld, scheduled_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ScheduledWorld]:
    """It is 11:59:30 on a Monday."""
    with scheduled_world(tmp_path) as found:
        yield found


def test_an_instant_fires_once_and_says_so(world: ScheduledWorld) -> None:
    nightly = world.deploy("*/5 * * * *")
    world.pass_time(MINUTE)
    (tick,) = world.ticks(nightly)
    assert (tick.decision, tick.scheduled_for) == (Decision.FIRED, datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    (run,) = world.runs_of(nightly)
    assert (run.id, run.kind, run.scheduled_for, run.state) == (
        tick.run_id,
        RunKind.SCHEDULED,
        tick.scheduled_for,
        RunState.QUEUED,
    )
    assert world.executor.wakes == 1


def test_an_hour_of_minutes(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    for _ in range(60):
        world.pass_time(MINUTE)
        world.end_runs()
    assert world.fired(busy) == [f"12:{minute:02}" for minute in range(60)]


def test_a_run_that_still_waits_stands_for_the_next_instants(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    world.pass_time(3 * MINUTE)
    first, *skipped = world.ticks(busy)
    assert [tick.decision for tick in skipped] == [Decision.SKIPPED] * 2
    assert {tick.run_id for tick in skipped} == {first.run_id}
    world.end_runs()
    world.pass_time(MINUTE)
    assert world.fired(busy) == ["12:00", "12:03"]


def test_one_that_catches_up_is_never_skipped(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *", pipelineCatchup=True)
    world.pass_time(3 * MINUTE)
    assert world.fired(busy) == ["12:00", "12:01", "12:02"]


# --- downtime ---------------------------------------------------------------------------------------------------------


def test_after_a_downtime_the_latest_instant_stands_for_the_others(world: ScheduledWorld) -> None:
    quarterly = world.deploy("*/15 * * * *")
    world.clock.advance(HOUR)
    world.server()
    assert world.decisions(quarterly) == [("12:00", "coalesced", 3), ("12:45", "fired", 1)]
    coalesced, fired = world.ticks(quarterly)
    assert coalesced.run_id == fired.run_id
    assert len(world.runs_of(quarterly)) == 1


def test_what_was_missed_beyond_the_grace_does_not_run(world: ScheduledWorld) -> None:
    daily = world.deploy("0 12 * * *")
    world.clock.advance(3 * HOUR)
    world.server()
    (tick,) = world.ticks(daily)
    assert (tick.decision, tick.reason) == (Decision.MISSED, TickReason.LATE)
    assert world.runs_of(daily) == []


def test_catching_up_runs_everything_within_the_window_oldest_first(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *", pipelineCatchup=True)
    world.clock.advance(2 * DAY)
    world.server()
    missed, *fired = world.ticks(hourly)
    assert (missed.decision, missed.reason, missed.instants) == (Decision.MISSED, TickReason.WINDOW, 24)
    assert [tick.decision for tick in fired] == [Decision.FIRED] * 24
    runs = world.runs_of(hourly)
    assert [run.scheduled_for for run in runs] == [tick.scheduled_for for tick in fired]
    first = world.runs.claim(slots=1)
    assert first is not None
    assert first.scheduled_for == fired[0].scheduled_for


def test_catching_up_is_bounded(tmp_path: Path) -> None:
    with scheduled_world(tmp_path, catchup_runs=10) as world:
        busy = world.deploy("* * * * *", pipelineCatchup=True)
        world.clock.advance(HOUR)
        world.server()
        missed, *fired = world.ticks(busy)
        assert (missed.reason, missed.instants, len(fired)) == (TickReason.LIMIT, 50, 10)


def test_a_year_of_minutes_leaves_three_rows(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    world.clock.advance(365 * DAY)
    world.server()
    assert [(tick.decision.value, tick.instants) for tick in world.ticks(busy)] == [
        ("missed", 364 * 1440),
        ("coalesced", 1439),
        ("fired", 1),
    ]


@pytest.mark.parametrize("late_s", [0, 59])
def test_a_grace_of_nothing_lets_punctual_instants_fire(tmp_path: Path, late_s: float) -> None:
    with scheduled_world(tmp_path, grace_s=0, window_s=0) as world:
        daily = world.deploy("0 12 * * *")
        world.jump(30 + late_s)
        assert world.fired(daily) == ["12:00"]


def test_a_server_whose_scheduler_is_off_fires_nothing_and_says_so(tmp_path: Path) -> None:
    with scheduled_world(tmp_path) as world:
        world.policy = CatchUpPolicy(timedelta(hours=1), timedelta(days=1), 100, fires=False)
        world.server(loaded=False)
        quarterly = world.deploy("*/15 * * * *")
        world.clock.advance(HOUR)
        world.enable(quarterly, enabled=False)
        (tick,) = world.ticks(quarterly)
        assert (tick.decision, tick.reason, tick.instants) == (Decision.MISSED, TickReason.SCHEDULER_OFF, 4)
        assert world.runs_of(quarterly) == []


def test_the_time_without_a_scheduler_is_known(world: ScheduledWorld) -> None:
    world.pass_time(10 * MINUTE)
    left = world.clock.now()
    world.scheduler.close()
    world.clock.advance(2 * HOUR)
    world.server()
    absence = world.history.absence(left + timedelta(hours=1))
    assert absence is not None
    assert (absence.since, absence.until) == (left, world.clock.now())
    assert world.history.absence(left - timedelta(minutes=5)) is None


def test_a_machine_that_slept_was_not_at_work(world: ScheduledWorld) -> None:
    world.pass_time(MINUTE)
    slept = world.clock.now()
    world.jump(HOUR)
    assert world.history.absence(slept + timedelta(minutes=30)) is not None


# --- people -----------------------------------------------------------------------------------------------------------


def test_instants_while_disabled_are_paused_and_one_row(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    world.pass_time(MINUTE)
    world.enable(busy, enabled=False)
    world.pass_time(HOUR, every_s=300)
    assert world.decisions(busy) == [("12:00", "fired", 1)], "nothing is written while it is paused"
    world.enable(busy)
    world.end_runs()
    world.pass_time(MINUTE)
    assert world.decisions(busy) == [("12:00", "fired", 1), ("12:01", "paused", 60), ("13:01", "fired", 1)]


def test_an_instant_that_came_before_the_change_is_decided_by_the_schedule_of_then(world: ScheduledWorld) -> None:
    """The person is quicker than the bell."""
    busy = world.deploy("* * * * *")
    world.clock.advance(31)
    world.enable(busy, enabled=False)
    assert world.decisions(busy) == [("12:00", "fired", 1)]
    world.enable(busy)
    world.clock.advance(MINUTE)
    world.end_runs()
    world.deploy("0 0 1 1 *", pipeline_id=busy)
    assert world.decisions(busy) == [("12:00", "fired", 1), ("12:01", "fired", 1)]
    world.pass_time(HOUR)
    assert len(world.ticks(busy)) == 2


def test_deploying_the_same_again_moves_nothing(world: ScheduledWorld) -> None:
    quarterly = world.deploy("*/15 * * * *")
    world.clock.advance(10 * MINUTE)
    world.deploy("*/15 * * * *", pipeline_id=quarterly)
    assert world.fired(quarterly) == ["12:00"]
    assert len(world.history.versions(quarterly)) == 1


def test_a_changed_schedule_counts_from_its_deploy_on(world: ScheduledWorld) -> None:
    changing = world.deploy("*/15 * * * *")
    world.pass_time(HOUR)
    world.end_runs()
    world.deploy("10 * * * *", pipeline_id=changing)
    world.pass_time(HOUR)
    assert [entry[:2] for entry in world.decisions(changing)] == [
        ("12:00", "fired"),
        ("12:15", "skipped"),
        ("12:30", "skipped"),
        ("12:45", "skipped"),
        ("13:10", "fired"),
    ]
    old, new = world.history.versions(changing)
    assert (old.until, new.until) == (new.since, None)


def test_another_change_of_the_document_keeps_the_schedule(world: ScheduledWorld) -> None:
    pipeline = world.deploy("*/15 * * * *")
    world.deploy("*/15 * * * *", pipeline_id=pipeline, pipelineCatchup=True)
    (version,) = world.history.versions(pipeline)
    assert version.catches_up
    world.clock.advance(HOUR)
    world.server()
    assert world.fired(pipeline) == ["12:00", "12:15", "12:30", "12:45"]


def test_a_deleted_pipeline_rings_no_more_and_keeps_its_history(world: ScheduledWorld) -> None:
    gone = world.deploy("*/15 * * * *")
    world.pass_time(MINUTE)
    world.delete(gone)
    world.pass_time(HOUR)
    assert world.fired(gone) == ["12:00"]
    (version,) = world.history.versions(gone)
    assert version.until is not None
    world.deploy("*/15 * * * *", pipeline_id=gone)
    world.pass_time(15 * MINUTE)
    assert world.decisions(gone)[-1] == ("13:15", "fired", 1)


def test_deployments_of_an_earlier_minisched_are_accounted_for_from_now_on(world: ScheduledWorld) -> None:
    old = world.deploy("*/15 * * * *")
    with world.database.write() as connection:
        connection.execute(delete(schedules))
    world.clock.advance(HOUR)
    world.server()
    assert world.ticks(old) == []
    world.pass_time(15 * MINUTE)
    assert world.fired(old) == ["13:00"]


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_fires_nothing_twice(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    for _ in range(20):
        world.pass_time(MINUTE)
        world.end_runs()
    world.jump(-10 * MINUTE)
    for _ in range(15):
        world.pass_time(MINUTE)
        world.end_runs()
    assert world.fired(busy) == [f"12:{minute:02}" for minute in range(25)]
    assert len(world.runs_of(busy)) == 25


def test_a_clock_that_was_wrong_for_a_while_does_not_silence_the_days_it_skipped(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    world.jump(3 * DAY)
    world.end_runs()
    world.jump(-3 * DAY)
    world.pass_time(HOUR)
    world.end_runs()
    world.pass_time(HOUR)
    fired = [f"{tick.scheduled_for:%d %H:%M}" for tick in world.ticks(hourly) if tick.decision is Decision.FIRED]
    assert fired == ["02 12:00", "02 13:00", "05 11:00"]
    for _ in range(3 * 24):
        world.end_runs()
        world.pass_time(HOUR, every_s=900)
    instants = [tick.scheduled_for for tick in world.ticks(hourly)]
    assert len(instants) == len(set(instants)) == len(world.runs_of(hourly))
    assert instants == [datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(hours=n) for n in range(len(instants))]


def test_the_same_after_a_restart(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    world.jump(3 * DAY)
    world.end_runs()
    world.clock.advance(-3 * DAY)
    world.server()
    world.pass_time(HOUR)
    world.end_runs()
    world.pass_time(HOUR)
    assert world.fired(hourly) == ["12:00", "13:00", "11:00"]


@pytest.mark.parametrize("seconds", [HOUR, 3 * DAY])
def test_a_clock_that_jumps_ahead_is_a_downtime(world: ScheduledWorld, seconds: float) -> None:
    busy = world.deploy("*/10 * * * *")
    world.jump(seconds)
    ticks = world.ticks(busy)
    assert sum(tick.instants for tick in ticks) == seconds // 600
    assert [tick.decision for tick in ticks].count(Decision.FIRED) == 1


def test_a_clock_that_stands_still_fires_once(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    world.pass_time(30)
    for _ in range(20):
        world.scheduler.ring()
    assert world.fired(busy) == ["12:00"]


def test_summer_time_comes_in_the_night(tmp_path: Path) -> None:
    """2026-03-29, 01:00 UTC: 02:00 becomes 03:00 in Berlin."""
    with scheduled_world(tmp_path, now=datetime(2026, 3, 28, 23, 30, tzinfo=UTC)) as world:
        fixed = world.deploy("30 2 * * *", pipelineTimezone="Europe/Berlin")
        world.pass_time(3 * HOUR)
        (tick,) = world.ticks(fixed)
        assert tick.scheduled_for == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        assert tick.remark is not None
        assert "02:30 does not exist" in tick.remark


def test_summer_time_goes_in_the_night(tmp_path: Path) -> None:
    """2026-10-25, 01:00 UTC: 03:00 becomes 02:00 in Berlin."""
    with scheduled_world(tmp_path, now=datetime(2026, 10, 24, 23, 30, tzinfo=UTC)) as world:
        fixed = world.deploy("30 2 * * *", pipelineTimezone="Europe/Berlin")
        half = world.deploy("*/30 2 * * *", pipelineTimezone="Europe/Berlin", pipelineCatchup=True)
        world.pass_time(3 * HOUR)
        assert world.fired(fixed) == ["00:30"]
        assert world.fired(half) == ["00:00", "00:30", "01:00", "01:30"]
        assert all("happens twice" in (tick.remark or "") for tick in world.ticks(half))


# --- databases --------------------------------------------------------------------------------------------------------


def test_a_database_that_does_not_answer_delays_and_loses_nothing(
    world: ScheduledWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = world.deploy("* * * * *")
    with monkeypatch.context() as broken:

        def refuse(*_args: object, **_more: object) -> None:
            raise StoreUnavailable

        broken.setattr(world.schedules, "decide", refuse)
        world.pass_time(MINUTE)
        assert world.ticks(busy) == []
    world.pass_time(15)
    assert world.fired(busy) == ["12:00"]


def test_a_schedule_that_cannot_be_understood_any_more_holds_up_no_other(world: ScheduledWorld) -> None:
    good, bad = world.deploy("* * * * *"), world.deploy("* * * * *")
    with world.database.write() as connection:
        broken = schedules.update().where(schedules.c.pipeline_id == bad)
        connection.execute(broken.values(timing='{"scheduleInterval": "61 * * * *"}'))
    world.pass_time(MINUTE)
    assert world.fired(good) == ["12:00"]
    assert world.ticks(bad) == []
    world.server()
    world.pass_time(MINUTE)


def test_many_at_the_same_instant(world: ScheduledWorld) -> None:
    ids = [world.deploy("0 12 * * *") for _ in range(450)]
    world.pass_time(MINUTE)
    assert all(world.fired(pipeline_id) == ["12:00"] for pipeline_id in ids)


# --- backfill ---------------------------------------------------------------------------------------------------------


def test_a_backfill_runs_each_instant_once_and_last_of_all(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    world.pass_time(MINUTE)
    wanted = [datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (10, 11, 12)]
    queued = world.backfill.backfill(hourly, wanted, requested_by="ann")
    assert [(run.scheduled_for, run.kind, run.priority) for run in queued] == [
        (instant, RunKind.BACKFILL, Priority.BACKFILL) for instant in wanted[:2]
    ]
    assert world.backfill.backfill(hourly, wanted, requested_by="ann") == []
    first = world.runs.claim(slots=1)
    assert first is not None
    assert first.kind is RunKind.SCHEDULED


def test_an_instant_that_was_backfilled_already_fires_that_run(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    ahead = datetime(2026, 3, 2, 12, tzinfo=UTC)
    (early,) = world.backfill.backfill(hourly, [ahead], requested_by="ann")
    world.pass_time(MINUTE)
    (tick,) = world.ticks(hourly)
    assert (tick.decision, tick.run_id) == (Decision.FIRED, early.id)
    assert len(world.runs_of(hourly)) == 1


def test_a_backfill_needs_a_deployment(world: ScheduledWorld) -> None:
    with pytest.raises(PipelineNotFound):
        world.backfill.backfill(str(uuid4()), [], requested_by="ann")


# --- retention --------------------------------------------------------------------------------------------------------


def test_old_ticks_go_and_the_mark_stays(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    for _ in range(10):
        world.pass_time(MINUTE)
        world.end_runs()
    assert world.history.prune(before=datetime(2026, 3, 2, 12, 5, tzinfo=UTC), limit=3) == 3
    assert world.history.prune(before=datetime(2026, 3, 2, 12, 5, tzinfo=UTC), limit=3) == 2
    assert world.fired(busy) == [f"12:{minute:02}" for minute in range(5, 10)]
    world.server()
    assert len(world.runs_of(busy)) == 10
