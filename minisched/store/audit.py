"""AuditTrail: one row per change that somebody asked for, committed together with the change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from minisched.acting import Action, acting
from minisched.domain.access import Role
from minisched.domain.instant import from_ms, to_ms
from minisched.ports import AuditEntry, Clock
from minisched.store.columns import storable
from minisched.store.engine import Database
from minisched.store.tables import audit

_LONGEST_REQUEST = 2000


class SqlAuditTrail:
    """The table `audit`; implements `ports.AuditTrail`, and is what `Database.have_witnessed` takes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def witness(self, connection: Connection, action: Action) -> Sequence[str | None]:
        told = action.unrecorded()
        if told:
            connection.execute(insert(audit), [self._row(action, touched) for touched in told])
        return told

    def note(self, action: Action) -> None:
        """A transaction that does nothing else; it is witnessed as all are."""
        before = acting.set(action)
        try:
            self._database.transact(lambda _: None)
        finally:
            acting.reset(before)

    def entries(self, *, limit: int, before: int | None = None, user: str | None = None) -> list[AuditEntry]:
        wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(audit.c.id < before)
        if user is not None:
            wanted = wanted.where(audit.c.user_name == user)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)]

    def prune(self, *, before: datetime, limit: int) -> int:
        # MySQL does not delete from a table that a subquery reads, unless that is a derived table.
        oldest = select(audit.c.id).where(audit.c.at_ms < to_ms(before)).order_by(audit.c.id).limit(limit).subquery()
        statement = delete(audit).where(audit.c.id.in_(select(oldest.c.id)))
        return self._database.transact(lambda connection: connection.execute(statement).rowcount)

    def _row(self, action: Action, touched: str | None) -> dict[str, Any]:
        principal = action.principal
        return {
            "at_ms": to_ms(self._clock.now()),
            "user_name": (storable(principal.name) or "")[:256],
            "role": principal.role.value,
            "via": (storable(principal.via) or "")[:256],
            "operation": action.operation[:64],
            "peer": action.peer[:64],
            "request": (storable(action.request) or "")[:_LONGEST_REQUEST],
            "touched": storable(touched),
        }


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=from_ms(row.at_ms),
        user=row.user_name,
        role=Role(row.role),
        via=row.via,
        operation=row.operation,
        request=row.request,
        peer=row.peer,
        touched=row.touched,
    )
