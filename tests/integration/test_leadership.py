"""A server that was frozen in the middle of a write: another takes its place, and nothing half-done is left.

The process is a real one, which stops itself where a server would be stopped: between two statements.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
import pytest
from sqlalchemy import select

from minisched.app.leadership import Candidate, Taken
from minisched.store.engine import Database, open_database
from minisched.store.lease import SqlLease
from minisched.store.tables import locks
from minisched.system_clock import SystemClock
from tests.databases import url_for
from tests.waiting import wait_until

LEASE_S = 1.0
TAKEN_OVER_WITHIN_S = 15.0
KEPT_OUT = 3

FROZEN = f"""
import os, signal, sys
import pymysql
from sqlalchemy import insert
from minisched.app.leadership import this_process
from minisched.domain.errors import StoreUnavailable
from minisched.store import engine
from minisched.store.lease import SqlLease
from minisched.store.tables import locks
from minisched.system_clock import SystemClock

engine.ABANDONED_AFTER_S = 2
if sys.argv[2] == "mysql":
    pymysql.connections.Connection.get_server_info = lambda _: "8.4.3"
database = engine.open_database(sys.argv[1])
lease = SqlLease(database)
token = lease.take(lease.look(), this_process(SystemClock()))
database.fence_off(lease.fence(token, lambda: None))
try:
    with database.write() as connection:
        connection.execute(insert(locks).values(name="half done"))
        os.kill(os.getpid(), signal.SIGSTOP)
except StoreUnavailable:
    os._exit({KEPT_OUT})
"""


@contextmanager
def a_server_frozen_in_a_write(url: str, *, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", FROZEN, url, kind]) as process:
        try:
            wait_until(lambda: _is_stopped(process), timeout_s=60)
            yield process
        finally:
            process.kill()


def _is_stopped(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)


def taken_by_another(database: Database) -> Taken:
    """As a standby takes it."""
    too_late = threading.Event()
    watchdog = threading.Timer(TAKEN_OVER_WITHIN_S, too_late.set)
    watchdog.start()
    candidate = Candidate(SqlLease(database), lease_s=LEASE_S, standby=True, clock=SystemClock(), stop_asked=too_late)
    try:
        taken = candidate.acquire()
    finally:
        watchdog.cancel()
    assert taken is not None, "it waits for ever"
    return taken


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(select(locks.c.name)).scalars())


def test_on_sqlite_it_is_ended(sqlite_url: str) -> None:
    """Its lock is in the kernel: only its end frees it."""
    frozen_server = a_server_frozen_in_a_write(sqlite_url, kind="sqlite")
    with frozen_server as frozen, closing(open_database(sqlite_url)) as database:
        assert database.writer() == frozen.pid
        taken = taken_by_another(database)
        assert taken.predecessor is not None
        assert taken.predecessor.process.pid == frozen.pid
        assert frozen.wait(10) == -signal.SIGKILL
        assert "half done" not in names(database)
        assert database.writer() is None


@pytest.mark.external_service
@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "mysql"])
def test_on_a_server_its_transaction_is_ended(kind: str, request: pytest.FixtureRequest) -> None:
    """MySQL is played by MariaDB, which also ends connections that are silent for too long."""
    url = url_for("mariadb" if kind == "mysql" else kind, request)
    with a_server_frozen_in_a_write(url, kind=kind) as frozen, closing(open_database(url)) as database:
        taken_by_another(database)
        frozen.send_signal(signal.SIGCONT)
        assert frozen.wait(30) == KEPT_OUT
        assert "half done" not in names(database)
