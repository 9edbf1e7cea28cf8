"""Databases for tests: SQLite files, and PostgreSQL and MariaDB servers of our own from the system's packages.

A server is started once per session, when the first test asks for it, in a temporary directory and on a Unix socket
only; it dies with the test process even when that is killed. Each test finds its database migrated and empty.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, text, update
from sqlalchemy.exc import OperationalError

from minisched.domain.errors import StoreUnavailable
from minisched.store import migrations
from minisched.store.engine import Database, open_database
from minisched.store.tables import leases, locks, metadata
from tests.requirements_of_tests import skip_or_fail
from tests.waiting import wait_until

EXTERNAL = pytest.mark.external_service
SERVERS = [pytest.param("postgresql", marks=EXTERNAL), pytest.param("mariadb", marks=EXTERNAL)]
DATABASES = ["sqlite", *SERVERS]
_START_S = 60.0
_STOP_S = 20.0


@dataclass
class Server:
    """A running database server; `pattern` is the URL of a database on it, with `{name}` for the database's name.

    On the Unix socket everybody is welcome; on `port` of 127.0.0.1 whoever knows the password of a user.
    """

    kind: str
    pattern: str
    admin: str
    socket: Path
    port: int
    process: _Process | None = None

    def url(self, name: str) -> str:
        return self.pattern.format(name=name)

    def create(self, name: str) -> str:
        """A new empty database."""
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Not running inside the block."""
        assert self.process is not None
        self.process.stop()
        try:
            yield
        finally:
            self.process.start()

    def cut(self, name: str) -> int:
        """End every connection to this database; how many there were."""
        if self.kind == "postgresql":
            where = f"datname = '{name}' AND pid <> pg_backend_pid()"
            return len(self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}"))
        with self._connected() as connection:
            found = text(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
            ids = list(connection.execute(found).scalars())
            for connection_id in ids:
                with suppress(OperationalError):  # it has ended by itself
                    connection.execute(text(f"KILL {connection_id}"))
        return len(ids)

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name}")

    def execute(self, statement: str) -> None:
        with self._connected() as connection:
            connection.execute(text(statement))

    def query(self, statement: str) -> list[Any]:
        """Rows."""
        with self._connected() as connection:
            return list(connection.execute(text(statement)).all())

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        url = self.url(self.admin).replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url.replace("mariadb://", "mysql+pymysql://"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    binaries = _postgresql_binaries()
    with _directory(owner="postgres") as directory:
        user = _setpriv("postgres")
        data = directory / "data"
        _run(
            [
                *user,
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "-E",
                "UTF8",
                "--no-sync",
            ]
        )
        port = _free_port()
        options = ["fsync=off", "listen_addresses=127.0.0.1", f"port={port}", "max_connections=200"]
        options.append(f"unix_socket_directories={directory}")
        settings = [word for option in options for word in ("-c", option)]
        server = Server(
            "postgresql",
            f"postgresql://postgres@/{{name}}?host={directory}&port={port}",
            "postgres",
            directory / f".s.PGSQL.{port}",
            port,
        )
        command = [*user, str(binaries / "postgres"), "-D", str(data), *settings]
        with _running(command, directory, server, stop_signal=signal.SIGINT):
            yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """MariaDB; or, for those who have it, the MySQL whose program MINISCHED_TEST_MYSQLD names."""
    mysqld = os.environ.get("MINISCHED_TEST_MYSQLD")
    with _directory(owner=None) as directory:
        data, listens_at, port = directory / "data", directory / "socket", _free_port()
        prepare, serve = _mariadb(data) if mysqld is None else _mysql(mysqld, data)
        _run(prepare)
        command = [
            *_setpriv(None),
            *serve,
            f"--socket={listens_at}",
            f"--pid-file={directory / 'pid'}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            # What was committed survives the end of the server, however it ends; only a power cut may lose it.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
            "--max-connections=200",
        ]
        server = Server(
            "mariadb", f"mariadb://root@localhost/{{name}}?unix_socket={listens_at}", "mysql", listens_at, port
        )
        with _running(command, directory, server, stop_signal=signal.SIGTERM):
            yield server


def _mariadb(data: Path) -> tuple[list[str], list[str]]:
    """How its files are made, and how it is started."""
    program = _which("mariadbd", "/usr/sbin/mariadbd")
    install = _which("mariadb-install-db", "/usr/bin/mariadb-install-db")
    if program is None or install is None:
        skip_or_fail("MariaDB is not installed")
    place = ["--no-defaults", f"--datadir={data}", f"--user={_user()}"]
    return [install, *place, "--skip-test-db", "--auth-root-authentication-method=normal"], [program, *place]


def _mysql(program: str, data: Path) -> tuple[list[str], list[str]]:
    place = ["--no-defaults", f"--datadir={data}", f"--user={_user()}", "--secure-file-priv=NULL"]
    return [program, *place, "--initialize-insecure"], [program, *place, "--mysqlx=OFF", "--disable-log-bin"]


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "template.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql_url(postgresql_server: Server) -> str:
    return _migrated(postgresql_server)


@pytest.fixture(scope="session")
def migrated_mariadb_url(mariadb_server: Server) -> str:
    return _migrated(mariadb_server)


@pytest.fixture
def sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """A migrated and empty SQLite database of this test alone."""
    path = tmp_path / "minisched.db"
    shutil.copyfile(migrated_sqlite_file, path)
    return f"sqlite:///{path}"


def url_for(kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of a migrated and empty database of this kind: sqlite, postgresql or mariadb."""
    if kind == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    url = str(request.getfixturevalue(f"migrated_{kind}_url"))
    _empty(url)
    return url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated and empty database, once on each kind."""
    return url_for(request.param, request)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as opened:
        yield opened


@pytest.fixture(params=DATABASES)
def unmigrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table, once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'unmigrated.db'}"
        return
    server: Server = request.getfixturevalue(f"{request.param}_server")
    name = f"unmigrated_{os.urandom(6).hex()}"
    yield server.create(name)
    server.drop(name)


def _migrated(server: Server) -> str:
    url = server.create("minisched")
    migrations.upgrade(url)
    return url


def _empty(url: str) -> None:
    with closing(open_database(url)) as opened, opened.write() as connection:
        for table in reversed(metadata.sorted_tables):
            if table not in (locks, leases):
                connection.execute(delete(table))
        connection.execute(update(leases).values(token=0, renewed_ms=0, holder=None))


def _postgresql_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        skip_or_fail("PostgreSQL is not installed")
    return Path(on_path).parent


def _which(program: str, usual: str) -> str | None:
    return shutil.which(program) or (usual if Path(usual).exists() else None)


def _setpriv(user: str | None) -> list[str]:
    """Run as this user, since PostgreSQL refuses to run as root, and die when the test process does."""
    command = ["setpriv", "--pdeathsig", "SIGKILL"]
    if user is not None and os.getuid() == 0:
        command += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return command


@contextmanager
def _directory(owner: str | None) -> Iterator[Path]:
    """A directory with a short path, because that of a Unix socket ends at 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="msdb-", dir="/tmp"))
    try:
        if owner is not None and os.getuid() == 0:
            shutil.chown(path, owner, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class _Process:
    """The process of a database server, which a test may stop and start again."""

    def __init__(self, command: list[str], directory: Path, server: Server, stop_signal: signal.Signals) -> None:
        self._command = command
        self._log = directory / "server.log"
        self._server = server
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            process: subprocess.Popen[Any] = subprocess.Popen(
                self._command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._process = process
        wait_until(lambda: process.poll() is not None or _answers(self._server), timeout_s=_START_S, every_s=0.1)
        assert process.poll() is None, self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self._process.kill()
        self._process.wait()
        self._process = None


@contextmanager
def _running(command: list[str], directory: Path, server: Server, *, stop_signal: signal.Signals) -> Iterator[None]:
    server.process = _Process(command, directory, server, stop_signal)
    try:
        server.process.start()
        yield
    finally:
        server.process.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(server: Server) -> bool:
    # The MySQL driver forgets to close a Unix socket that refuses it.
    if not _accepts(server.socket):
        return False
    with closing(open_database(server.url(server.admin), busy_timeout_s=2)) as opened:
        try:
            opened.ping()
        except StoreUnavailable:
            return False
    return True
