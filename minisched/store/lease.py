"""The lease in the table `leases`: taken and renewed by compare-and-set, compared by every transaction that writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, inspect, literal, literal_column, select, update

from minisched.domain.errors import LeaseLost
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.lease import Holder, Sighting
from minisched.domain.run import ProcessIdentity
from minisched.store.columns import dump, load
from minisched.store.engine import Database
from minisched.store.tables import leases

_OURS = leases.c.name == "server"

# Until the transaction ends nobody can take the lease, while renewals pass where the database has a lock for that. As
# text, because every transaction that writes begins with it.
_COMPARED = "SELECT token FROM leases WHERE name = 'server'"
_LOCKED = {"postgresql": " FOR KEY SHARE", "mysql": " LOCK IN SHARE MODE"}

# Of one clock, whoever asks. An SQLite file has a single machine, whose clock is ours.
_NOW_MS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000",
}


class SqlLease:
    """Every method raises StoreUnavailable when the database does not answer."""

    def __init__(self, database: Database, *, clock_ms: Callable[[], int] | None = None) -> None:
        """`clock_ms` is the clock of an SQLite database, for tests."""
        self._database = database
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)

    def exists(self) -> bool:
        """False before the migration that brought the table."""
        with self._database.read() as connection:
            return inspect(connection).has_table(leases.name)

    def look(self) -> Sighting:
        statement = select(leases, self._now().label("now_ms")).where(_OURS)
        with self._database.read() as connection:
            row = connection.execute(statement).one()
        return Sighting(row.token, _holder(row.holder), row.renewed_ms, row.now_ms)

    def take(self, seen: Sighting, holder: Holder) -> int | None:
        """The new token; None when it was renewed, taken or given back since it was seen."""
        statement = update(leases).where(_OURS, leases.c.token == seen.token, leases.c.renewed_ms == seen.renewed_ms)
        values = {"token": seen.token + 1, "holder": _columns(holder), "renewed_ms": self._now()}
        return seen.token + 1 if self._changed(statement.values(values)) else None

    def kept_by_writer(self) -> int | None:
        """The pid that nobody can take the lease for, because it is in the middle of a write to an SQLite file."""
        return self._database.writer()

    def renew(self, token: int) -> bool:
        """False when another has taken it."""
        statement = update(leases).where(_OURS, leases.c.token == token, leases.c.holder.is_not(None))
        return self._changed(statement.values(renewed_ms=self._now()))

    def release(self, token: int) -> bool:
        """Give it back, so that the next server need not wait. False when another has taken it."""
        return self._changed(update(leases).where(_OURS, leases.c.token == token).values(holder=None))

    def fence(self, token: int, kept_out: Callable[[], None]) -> Callable[[Connection], None]:
        """What lets a transaction pass, and keeps others from taking the lease until it ends.

        Raises LeaseLost after `kept_out` was called.
        """

        statement = _COMPARED + _LOCKED.get(self._database.dialect, "")

        def compare(connection: Connection) -> None:
            if connection.exec_driver_sql(statement).scalar_one() != token:
                kept_out()
                raise LeaseLost

        return compare

    def _changed(self, statement: Any) -> bool:
        return self._database.transact_unfenced(lambda connection: bool(connection.execute(statement).rowcount))

    def _now(self) -> ColumnElement[int]:
        expression = _NOW_MS.get(self._database.dialect)
        return literal(self._clock_ms(), BigInteger) if expression is None else literal_column(expression, BigInteger)


def _columns(holder: Holder) -> str:
    process = holder.process
    return dump(
        {
            "id": holder.id,
            "host": holder.host,
            "process": {"pid": process.pid, "startTicks": process.start_ticks, "bootId": process.boot_id},
            "pidNamespace": holder.pid_namespace,
            "since": to_ms(holder.since),
        }
    )


def _holder(text: str | None) -> Holder | None:
    if text is None:
        return None
    values = load(text)
    process = values["process"]
    return Holder(
        id=values["id"],
        host=values["host"],
        process=ProcessIdentity(process["pid"], process["startTicks"], process["bootId"]),
        pid_namespace=values["pidNamespace"],
        since=from_ms(values["since"]),
    )
