"""The sentences that tell why a pipeline ran or did not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from minisched.domain.errors import InvalidInput, PipelineNotFound
from minisched.operations.instants import Instants
from minisched.operations.runs import Runs
from minisched.operations.simulation import Simulations
from tests.fakes import MemoryRunLogs
from tests.fakes_store import MemoryPipelineStore
from tests.integration.scheduled_world import DAY, HOUR, MINUTE, ScheduledWorld, scheduled_world

BERLIN = "Europe/Berlin"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ScheduledWorld]:
    """It is 11:59:30 UTC on a Monday, 12:59:30 in Berlin."""
    with scheduled_world(tmp_path) as found:
        yield found


def instants(world: ScheduledWorld) -> Instants:
    runs = Runs(
        runs=world.runs,
        logs=MemoryRunLogs(),
        executor=world.executor,
        pipelines=MemoryPipelineStore(),
        deployments=world.deployments,
        clock=world.clock,
    )
    return Instants(
        runs=runs,
        run_store=world.runs,
        deployments=world.deployments,
        schedules=world.schedules,
        history=world.history,
        backfills=world.backfill,
        clock=world.clock,
    )


def why(world: ScheduledWorld, pipeline: str, at: str | None = None) -> tuple[str, str]:
    answer = instants(world).why(pipeline, at).why
    return answer.verdict, answer.sentence


def test_it_ran(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *", pipelineTimezone=BERLIN)
    world.pass_time(MINUTE)
    verdict, sentence = why(world, hourly)
    assert verdict == "fired"
    assert "It ran for 2026-03-02 13:00 CET as run" in sentence
    assert "waits in the queue" in sentence
    world.end_runs()
    assert "success (The workflow ended well)" in why(world, hourly, "2026-03-02T13:00")[1]


def test_it_is_no_instant(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *", pipelineTimezone=BERLIN)
    world.pass_time(HOUR)
    verdict, sentence = why(world, hourly, "2026-03-02T13:20")
    assert verdict == "not_an_instant"
    assert "last one before is 2026-03-02 13:00 CET and the next one is 2026-03-02 14:00 CET" in sentence


def test_it_was_missed_while_nobody_was_at_work(world: ScheduledWorld) -> None:
    daily = world.deploy("30 12 * * *")
    world.pass_time(MINUTE)
    world.scheduler.close()
    world.clock.advance(3 * HOUR)
    world.server()
    verdict, sentence = why(world, daily)
    assert verdict == "missed"
    assert "no scheduler was at work from 2026-03-02 12:00:30 UTC to 2026-03-02 15:00:30 UTC" in sentence
    assert "misfire_grace_s" in sentence
    world.backfill.backfill(daily, [datetime(2026, 3, 2, 12, 30, tzinfo=UTC)], requested_by="ann")
    assert "ann had it made up for by run" in why(world, daily)[1]


def test_one_run_stands_for_several(world: ScheduledWorld) -> None:
    quarterly = world.deploy("*/15 * * * *")
    world.clock.advance(HOUR)
    world.server()
    assert "one run stands for them" in why(world, quarterly, "2026-03-02T12:15")[1]
    assert why(world, quarterly, "2026-03-02T12:45")[0] == "fired"


def test_it_was_disabled(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    world.enable(hourly, enabled=False)
    world.pass_time(2 * HOUR)
    verdict, sentence = why(world, hourly)
    assert (verdict, "is disabled since 2026-03-02 11:59:30 UTC" in sentence) == ("paused", True)
    pending = instants(world).ticks(hourly, limit=10)
    assert [(tick.decision.value, tick.instants) for tick in pending] == [("paused", 2)]
    world.enable(hourly)
    assert why(world, hourly, "2026-03-02T13:00")[0] == "paused"


def test_an_earlier_run_still_waited(world: ScheduledWorld) -> None:
    busy = world.deploy("* * * * *")
    world.pass_time(2 * MINUTE)
    assert "still waited in the queue" in why(world, busy, "2026-03-02T12:01")[1]


def test_before_its_start_and_after_its_end(world: ScheduledWorld) -> None:
    short = world.deploy("0 * * * *", startDate="2026-03-02T14:00:00Z", endDate="2026-03-02T15:00:00Z")
    world.pass_time(5 * HOUR, every_s=60)
    assert why(world, short, "2026-03-02T13:00")[0] == "outside_dates"
    assert "after its endDate" in why(world, short, "2026-03-02T16:00")[1]
    assert why(world, short, "2026-03-02T15:00")[0] in ("fired", "skipped")


def test_what_was_not_deployed_then_and_what_never_was(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    assert why(world, hourly, "2026-03-01T12:00")[0] == "not_deployed"
    by_hand = world.deploy(None)
    world.pass_time(MINUTE)
    assert why(world, by_hand)[0] == "on_demand"
    with pytest.raises(PipelineNotFound):
        instants(world).why("00000000-0000-0000-0000-000000000000")
    with pytest.raises(InvalidInput, match="is not a time"):
        instants(world).why(hourly, "yesterday")


def test_what_is_to_come(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    assert why(world, hourly, "2026-03-02T14:00")[0] == "to_come"


def test_a_local_time_that_does_not_exist_is_the_instant_after_the_gap(tmp_path: Path) -> None:
    with scheduled_world(tmp_path, now=datetime(2026, 3, 28, 23, 30, tzinfo=UTC)) as world:
        nightly = world.deploy("30 2 * * *", pipelineTimezone=BERLIN)
        world.pass_time(3 * HOUR)
        verdict, sentence = why(world, nightly, "2026-03-29T02:30")
        assert verdict == "fired"
        assert "2026-03-29 03:00 CEST" in sentence
        assert "02:30 does not exist" in sentence


def test_previews_show_what_clocks_do(tmp_path: Path) -> None:
    with scheduled_world(tmp_path, now=datetime(2026, 3, 27, 12, 0, tzinfo=UTC)) as world:
        nightly = world.deploy("30 2 * * *", pipelineTimezone=BERLIN)
        preview = instants(world).preview(nightly, count=3)
        assert [f"{one.at:%d %H:%M}" for one in preview.instants] == ["28 01:30", "29 01:00", "30 00:30"]
        assert preview.instants[1].remark is not None


def test_a_backfill_is_shown_before_it_is_ordered(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *", pipelineTimezone=BERLIN)
    world.pass_time(MINUTE)
    cases = instants(world)
    ask: dict[str, Any] = {"since": "2026-03-02T10:00", "until": "2026-03-02T14:00", "requested_by": "ann"}
    shown = cases.backfill(hourly, dry_run=True, **ask)
    assert [f"{instant:%H:%M}" for instant, _ in shown.queued] == ["09:00", "10:00", "11:00"]
    assert [f"{instant:%H:%M}" for instant, _ in shown.known] == ["12:00"]
    assert len(world.runs_of(hourly)) == 1
    done = cases.backfill(hourly, dry_run=False, **ask)
    assert [instant for instant, _ in done.queued] == [instant for instant, _ in shown.queued]
    again = cases.backfill(hourly, dry_run=False, **ask)
    assert (len(again.queued), len(again.known)) == (0, 4)
    world.end_runs()
    busy = world.deploy("* * * * *")
    with pytest.raises(InvalidInput, match="more than 1000"):
        cases.backfill(busy, since="2026-01-01", until="2026-03-02", dry_run=True, requested_by="ann")


def test_a_simulation_finds_the_busiest_minute_and_lost_times(world: ScheduledWorld) -> None:
    world.deploy("0 3 * * *")
    world.deploy("0 3,4 * * *")
    fixed = world.deploy("30 2 * * *", pipelineTimezone=BERLIN)
    world.deploy("0 3 * * *", enabled=False)
    simulations = Simulations(deployments=world.deployments, schedules=world.schedules, history=world.history)
    since = datetime(2026, 3, 29, tzinfo=UTC)
    done = simulations.simulate(since, datetime(2026, 3, 30, tzinfo=UTC), assumed_s=2 * HOUR + 1)
    assert done.instants == 4
    assert done.busiest == (datetime(2026, 3, 29, 3, tzinfo=UTC), 2)
    assert done.peak == (datetime(2026, 3, 29, 3, tzinfo=UTC), 3)
    (changing,) = [pipeline for pipeline in done.pipelines if pipeline.pipeline_id == fixed]
    assert changing.changes[0].made_up == (datetime(2026, 3, 29, 2, 30),)  # noqa: DTZ001
    with pytest.raises(InvalidInput):
        simulations.simulate(since, since, assumed_s=1)
    world.deploy("* * * * *")
    with pytest.raises(InvalidInput, match="500000"):
        simulations.simulate(since, datetime(2027, 6, 30, tzinfo=UTC), assumed_s=DAY)
