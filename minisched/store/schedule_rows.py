"""Schedules in force, as rows of `schedules`: changed in the transaction that changes the deployment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from minisched.domain.instant import from_ms
from minisched.domain.pipeline import Document
from minisched.domain.tick import ScheduleVersion, same_instants
from minisched.store.columns import canonical, dump, instant_or_none, load
from minisched.store.tables import schedules

IN_FORCE = schedules.c.until_ms.is_(None)

_PRESENT = select(schedules).where(schedules.c.pipeline_id == bindparam("pipeline"), IN_FORCE).with_for_update()
_LAST_END = select(func.max(schedules.c.until_ms)).where(schedules.c.pipeline_id == bindparam("pipeline"))


def put_schedule(connection: Connection, pipeline_id: str, timing: Document, *, enabled: bool, at_ms: int) -> None:
    """From `at_ms` on this is the schedule; instants that have their decision already keep it."""
    present = _present(connection, pipeline_id)
    if present is None:
        last_end = connection.execute(_LAST_END, {"pipeline": pipeline_id}).scalar_one()
        _begin(connection, pipeline_id, timing, enabled=enabled, at_ms=max(at_ms, last_end or at_ms))
        return
    stored = load(present.timing)
    if bool(present.enabled) == enabled and same_instants(stored, timing):
        if canonical(stored) != canonical(timing):
            connection.execute(_row(present).values(timing=dump(timing)))
        return
    edge = end_schedule(connection, present, at_ms)
    _begin(connection, pipeline_id, timing, enabled=enabled, at_ms=edge)


def set_enabled(connection: Connection, pipeline_id: str, *, enabled: bool, at_ms: int) -> None:
    """The same schedule, from `at_ms` on enabled or not. Nothing for a pipeline without one."""
    present = _present(connection, pipeline_id)
    if present is not None:
        put_schedule(connection, pipeline_id, load(present.timing), enabled=enabled, at_ms=at_ms)


def forget_schedule(connection: Connection, pipeline_id: str, *, at_ms: int) -> None:
    """From `at_ms` on there is none; what was in force stays known."""
    present = _present(connection, pipeline_id)
    if present is not None:
        end_schedule(connection, present, at_ms)


def end_schedule(connection: Connection, present: Row[Any], at_ms: int) -> int:
    """When the schedule ended: now, or where its decisions end. One that was in force for no time leaves no row."""
    edge = max(at_ms, present.decided_until_ms)
    if edge == present.since_ms:
        connection.execute(delete(schedules).where(*_key(present)))
    else:
        connection.execute(_row(present).values(until_ms=edge, decided_until_ms=edge))
    return int(edge)


def version_of(row: Row[Any]) -> ScheduleVersion:
    return ScheduleVersion(
        pipeline_id=row.pipeline_id,
        since=from_ms(row.since_ms),
        until=instant_or_none(row.until_ms),
        decided_until=from_ms(row.decided_until_ms),
        enabled=bool(row.enabled),
        timing=load(row.timing),
    )


def _begin(connection: Connection, pipeline_id: str, timing: Document, *, enabled: bool, at_ms: int) -> None:
    row = {"pipeline_id": pipeline_id, "since_ms": at_ms, "until_ms": None, "decided_until_ms": at_ms}
    connection.execute(insert(schedules), {**row, "enabled": enabled, "timing": dump(timing)})


def _present(connection: Connection, pipeline_id: str) -> Row[Any] | None:
    return connection.execute(_PRESENT, {"pipeline": pipeline_id}).one_or_none()


def _row(row: Row[Any]) -> Any:
    return update(schedules).where(*_key(row))


def _key(row: Row[Any]) -> tuple[Any, Any]:
    return schedules.c.pipeline_id == row.pipeline_id, schedules.c.since_ms == row.since_ms
