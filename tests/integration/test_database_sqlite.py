"""What makes SQLite trustworthy: durability, private files, one writer, a short log, a local disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from minisched.domain.errors import ConfigurationError, StoreUnavailable
from minisched.store.engine import Database, open_database
from minisched.store.sqlite import file_system_of, refuse_network_file_system
from minisched.store.tables import locks, outbox
from tests.waiting import wait_until


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    with closing(open_database(sqlite_url, busy_timeout_s=0.2)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("pragma", "expected"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 200)]
)
def test_every_connection_follows_the_recipe(database: Database, pragma: str, expected: object) -> None:
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == expected


def test_files_are_private_even_under_a_careless_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        path = tmp_path / "new" / "minisched.db"
        with closing(open_database(f"sqlite:///{path}")) as opened, opened.write() as connection:
            connection.execute(text("CREATE TABLE t (x INTEGER)"))
            modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {"minisched.db", "minisched.db-wal", "minisched.db-shm"}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_can_read_is_closed_to_them(file: Path, sqlite_url: str) -> None:
    file.chmod(0o644)
    with closing(open_database(sqlite_url)) as opened:
        opened.ping()
    assert file.stat().st_mode & 0o777 == 0o600


def test_many_make_the_same_new_file_a_database(tmp_path: Path) -> None:
    def first_look(_: int) -> str:
        with closing(open_database(url)) as opened, opened.read() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            url = f"sqlite:///{tmp_path / f'{number}.db'}"
            assert set(pool.map(first_look, range(8))) == {"wal"}


def test_opening_it_again_drops_no_lock_of_this_process(database: Database, file: Path, sqlite_url: str) -> None:
    leave_wal = f"import sqlite3; sqlite3.connect({str(file)!r}, timeout=0).execute('PRAGMA journal_mode=DELETE')"
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
        with closing(open_database(sqlite_url)):
            refused = subprocess.run([sys.executable, "-c", leave_wal], capture_output=True, text=True, check=False)
    assert "database is locked" in refused.stderr


def test_read_then_write_loses_no_update(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def add_one(_: int) -> None:
        with database.write() as connection:
            n = connection.execute(text("SELECT n FROM counter")).scalar_one()
            connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(100)))
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 100


def test_a_reader_neither_waits_for_a_writer_nor_sees_half_of_its_work(database: Database) -> None:
    with database.write() as writing:
        writing.execute(insert(locks), {"name": "new"})
        with database.read() as reading:
            assert "new" not in set(reading.execute(select(locks.c.name)).scalars())


def test_foreign_keys_are_enforced(database: Database) -> None:
    row = {"run_id": "nobody", "created_ms": 1, "next_ms": 1, "attempts": 0, "dead": False}
    with pytest.raises(Exception, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(insert(outbox), row)


def test_a_lock_of_another_process_is_waited_for_and_then_said(database: Database, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="Another process"), database.write():
            pytest.fail("two writers at once")
        other.execute("COMMIT")
    with database.write() as connection:
        connection.execute(insert(locks), {"name": "free"})


def test_a_writer_of_our_own_that_does_not_end_is_waited_for_and_then_said(database: Database) -> None:
    refused: list[BaseException] = []

    def write() -> None:
        try:
            with database.write():
                pass
        except StoreUnavailable as error:
            refused.append(error)

    with database.write():
        other = threading.Thread(target=write)
        other.start()
        other.join()
    assert len(refused) == 1


_WRITER = """
import sys
from minisched.store.engine import open_database
from sqlalchemy import text
database = open_database(sys.argv[1])
with database.write() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS acknowledged (n INTEGER PRIMARY KEY, filler TEXT)"))
    start = connection.execute(text("SELECT coalesce(max(n), 0) FROM acknowledged")).scalar_one()
for n in range(start + 1, start + 1_000_000):
    with database.write() as connection:
        connection.execute(text("INSERT INTO acknowledged VALUES (:n, :filler)"), {"n": n, "filler": "x" * 3000})
    print(n, flush=True)
"""


def test_every_acknowledged_row_survives_kill_9(sqlite_url: str, tmp_path: Path) -> None:
    for _ in range(3):
        acknowledged = _written_until_killed(sqlite_url, tmp_path / "acknowledged")
        with closing(open_database(sqlite_url)) as opened, opened.read() as connection:
            stored = set(connection.execute(text("SELECT n FROM acknowledged")).scalars())
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert acknowledged <= stored
        # At most the commit that was under way is there without having been acknowledged.
        assert len(stored) <= max(acknowledged) + 1


def _written_until_killed(url: str, output: Path) -> set[int]:
    with output.open("wb") as stdout:
        process = subprocess.Popen([sys.executable, "-c", _WRITER, url], stdout=stdout)
    try:
        wait_until(lambda: output.read_bytes().count(b"\n") > 40, timeout_s=60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    whole_lines = output.read_text().split("\n")[:-1]
    return {int(line) for line in whole_lines}


def test_the_log_is_cut_when_nobody_reads(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (x TEXT)"))
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM t")).scalar_one()
        for _ in range(30):
            with database.write() as connection:
                connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": "x" * 200_000})
        assert database.log_bytes() > 5_000_000
        assert database.checkpoint() is False
    assert database.checkpoint() is True
    assert database.log_bytes() == 0


def test_the_log_is_looked_after_without_being_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.store.engine._WRITES_PER_LOOK", 1)
    monkeypatch.setattr("minisched.store.sqlite._WAL_LIMIT_BYTES", 100_000)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (x TEXT)"))
        connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": "x" * 200_000})
    assert database.log_bytes() == 0


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        open_database(url)


@pytest.mark.parametrize("url", ["", "nonsense", "oracle://scott:tiger@host/db", "/tmp/x.db"])
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_database(url)
    assert refusal.value.field == "database.url"
    assert "tiger" not in str(refusal.value)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        open_database(f"sqlite:///{tmp_path}")


def test_tables_that_are_missing_are_said(tmp_path: Path) -> None:
    with (
        closing(open_database(f"sqlite:///{tmp_path / 'empty.db'}")) as opened,
        pytest.raises(ConfigurationError, match="minisched db upgrade"),
        opened.read() as connection,
    ):
        connection.execute(select(locks))


_MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /data rw,relatime shared:2 - nfs4 server:/export rw
31 30 0:41 / /data/local\\040disk rw - xfs /dev/vdb rw
32 22 0:42 / /share rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/data", "nfs4"),
        ("/data/x/y", "nfs4"),
        ("/data/local disk/x", "xfs"),
        ("/database", "ext4"),
    ],
)
def test_the_file_system_of_a_path(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(_MOUNTS)
    assert file_system_of(Path(path), mounts) == kind


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(_MOUNTS)
    for directory in ("/data/minisched", "/share"):
        with pytest.raises(ConfigurationError, match="network file system"):
            refuse_network_file_system(Path(directory), mounts)
    refuse_network_file_system(Path("/home"), mounts)
    refuse_network_file_system(Path("/home"), tmp_path / "absent")
