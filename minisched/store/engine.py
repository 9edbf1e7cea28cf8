"""Connections and transactions: one recipe per database, the same two context managers for all."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text, update
from sqlalchemy.exc import ArgumentError

from minisched.acting import Action, acting
from minisched.domain.errors import ConfigurationError, StoreUnavailable
from minisched.store import sqlite
from minisched.store.errors import ConnectionLost, Deadlock, translated
from minisched.store.tables import locks

T = TypeVar("T")

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
# Servers and the firewalls before them drop connections that were idle for long.
_RECYCLE_S = 1800
# A database host that vanishes without a word is noticed after half a minute, and not by TCP after hours.
_VANISHED_HOST = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
# A server process that was frozen in the middle of a transaction must not keep its locks: whoever takes over from it
# would wait for ever. Between two statements of ours there are milliseconds.
ABANDONED_AFTER_S = 10
_DEADLOCK_RETRIES = 3
# How often the length of the write-ahead log is looked at.
_WRITES_PER_LOOK = 500

CLAIM_LOCK = "claim"
DEPLOY_LOCK = "deploy"
LOCK_NAMES = (CLAIM_LOCK, DEPLOY_LOCK)


class Database:
    """An engine with the transactions that the stores use; safe to share between threads.

    Every method raises StoreUnavailable when the database does not answer in time. When a connection is cut while a
    commit is under way, the outcome is unknown: StoreUnavailable then means "read again before you repeat".
    """

    def __init__(self, engine: Engine, *, busy_timeout_s: float, path: Path | None = None) -> None:
        self.engine = engine
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._writing = engine.execution_options(minisched_write=True)
        self._writing_lazily = engine.execution_options(minisched_write=True, minisched_durable=False)
        # SQLite has one writer at a time: waiting here is fair and free, waiting in SQLite is a loop of sleeps.
        self._turn = threading.Lock() if path is not None else None
        self._writes = 0
        self._write_failed = False
        self._fence: Callable[[Connection], None] | None = None
        self._witness: Callable[[Connection, Action], Sequence[str | None]] | None = None

    @property
    def dialect(self) -> str:
        """sqlite, postgresql or mysql (MariaDB too)."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; on SQLite a snapshot that neither waits for writers nor keeps them."""
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction that writes. Never open one inside another of the same thread.

        When the block ends it survives the death of every process; when it is `durable`, a power cut too.
        """
        writing = self._writing if durable else self._writing_lazily
        try:
            with translated(), self._own_turn(), writing.begin() as connection:
                if not durable and self.dialect == "postgresql":
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                if self._fence is not None:
                    self._fence(connection)
                yield connection
                told = self._told(connection)
        except BaseException as error:
            self._write_failed = self._write_failed or isinstance(error, StoreUnavailable)
            if (action := acting.get()) is not None:
                action.forget_unrecorded()
            raise
        self._write_failed = False
        if told and (action := acting.get()) is not None:
            action.note_recorded(told)
        self._look_after_log()

    def fence_off(self, fence: Callable[[Connection], None]) -> None:
        """From now on no transaction writes before `fence` has let it pass, in the same transaction."""
        self._fence = fence

    def have_witnessed(self, witness: Callable[[Connection, Action], Sequence[str | None]]) -> None:
        """From now on what somebody asked for is written down by `witness` before the transaction that does it commits.

        It returns what it has written down: `Action.unrecorded` of that moment.
        """
        self._witness = witness

    def _told(self, connection: Connection) -> Sequence[str | None]:
        action = acting.get()
        return self._witness(connection, action) if action is not None and self._witness is not None else ()

    def transact_unfenced(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` in a writing transaction that no fence keeps out: for the lease itself."""
        with translated(), self._own_turn(), self._writing.begin() as connection:
            return work(connection)

    def transact(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """The result of `work` in a writing transaction; repeated when the database chose it to end a deadlock."""
        for _ in range(_DEADLOCK_RETRIES):
            try:
                with self.write(durable=durable) as connection:
                    return work(connection)
            except Deadlock:
                continue
        with self.write(durable=durable) as connection:
            return work(connection)

    def repeat(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """As `transact`, for work that may be done twice: once more when the connection is cut on the way."""
        try:
            return self.transact(work, durable=durable)
        except ConnectionLost:
            return self.transact(work, durable=durable)

    def serialize(self, connection: Connection, lock: str) -> None:
        """Until this transaction ends nobody else gets beyond this line with the same lock (one of LOCK_NAMES)."""
        if self.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": advisory_key(lock)})
        elif self.dialect == "mysql":
            connection.execute(select(locks.c.name).where(locks.c.name == lock).with_for_update())

    def ping(self) -> None:
        """Raises StoreUnavailable when the database does not answer, or has refused a write and still does."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))
        if self._write_failed:
            with self.write() as connection:
                connection.execute(update(locks).values(name=locks.c.name))

    def writer(self) -> int | None:
        """The pid that keeps all others from writing to an SQLite file at this moment; None elsewhere."""
        return sqlite.writer_of(self.path) if self.path is not None else None

    def checkpoint(self) -> bool:
        """Fold SQLite's write-ahead log into the database file; False when somebody is in the way. True elsewhere."""
        return self.path is None or sqlite.truncate_wal(self.path)

    def log_bytes(self) -> int:
        """The size of SQLite's write-ahead log; a long reader makes it grow. 0 elsewhere."""
        return sqlite.wal_bytes(self.path) if self.path is not None else 0

    def close(self) -> None:
        """Give back every connection; SQLite folds its log into the file when the last one goes."""
        self.engine.dispose()

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=self._busy_timeout_s):
            raise StoreUnavailable("Another write of this process does not end.", hint="Try again.")
        try:
            yield
        finally:
            self._turn.release()

    def _look_after_log(self) -> None:
        self._writes += 1
        if self.path is not None and self._writes % _WRITES_PER_LOOK == 0 and sqlite.wal_is_long(self.path):
            sqlite.truncate_wal(self.path)


def advisory_key(lock: str) -> int:
    """A number of PostgreSQL's advisory locks that nobody else in this database will use by accident."""
    return int.from_bytes(hashlib.sha256(f"minisched:{lock}".encode()).digest()[:8], "big", signed=True)


def open_database(url: str, *, busy_timeout_s: float = 5.0, pool_size: int = 8, synchronous: str = "FULL") -> Database:
    """The database of this URL: `sqlite:///path`, `postgresql://…`, `mysql://…` or `mariadb://…`.

    `busy_timeout_s` bounds each wait for a lock, a connection or an answer to connecting. `synchronous` is SQLite's;
    NORMAL survives a crash of the process but may lose the last commits when the power fails. Nothing is sent to a
    server yet; an SQLite file is created. Raises ConfigurationError.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, busy_timeout_s, pool_size, synchronous)
    return _open_server(parsed, busy_timeout_s, pool_size)


def parse_url(url: str) -> URL:
    """The URL with the driver that we ship. Raises ConfigurationError without repeating it: it may hold a password."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("This is not the URL of a database.", field="database.url") from error
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        known = ", ".join(("sqlite", "postgresql", "mysql", "mariadb"))
        raise ConfigurationError(
            f"No support for {parsed.get_backend_name()!r}.", field="database.url", hint=f"Supported: {known}."
        )
    return parsed.set(drivername=driver)


def _open_sqlite(url: URL, busy_timeout_s: float, pool_size: int, synchronous: str) -> Database:
    path = sqlite.path_of(url)
    sqlite.prepare_file(path)
    engine = create_engine(
        url.set(database=str(path)),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=busy_timeout_s,
        connect_args={"timeout": busy_timeout_s},
    )
    sqlite.install(engine, synchronous=synchronous, busy_timeout_s=busy_timeout_s)
    return Database(engine, busy_timeout_s=busy_timeout_s, path=path)


def _open_server(url: URL, busy_timeout_s: float, pool_size: int) -> Database:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=busy_timeout_s,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_S,
        # MySQL's default, REPEATABLE READ, would count runs as they were when the transaction began.
        isolation_level="READ COMMITTED",
        connect_args=_connect_args(url, busy_timeout_s),
    )
    event.listen(engine, "connect", _session_timeouts(engine.dialect.name, busy_timeout_s))
    return Database(engine, busy_timeout_s=busy_timeout_s)


def _connect_args(url: URL, busy_timeout_s: float) -> dict[str, Any]:
    # libpq takes whole seconds and makes 2 of 1.
    seconds = max(2, math.ceil(busy_timeout_s))
    if url.get_backend_name() == "mysql":
        return {"connect_timeout": seconds, "charset": "utf8mb4"}
    return {"connect_timeout": seconds, **_VANISHED_HOST}


def _session_timeouts(dialect: str, busy_timeout_s: float) -> Callable[[Any, Any], None]:
    """What each new connection is told: how long to wait for a lock, and when a transaction counts as abandoned."""

    def tell(connection: Any, _record: Any) -> None:
        if dialect == "postgresql":
            statements = _postgresql_timeouts(busy_timeout_s)
        else:
            statements = _mysql_timeouts(busy_timeout_s, is_mariadb="MariaDB" in connection.get_server_info())
        cursor = connection.cursor()
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            cursor.close()
        connection.commit()

    return tell


def _postgresql_timeouts(busy_timeout_s: float) -> list[str]:
    return [
        f"SET lock_timeout = {max(1, int(busy_timeout_s * 1000))}",
        f"SET idle_in_transaction_session_timeout = {ABANDONED_AFTER_S * 1000}",
    ]


def _mysql_timeouts(busy_timeout_s: float, *, is_mariadb: bool) -> list[str]:
    # MySQL knows no timeout of transactions, only one of connections that are silent: the pool replaces them.
    silent = "idle_transaction_timeout" if is_mariadb else "wait_timeout"
    return [
        f"SET SESSION innodb_lock_wait_timeout = {max(1, math.ceil(busy_timeout_s))}",
        f"SET SESSION {silent} = {ABANDONED_AFTER_S}",
    ]
