"""Airflow's own database, read and never written: which DAGs are paused, when they run next, how they last ran.

Of Airflow 2 (from 2.2) and 3, on PostgreSQL, MySQL or MariaDB, and SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Boolean, Connection, DateTime, Engine, column, create_engine, event, select, table, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from minisched.domain.errors import InvalidInput, MinischedError
from minisched.store.engine import parse_url

FIELD = "--database-url"

_CONNECT_TIMEOUT_S = 10
_RUNS_SHOWN = 5
_MOMENT = DateTime(timezone=True)


@dataclass(frozen=True, slots=True)
class AirflowRun:
    """One run of a DAG, in Airflow's words; times in UTC."""

    state: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AirflowDag:
    """A DAG as Airflow's scheduler has it: whether it fires by itself, when next (UTC), and its latest runs."""

    dag_id: str
    paused: bool
    next_fire: datetime | None
    runs: tuple[AirflowRun, ...]


def read_dags(url: str, dag_ids: Iterable[str]) -> dict[str, AirflowDag]:
    """Those of the DAGs that Airflow knows, by id, in one transaction that only reads.

    A DAG whose file is gone (`is_stale`, earlier `is_active`) counts as unknown. Raises InvalidInput, without the URL.
    """
    with _readable(), _connection(url) as connection:
        columns = _columns(connection, "dag")
        found = {}
        for dag_id in dag_ids:
            if (dag := _dag(connection, columns, dag_id)) is not None:
                found[dag_id] = dag
        return found


def _dag(connection: Connection, columns: frozenset[str], dag_id: str) -> AirflowDag | None:
    dags = table("dag", *(column(name, _TYPES.get(name)) for name in sorted(columns & _READ)))
    row = connection.execute(select(dags).where(dags.c.dag_id == dag_id)).mappings().one_or_none()
    if row is None or row.get("is_stale") or row.get("is_active") is False:
        return None
    next_fire = _utc(row.get("next_dagrun_create_after"))
    return AirflowDag(dag_id, bool(row["is_paused"]), next_fire, tuple(_runs(connection, dag_id)))


_READ = frozenset({"dag_id", "is_paused", "is_stale", "is_active", "next_dagrun_create_after"})
_TYPES: dict[str, Any] = {
    "is_paused": Boolean(),
    "is_stale": Boolean(),
    "is_active": Boolean(),
    "next_dagrun_create_after": _MOMENT,
}
_RUNS = table(
    "dag_run",
    column("id"),
    column("dag_id"),
    column("state"),
    column("start_date", _MOMENT),
    column("end_date", _MOMENT),
)


def _runs(connection: Connection, dag_id: str) -> Iterator[AirflowRun]:
    latest = select(_RUNS).where(_RUNS.c.dag_id == dag_id).order_by(_RUNS.c.id.desc()).limit(_RUNS_SHOWN)
    for row in connection.execute(latest):
        yield AirflowRun(str(row.state), _utc(row.start_date), _utc(row.end_date))


def _columns(connection: Connection, name: str) -> frozenset[str]:
    """By an empty answer: no types have to be understood for that."""
    return frozenset(connection.execute(text(f"SELECT * FROM {name} WHERE 1 = 0")).keys())  # noqa: S608 - our own name


def _utc(moment: datetime | None) -> datetime | None:
    """Airflow keeps UTC also where the database has no zones."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = _engine(parse_url(url))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    if url.get_backend_name() == "mysql":
        engine = create_engine(url, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
        event.listen(engine, "connect", _only_read_mysql)
        return engine
    options = {"connect_timeout": _CONNECT_TIMEOUT_S, "options": "-c default_transaction_read_only=on"}
    return create_engine(url, connect_args=options)


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    if not path.is_file():
        raise InvalidInput("there is no such file.", field=FIELD, hint="Airflow's is AIRFLOW_HOME/airflow.db.")
    location = f"{path.absolute().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(location, uri=True))


def _only_read_mysql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET time_zone = '+00:00'")
    connection.commit()


@contextmanager
def _readable() -> Iterator[None]:
    """Whatever keeps the database from being read, in one sentence without the URL."""
    try:
        yield
    except InvalidInput:
        raise
    except MinischedError as error:
        raise InvalidInput(error.message, field=FIELD, hint=error.hint) from error
    except (SQLAlchemyError, ArgumentError) as error:
        raise InvalidInput(f"Airflow's database cannot be read: {_reason(error)}.", field=FIELD) from error


def _reason(error: SQLAlchemyError) -> str:
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    lines = str(error.orig).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error.orig).__name__
