"""The scheduler does the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from minisched.domain.tick import Decision
from minisched.store.engine import open_database
from minisched.store.migrations import upgrade
from tests.databases import DATABASES, url_for
from tests.integration.scheduled_world import DAY, HOUR, MINUTE, ScheduledWorld, scheduled_world


@pytest.fixture(params=DATABASES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ScheduledWorld]:
    with scheduled_world(tmp_path, url=url_for(request.param, request)) as found:
        yield found


def test_a_life(world: ScheduledWorld) -> None:
    pipeline = world.deploy("*/15 * * * *")
    world.pass_time(MINUTE)
    assert world.fired(pipeline) == ["12:00"]
    world.pass_time(15 * MINUTE)
    assert world.decisions(pipeline)[-1] == ("12:15", "skipped", 1)
    world.end_runs()
    world.enable(pipeline, enabled=False)
    world.pass_time(HOUR)
    world.enable(pipeline)
    assert world.decisions(pipeline)[-1] == ("12:30", "paused", 4)
    world.deploy("10 * * * *", pipeline_id=pipeline)
    world.clock.advance(3 * DAY)
    world.server()
    assert [tick.decision for tick in world.ticks(pipeline)[-3:]] == [
        Decision.MISSED,
        Decision.COALESCED,
        Decision.FIRED,
    ]
    assert world.history.absence(world.clock.now() - timedelta(days=1)) is not None
    assert world.history.usual_durations_s()[pipeline] >= 0
    world.delete(pipeline)
    assert [version.until is None for version in world.history.versions(pipeline)] == [False] * 3
    world.deploy("* * * * *", pipeline_id=pipeline)
    world.pass_time(MINUTE)
    assert world.ticks(pipeline)[-1].decision is Decision.FIRED


def test_clocks_that_are_set_back(world: ScheduledWorld) -> None:
    quarterly = world.deploy("*/15 * * * *")
    world.jump(HOUR)
    assert world.decisions(quarterly) == [("12:00", "coalesced", 3), ("12:45", "fired", 1)]
    world.end_runs()
    world.jump(-HOUR / 2)
    assert world.decisions(quarterly) == [("12:00", "coalesced", 2), ("12:45", "fired", 1)]
    world.pass_time(HOUR)
    assert world.fired(quarterly) == ["12:30", "12:45"]
    assert sum(tick.instants for tick in world.ticks(quarterly)) == 6


def test_backfills_and_pruning(world: ScheduledWorld) -> None:
    hourly = world.deploy("0 * * * *")
    world.pass_time(MINUTE)
    wanted = [datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (10, 11, 12)]
    assert len(world.backfill.backfill(hourly, wanted, requested_by="ann")) == 2
    assert world.backfill.backfill(hourly, wanted, requested_by="ann") == []
    assert world.history.run_for(hourly, wanted[0]) is not None
    assert world.history.prune(before=datetime(2026, 3, 2, 12, 30, tzinfo=UTC), limit=10) == 1
    assert world.ticks(hourly) == []


def test_many_catch_up(world: ScheduledWorld) -> None:
    ids = [world.deploy("0 * * * *", pipelineCatchup=True) for _ in range(30)]
    world.clock.advance(5 * HOUR)
    world.server()
    assert all(world.fired(one) == ["12:00", "13:00", "14:00", "15:00", "16:00"] for one in ids)


def test_deployments_from_before_are_accounted_for_after_an_upgrade(unmigrated_url: str, tmp_path: Path) -> None:
    upgrade(unmigrated_url)
    row = {"id": "1", "clean_name_hash": "h", "enabled": True, "deployed_at_ms": 1, "pipeline_type": "metadata"}
    row |= {"name": "n", "clean_name": "n", "fqn": "s.n"}
    row["document"] = '{"airflowConfig": {"scheduleInterval": "0 * * * *"}}'
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    with closing(open_database(unmigrated_url)) as database, database.write() as connection:
        connection.execute(text(f"INSERT INTO deployments ({columns}) VALUES ({values})"), row)
    with scheduled_world(tmp_path, url=unmigrated_url) as world:
        world.pass_time(MINUTE)
        assert world.fired("1") == ["12:00"]
