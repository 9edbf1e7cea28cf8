"""What callers see when the database goes away: before, during and after a commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import event, text

from minisched.domain.errors import IllegalTransition, StoreUnavailable
from minisched.domain.run import RunState
from minisched.store.engine import Database, open_database
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, new_key
from tests.databases import SERVERS, Server
from tests.fakes_store import ManualClock
from tests.store_kinds import EPOCH, FAILURE, SUCCESS, a_run


@pytest.fixture
def runs(database: Database) -> SqlRunStore:
    return SqlRunStore(database, SecretBox([new_key()]), ManualClock())


@contextmanager
def commits_that_break(database: Database, *, done: bool) -> Iterator[None]:
    """The next commit loses its connection: just after the database did it (`done`), or just before."""
    dialect = database.engine.dialect
    commit = dialect.do_commit
    assert dialect.dbapi is not None
    cut = dialect.dbapi.OperationalError("server closed the connection unexpectedly")

    def broken(connection: object) -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]
        if done:
            commit(connection)  # type: ignore[arg-type]
        raise cut

    dialect.do_commit = broken  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]


def test_enqueue_finds_its_run_after_a_commit_of_unknown_outcome(database: Database, runs: SqlRunStore) -> None:
    run = a_run()
    with commits_that_break(database, done=True):
        assert runs.enqueue(run) == run
    assert runs.counts()[RunState.QUEUED] == 1


def test_enqueue_says_so_when_its_run_is_not_there(database: Database, runs: SqlRunStore) -> None:
    with commits_that_break(database, done=False), pytest.raises(StoreUnavailable):
        runs.enqueue(a_run())
    assert runs.counts()[RunState.QUEUED] == 0


def test_finish_finds_its_end_after_a_commit_of_unknown_outcome(database: Database, runs: SqlRunStore) -> None:
    run = runs.enqueue(a_run())
    runs.claim(slots=1)
    with commits_that_break(database, done=True):
        assert runs.finish(run.id, SUCCESS, ended_at=EPOCH).state == RunState.SUCCESS
    with pytest.raises(IllegalTransition):
        runs.finish(run.id, SUCCESS, ended_at=EPOCH)


def test_finish_says_so_when_nothing_was_written(database: Database, runs: SqlRunStore) -> None:
    run = runs.enqueue(a_run())
    runs.claim(slots=1)
    with commits_that_break(database, done=False), pytest.raises(StoreUnavailable):
        runs.finish(run.id, FAILURE, ended_at=EPOCH)
    assert runs.get(run.id).state == RunState.RUNNING
    assert runs.finish(run.id, FAILURE, ended_at=EPOCH).state == RunState.FAILED


@pytest.mark.parametrize("database_url", SERVERS, indirect=True)
def test_a_deadlock_is_tried_again(database: Database, runs: SqlRunStore) -> None:
    broken: list[str] = []

    def break_once(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO runs") and not broken:
            broken.append(statement)
            raise _deadlock(database)

    event.listen(database.engine, "before_cursor_execute", break_once)
    run = a_run()
    assert runs.enqueue(run) == run
    assert broken


def _deadlock(database: Database) -> Exception:
    dbapi = database.engine.dialect.dbapi
    assert dbapi is not None
    if database.dialect == "mysql":
        return dbapi.OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
    from psycopg.errors import DeadlockDetected

    return DeadlockDetected("deadlock detected")


@pytest.mark.external_service
def test_connections_that_the_server_cut_are_replaced(migrated_postgresql_url: str, postgresql_server: Server) -> None:
    with closing(open_database(migrated_postgresql_url)) as database:
        database.ping()
        postgresql_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'minisched'")
        database.ping()


def _write_while_cut(database: Database, server: Server) -> None:
    with database.write() as connection:
        connection.execute(text("SELECT 1"))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'minisched'")
        connection.execute(text("SELECT 1"))


@pytest.mark.external_service
def test_a_cut_in_the_middle_of_a_transaction_is_said(migrated_postgresql_url: str, postgresql_server: Server) -> None:
    with closing(open_database(migrated_postgresql_url)) as database:
        with pytest.raises(StoreUnavailable):
            _write_while_cut(database, postgresql_server)
        database.ping()


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:hunter2@127.0.0.1:9/db", "mysql://nobody:hunter2@127.0.0.1:9/db"],
    ids=["postgresql", "mysql"],
)
def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    with closing(open_database(url, busy_timeout_s=1)) as database, pytest.raises(StoreUnavailable) as refusal:
        database.ping()
    assert "hunter2" not in str(refusal.value)


@pytest.mark.external_service
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_lock_held_by_another_is_waited_for_and_then_said(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"migrated_{kind}_url")
    with closing(open_database(url)) as holder, closing(open_database(url, busy_timeout_s=0.5)) as waiter:
        with holder.write() as connection:
            holder.serialize(connection, "claim")
            with pytest.raises(StoreUnavailable), waiter.write() as blocked:
                waiter.serialize(blocked, "claim")
        with waiter.write() as free:
            waiter.serialize(free, "claim")
