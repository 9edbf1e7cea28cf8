"""TickHistory: what is known of past instants."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from minisched.domain.instant import to_ms
from minisched.domain.run import Run, RunState
from minisched.domain.tick import ScheduleVersion, Tick
from minisched.ports import Absence
from minisched.store import run_rows, tick_rows
from minisched.store.columns import instant_or_none
from minisched.store.engine import Database
from minisched.store.schedule_rows import version_of
from minisched.store.secrets import SecretBox
from minisched.store.tables import runs, schedules, ticks, watches


class SqlTickHistory:
    """Implements `ports.TickHistory`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    def ticks(self, pipeline_id: str, *, limit: int, before: datetime | None = None) -> list[Tick]:
        statement = select(ticks).where(ticks.c.pipeline_id == pipeline_id)
        if before is not None:
            statement = statement.where(ticks.c.scheduled_for_ms < to_ms(before))
        newest = statement.order_by(ticks.c.scheduled_for_ms.desc()).limit(limit)
        with self._database.read() as connection:
            return [tick_rows.from_row(row) for row in connection.execute(newest)]

    def tick_about(self, pipeline_id: str, instant: datetime) -> Tick | None:
        at_ms = to_ms(instant)
        statement = select(ticks).where(ticks.c.pipeline_id == pipeline_id, ticks.c.scheduled_for_ms <= at_ms)
        with self._database.read() as connection:
            row = connection.execute(statement.order_by(ticks.c.scheduled_for_ms.desc()).limit(1)).one_or_none()
        return tick_rows.from_row(row) if row is not None and row.through_ms >= at_ms else None

    def versions(self, pipeline_id: str) -> list[ScheduleVersion]:
        statement = select(schedules).where(schedules.c.pipeline_id == pipeline_id).order_by(schedules.c.since_ms)
        with self._database.read() as connection:
            return [version_of(row) for row in connection.execute(statement)]

    def run_for(self, pipeline_id: str, instant: datetime) -> Run | None:
        statement = select(runs).where(runs.c.pipeline_id == pipeline_id, runs.c.scheduled_for_ms == to_ms(instant))
        with self._database.read() as connection:
            row = connection.execute(statement.order_by(runs.c.enqueued_ms.desc()).limit(1)).one_or_none()
        return None if row is None else run_rows.from_row(row, self._box)

    def absence(self, instant: datetime) -> Absence | None:
        at_ms = to_ms(instant)
        at_work = select(watches.c.id).where(watches.c.from_ms <= at_ms, watches.c.until_ms >= at_ms).limit(1)
        before = select(func.max(watches.c.until_ms)).where(watches.c.until_ms < at_ms)
        after = select(func.min(watches.c.from_ms)).where(watches.c.from_ms > at_ms)
        with self._database.read() as connection:
            if connection.execute(at_work).first() is not None:
                return None
            since, until = (connection.execute(edge).scalar_one() for edge in (before, after))
        return Absence(instant_or_none(since), instant_or_none(until))

    def usual_durations_s(self) -> dict[str, float]:
        statement = (
            select(runs.c.pipeline_id, func.avg(runs.c.ended_ms - runs.c.started_ms))
            .where(runs.c.state == RunState.SUCCESS.value, runs.c.started_ms.is_not(None))
            .group_by(runs.c.pipeline_id)
        )
        with self._database.read() as connection:
            return {pipeline_id: float(mean) / 1000 for pipeline_id, mean in connection.execute(statement)}

    def prune(self, *, before: datetime, limit: int) -> int:
        return self._database.transact(lambda connection: _prune(connection, to_ms(before), limit))


def _prune(connection: Connection, before_ms: int, limit: int) -> int:
    key = (ticks.c.pipeline_id, ticks.c.scheduled_for_ms)
    old = select(*key).where(ticks.c.through_ms < before_ms).order_by(ticks.c.through_ms).limit(limit)
    found = connection.execute(old).all()
    for pipeline_id in {row.pipeline_id for row in found}:
        instants = [row.scheduled_for_ms for row in found if row.pipeline_id == pipeline_id]
        connection.execute(
            delete(ticks).where(ticks.c.pipeline_id == pipeline_id, ticks.c.scheduled_for_ms.in_(instants))
        )
    connection.execute(delete(schedules).where(schedules.c.until_ms < before_ms))
    last = connection.execute(select(func.max(watches.c.id))).scalar_one()
    if last is not None:
        connection.execute(delete(watches).where(watches.c.until_ms < before_ms, watches.c.id < last))
    return len(found)
