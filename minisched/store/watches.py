"""Watches: rows that say from when until when a scheduler was at work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, update

from minisched.domain.instant import to_ms
from minisched.store.engine import Database
from minisched.store.tables import watches


class SqlWatches:
    """Implements `ports.Watches`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, at: datetime) -> int:
        row = {"from_ms": to_ms(at), "until_ms": to_ms(at)}
        with self._database.write() as connection:
            key = connection.execute(insert(watches).values(**row)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def extend(self, number: int, at: datetime) -> None:
        statement = update(watches).where(watches.c.id == number).values(until_ms=to_ms(at))
        with self._database.write() as connection:
            connection.execute(statement)
