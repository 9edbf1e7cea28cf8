"""Outbox: what OpenMetadata has to hear, written by `runs.py` in the transaction of the state change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, select, update

from minisched.domain.instant import from_ms, to_ms
from minisched.ports import OutboxEntry
from minisched.store.columns import storable
from minisched.store.engine import Database
from minisched.store.tables import outbox


class SqlOutbox:
    """Messages in the table `outbox`; implements `ports.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: datetime, *, limit: int) -> list[OutboxEntry]:
        earlier = outbox.alias("earlier")
        waits_for_another = exists().where(
            earlier.c.run_id == outbox.c.run_id, earlier.c.id < outbox.c.id, earlier.c.dead.is_(False)
        )
        statement = (
            select(outbox)
            .where(outbox.c.dead.is_(False), outbox.c.next_ms <= to_ms(now), ~waits_for_another)
            .order_by(outbox.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(statement)]

    def delivered(self, entry_id: int) -> None:
        self._database.repeat(lambda connection: connection.execute(delete(outbox).where(outbox.c.id == entry_id)))

    def postpone(self, entry_id: int, *, error: str, next_at: datetime, dead: bool = False) -> None:
        """Counts one attempt more; a dead entry is kept for people to see, and no longer tried."""
        statement = (
            update(outbox)
            .where(outbox.c.id == entry_id)
            .values(attempts=outbox.c.attempts + 1, last_error=storable(error), next_ms=to_ms(next_at), dead=dead)
        )
        self._database.transact(lambda connection: connection.execute(statement))

    def pending(self, *, limit: int) -> list[OutboxEntry]:
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(select(outbox).order_by(outbox.c.id).limit(limit))]


def _entry(row: Row[Any]) -> OutboxEntry:
    return OutboxEntry(
        id=row.id,
        run_id=row.run_id,
        created_at=from_ms(row.created_ms),
        attempts=row.attempts,
        next_at=from_ms(row.next_ms),
        last_error=row.last_error,
        dead=bool(row.dead),
    )
