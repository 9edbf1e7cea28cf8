"""ScheduleStore: decisions about instants, written together with the runs that they fire and the mark they move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, update

from minisched import failpoints
from minisched.acting import touches
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.pipeline import Deployment
from minisched.domain.run import Run, RunKind, RunState
from minisched.domain.tick import Decision, ScheduleVersion, Situation, timing_of
from minisched.ports import Judge, Settled
from minisched.store import run_rows, tick_rows
from minisched.store.columns import load
from minisched.store.engine import DEPLOY_LOCK, Database
from minisched.store.schedule_rows import IN_FORCE, put_schedule, version_of
from minisched.store.secrets import SecretBox
from minisched.store.tables import deployments, runs, schedules, ticks

# Well below what any database takes as parameters of one statement.
_IDS_AT_ONCE = 500

# What a queued run takes from a deployment's document, and what tells which runtime it needs.
_OUTLINE = ("service", "airflowConfig", "openMetadataServerConnection")

_MOVE_MARK = (
    update(schedules)
    .where(schedules.c.pipeline_id == bindparam("pipeline"), IN_FORCE)
    .values(decided_until_ms=bindparam("decided"))
)


class SqlScheduleStore:
    """Implements `ports.ScheduleStore`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    def adopt(self, at: datetime) -> int:
        """As the port says: deployments of an earlier minisched have no schedule in the table yet."""
        strangers = select(deployments.c.id, deployments.c.enabled, deployments.c.document).where(
            ~exists().where(schedules.c.pipeline_id == deployments.c.id, IN_FORCE)
        )
        with self._database.read() as connection:
            if connection.execute(strangers.limit(1)).first() is None:
                return 0

        def adopt(connection: Connection) -> int:
            self._database.serialize(connection, DEPLOY_LOCK)
            found = connection.execute(strangers).all()
            for row in found:
                timing = timing_of(load(row.document).get("airflowConfig") or {})
                put_schedule(connection, row.id, timing, enabled=bool(row.enabled), at_ms=to_ms(at))
            return len(found)

        return self._database.repeat(adopt)

    def present(self, pipeline_ids: Sequence[str] | None = None) -> list[ScheduleVersion]:
        statement = select(schedules).where(IN_FORCE)
        with self._database.read() as connection:
            if pipeline_ids is None:
                return [version_of(row) for row in connection.execute(statement)]
            chosen = statement.where(schedules.c.pipeline_id.in_(bindparam("ids", expanding=True)))
            return [
                version_of(row) for ids in _portions(pipeline_ids) for row in connection.execute(chosen, {"ids": ids})
            ]

    def decide(self, pipeline_ids: Sequence[str], *, until: datetime, judge: Judge) -> list[Settled]:
        """As the port says. Repeating it is harmless: what was decided the first time is not due any more."""
        ids = sorted(set(pipeline_ids))
        settled = self._database.repeat(lambda connection: self._decide(connection, ids, until, judge))
        failpoints.reach("after_tick_commit")
        return settled

    def _decide(self, connection: Connection, ids: list[str], until: datetime, judge: Judge) -> list[Settled]:
        versions = _locked(connection, ids)
        situations = _situations(connection, ids)
        outlines = _outlines(connection, ids)
        settled, undecided = [], []
        for version in versions:
            judged = None
            if version.decided_until < until and (outline := outlines.get(version.pipeline_id)) is not None:
                judged = judge(version, outline, situations[version.pipeline_id])
            if judged is None:
                undecided.append(Settled(version))
            else:
                settled.append(Settled(replace(version, decided_until=from_ms(to_ms(until))), *judged))
        settled = _with_known_runs(connection, settled)
        self._write(connection, settled)
        failpoints.reach("before_tick_commit")
        return settled + undecided

    def _write(self, connection: Connection, settled: Iterable[Settled]) -> None:
        made = [run_rows.to_row(run, self._box, idempotency_key=None) for one in settled for run in one.runs]
        decided = [tick_rows.to_row(tick) for one in settled for tick in one.ticks]
        marks = [{"pipeline": one.version.pipeline_id, "decided": to_ms(one.version.decided_until)} for one in settled]
        for statement, rows in ((insert(runs), made), (insert(ticks), decided), (_MOVE_MARK, marks)):
            if rows:
                connection.execute(statement, rows)

    def enqueue(self, new: Sequence[Run]) -> list[Run]:
        def enqueue(connection: Connection) -> list[Run]:
            known = _runs_of(connection, [(run.pipeline_id, run.scheduled_for) for run in new if run.scheduled_for])
            missing = [run for run in new if (run.pipeline_id, run.scheduled_for) not in known]
            if missing:
                touches(missing[0].pipeline_fqn)
                connection.execute(
                    insert(runs), [run_rows.to_row(run, self._box, idempotency_key=None) for run in missing]
                )
            return missing

        return self._database.transact(enqueue)

    def rewind(self, now: datetime) -> list[str]:
        return self._database.repeat(lambda connection: _rewind(connection, to_ms(now)))


def _locked(connection: Connection, ids: list[str]) -> list[ScheduleVersion]:
    """In one order, so that two who decide about the same pipelines never wait for each other."""
    chosen = select(schedules).where(schedules.c.pipeline_id.in_(ids), IN_FORCE)
    rows = connection.execute(chosen.order_by(schedules.c.pipeline_id).with_for_update())
    return [version_of(row) for row in rows]


def _situations(connection: Connection, ids: list[str]) -> dict[str, Situation]:
    waiting = select(runs.c.pipeline_id, runs.c.id).where(
        runs.c.pipeline_id.in_(ids),
        runs.c.state == RunState.QUEUED.value,
        runs.c.kind == RunKind.SCHEDULED.value,
        # One that waits to be tried again is about an instant of long ago.
        runs.c.attempt == 1,
        runs.c.stop_at_ms.is_(None),
    )
    ahead = (
        select(ticks.c.pipeline_id, ticks.c.scheduled_for_ms)
        .join(schedules, (schedules.c.pipeline_id == ticks.c.pipeline_id) & IN_FORCE)
        .where(ticks.c.pipeline_id.in_(ids), ticks.c.scheduled_for_ms > schedules.c.decided_until_ms)
    )
    runs_of = {row.pipeline_id: row.id for row in connection.execute(waiting)}
    decided: dict[str, set[datetime]] = defaultdict(set)
    for row in connection.execute(ahead):
        decided[row.pipeline_id].add(from_ms(row.scheduled_for_ms))
    return {id_: Situation(runs_of.get(id_), frozenset(decided[id_])) for id_ in ids}


def _outlines(connection: Connection, ids: list[str]) -> dict[str, Deployment]:
    rows = connection.execute(select(deployments).where(deployments.c.id.in_(ids)))
    return {row.id: _outline(row) for row in rows}


def _outline(row: Row[Any]) -> Deployment:
    """A part of the deployment, with its secrets sealed as they are."""
    document = load(row.document)
    return Deployment(
        id=row.id,
        name=row.name,
        fqn=row.fqn,
        pipeline_type=row.pipeline_type,
        document={key: document[key] for key in _OUTLINE if key in document},
        enabled=bool(row.enabled),
        deployed_at=from_ms(row.deployed_at_ms),
        runtime=row.runtime,
    )


def _with_known_runs(connection: Connection, settled: list[Settled]) -> list[Settled]:
    """An instant that has its run already (a backfill was quicker, a clock went back) fires that one."""
    known = _runs_of(connection, [(run.pipeline_id, run.scheduled_for) for one in settled for run in one.runs])
    return [_with_known(one, known) for one in settled] if known else settled


def _with_known(one: Settled, known: dict[tuple[str, datetime | None], str]) -> Settled:
    instead = {run.id: known[key] for run in one.runs if (key := (run.pipeline_id, run.scheduled_for)) in known}
    return replace(
        one,
        runs=[run for run in one.runs if run.id not in instead],
        ticks=[replace(tick, run_id=instead.get(tick.run_id or "", tick.run_id)) for tick in one.ticks],
    )


def _runs_of(
    connection: Connection, wanted: Sequence[tuple[str, datetime | None]]
) -> dict[tuple[str, datetime | None], str]:
    if not wanted:
        return {}
    pipeline_ids = sorted({pipeline_id for pipeline_id, _ in wanted})
    instants = sorted({to_ms(instant) for _, instant in wanted if instant})
    found = select(runs.c.id, runs.c.pipeline_id, runs.c.scheduled_for_ms).where(
        runs.c.pipeline_id.in_(pipeline_ids),
        runs.c.scheduled_for_ms.in_(instants)
        if len(instants) <= _IDS_AT_ONCE
        else runs.c.scheduled_for_ms.between(instants[0], instants[-1]),
    )
    return {(row.pipeline_id, from_ms(row.scheduled_for_ms)): row.id for row in connection.execute(found)}


def _rewind(connection: Connection, now_ms: int) -> list[str]:
    ahead = select(schedules).where(IN_FORCE, schedules.c.decided_until_ms > now_ms).with_for_update()
    rows = connection.execute(ahead.order_by(schedules.c.pipeline_id)).all()
    for row in rows:
        _take_back(connection, row, now_ms)
    return [row.pipeline_id for row in rows]


def _take_back(connection: Connection, row: Row[Any], now_ms: int) -> None:
    """Undo what was decided about the future, but for what has fired: that has its run, and never gets a second."""
    undone = (ticks.c.pipeline_id == row.pipeline_id) & (ticks.c.decision != Decision.FIRED.value)
    begun = select(ticks).where(undone, ticks.c.scheduled_for_ms <= now_ms, ticks.c.through_ms > now_ms)
    for tick in connection.execute(begun).all():
        _shorten(connection, tick, now_ms)
    connection.execute(delete(ticks).where(undone, ticks.c.scheduled_for_ms > now_ms))
    former = (schedules.c.pipeline_id == row.pipeline_id) & ~IN_FORCE
    connection.execute(delete(schedules).where(former, schedules.c.since_ms >= now_ms))
    connection.execute(update(schedules).where(former, schedules.c.until_ms > now_ms).values(until_ms=now_ms))
    mine = update(schedules).where(schedules.c.pipeline_id == row.pipeline_id, IN_FORCE)
    connection.execute(mine.values(since_ms=min(row.since_ms, now_ms), decided_until_ms=now_ms))


def _shorten(connection: Connection, tick: Row[Any], until_ms: int) -> None:
    """Have a tick end at the last of its instants up to `until_ms`, by the schedule that was in force then."""
    in_force = select(schedules).where(
        schedules.c.pipeline_id == tick.pipeline_id, schedules.c.since_ms < tick.scheduled_for_ms
    )
    row = connection.execute(in_force.order_by(schedules.c.since_ms.desc()).limit(1)).one_or_none()
    schedule = version_of(row).schedule if row is not None else None
    first = from_ms(tick.scheduled_for_ms)
    instants = list(schedule.due(first, from_ms(until_ms))) if schedule else []
    values = {"through_ms": to_ms(instants[-1]) if instants else tick.scheduled_for_ms, "instants": 1 + len(instants)}
    mine = (ticks.c.pipeline_id == tick.pipeline_id) & (ticks.c.scheduled_for_ms == tick.scheduled_for_ms)
    connection.execute(update(ticks).where(mine).values(**values))


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[first : first + _IDS_AT_ONCE] for first in range(0, len(ids), _IDS_AT_ONCE))
