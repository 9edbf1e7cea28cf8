"""Airflow's own database on each of the databases that it runs on, with the columns of Airflow 2 and of Airflow 3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from minisched.domain.errors import InvalidInput
from minisched.store import airflow_database
from minisched.store.airflow_database import AirflowDag, AirflowRun, read_dags
from minisched.store.engine import parse_url
from tests.databases import DATABASES, Server

# The instants as each database keeps them, and a session of another zone that must make no difference.
MOMENTS = {
    "sqlite": ("TIMESTAMP", "'{}.000000'", []),
    "postgresql": ("TIMESTAMP WITH TIME ZONE", "'{}+00'", []),
    "mariadb": ("TIMESTAMP(6) NULL", "'{}'", ["SET time_zone = '+00:00'"]),
}
ELSEWHERE = {
    "sqlite": "SELECT 1",
    "postgresql": "ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'",
    "mariadb": "SET GLOBAL time_zone = '+09:00'",
}
BACK = {"mariadb": "SET GLOBAL time_zone = 'SYSTEM'"}

AIRFLOW_2 = [
    "CREATE TABLE dag (dag_id VARCHAR(250) PRIMARY KEY, is_paused BOOLEAN, is_active BOOLEAN,"
    " next_dagrun {moment}, next_dagrun_create_after {moment}, schedule_interval TEXT)",
    "CREATE TABLE dag_run (id INTEGER PRIMARY KEY, dag_id VARCHAR(250), execution_date {moment},"
    " state VARCHAR(50), run_id VARCHAR(250), start_date {moment}, end_date {moment})",
    "INSERT INTO dag VALUES ('active', false, true, NULL, {next}, 'x'), ('paused', true, true, NULL, NULL, 'x'),"
    " ('gone', false, false, NULL, {next}, 'x')",
    "INSERT INTO dag_run VALUES (1, 'active', {next}, 'success', 'a', {first}, {first}),"
    " (2, 'active', {next}, 'running', 'b', {last}, NULL)",
]
AIRFLOW_3 = [
    "CREATE TABLE dag (dag_id VARCHAR(250) PRIMARY KEY, is_paused BOOLEAN, is_stale BOOLEAN, bundle_name VARCHAR(9),"
    " next_dagrun {moment}, next_dagrun_create_after {moment})",
    "CREATE TABLE dag_run (id INTEGER PRIMARY KEY, dag_id VARCHAR(250), logical_date {moment},"
    " state VARCHAR(50), run_id VARCHAR(250), start_date {moment}, end_date {moment}, run_after {moment})",
    "INSERT INTO dag VALUES ('active', false, false, 'x', NULL, {next}), ('paused', true, false, 'x', NULL, NULL),"
    " ('gone', false, true, 'x', NULL, {next})",
    "INSERT INTO dag_run VALUES (1, 'active', {next}, 'success', 'a', {first}, {first}, {next}),"
    " (2, 'active', {next}, 'running', 'b', {last}, NULL, {next})",
]

NEXT = datetime(2027, 3, 4, 5, 0, tzinfo=UTC)
FIRST, LAST = datetime(2026, 1, 1, 2, 0, 5, tzinfo=UTC), datetime(2026, 1, 2, 2, 0, 5, tzinfo=UTC)

Make = Callable[[list[str]], str]


@pytest.fixture(params=DATABASES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Fills a new database with these statements; its URL."""
    kind = str(request.param)
    name = f"airflow_{uuid4().hex[:8]}"
    moment, quoted, before = MOMENTS[kind]

    def literal(at: datetime) -> str:
        return quoted.format(f"{at:%Y-%m-%d %H:%M:%S}")

    def make(statements: list[str]) -> str:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path / 'airflow.db'}"
        else:
            server: Server = request.getfixturevalue(f"{kind}_server")
            url = server.create(name)
        engine = create_engine(parse_url(url))
        with engine.begin() as connection:
            filled = [
                statement.format(moment=moment, next=literal(NEXT), first=literal(FIRST), last=literal(LAST))
                for statement in statements
            ]
            for statement in (*before, *filled, ELSEWHERE[kind].format(name=name)):
                connection.execute(text(statement))
        if kind in BACK:
            request.addfinalizer(lambda: _execute(url, BACK[kind]))
        engine.dispose()
        return url

    return make


def _execute(url: str, statement: str) -> None:
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize("schema", [AIRFLOW_2, AIRFLOW_3], ids=["airflow 2", "airflow 3"])
def test_dags_are_read_in_utc_whatever_the_schema_and_the_session(make: Make, schema: list[str]) -> None:
    assert read_dags(make(schema), ["active", "paused", "gone", "nosuch"]) == {
        "active": AirflowDag(
            "active", False, NEXT, (AirflowRun("running", LAST, None), AirflowRun("success", FIRST, FIRST))
        ),
        "paused": AirflowDag("paused", True, None, ()),
    }


def test_nothing_can_be_written(make: Make) -> None:
    url = make(AIRFLOW_3)
    with airflow_database._connection(url) as connection, pytest.raises(DBAPIError, match=r"(?i)read.?only"):
        connection.execute(text("UPDATE dag SET is_paused = true"))


def test_a_database_of_something_else_is_told(make: Make) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)cannot be read.*dag"):
        read_dags(make([]), ["active"])
