"""Bringing a database to the schema of this version, and never back.

An SQLite file is upgraded by whoever opens it, after a backup beside it. A database server is somebody else's: it is
upgraded when an operator says so.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import minisched
from minisched.domain.errors import ConfigurationError, StoreUnavailable
from minisched.store.engine import Database, advisory_key, open_database, parse_url
from minisched.store.errors import translated
from minisched.store.sqlite import path_of
from minisched.store.tables import metadata

_LOCK = "migrations"
_MYSQL_LOCK_WAIT_S = 60
_SERVER_TOOLS = {"postgresql": "pg_dump", "mysql": "mariadb-dump or mysqldump"}


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` did: the revision before (None for an empty database) and now, and where the backup is."""

    before: str | None
    now: str
    backup: Path | None = None

    @property
    def upgraded(self) -> bool:
        return self.before != self.now

    def facts(self) -> dict[str, str | None]:
        """For the log."""
        return {"before": self.before, "now": self.now, "backup": str(self.backup) if self.backup else None}


def head() -> str:
    """The revision that this version of minisched works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise ConfigurationError(f"There are no migrations in {_script_location()}.", hint="Install minisched again.")
    return revision


def current(url: str) -> str | None:
    """The revision of the database; None when it is empty. Raises ConfigurationError when it is not a database of
    ours, StoreUnavailable."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not path_of(parsed).exists():
        return None
    with closing(open_database(url)) as database:
        return _revision(database)


def upgrade(url: str) -> str:
    """Bring the database to `head()`, which is returned. Whoever comes second waits, and finds it done.

    Raises ConfigurationError when the database is newer than this version, or not ours.
    """
    with closing(open_database(url)) as database, migrating(database) as connection:
        # Asked under the lock: before it, tables of another's unfinished upgrade look like a stranger's.
        _refuse_newer(_revision_of(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def backup(url: str, target: Path) -> Path:
    """Copy an SQLite database, consistent even while it is written to, into a new file with mode 0600.

    The key of its secrets is not in it. Raises ConfigurationError when `target` exists or the database is a server's.
    """
    parsed = parse_url(url)
    tool = _SERVER_TOOLS.get(parsed.get_backend_name())
    if tool is not None:
        raise ConfigurationError("minisched copies SQLite databases only.", hint=f"Use {tool} for this one.")
    source = path_of(parsed)
    if not source.exists():
        raise ConfigurationError(f"There is no database {source}.", field="database.url")
    _copy(source, target)
    return target


def prepare(url: str) -> Preparation:
    """Make the database fit for this version, or say what to do: called before anything else opens it.

    SQLite: backup beside the file, then upgrade, when it is behind. Servers: ConfigurationError when behind.
    Everywhere: ConfigurationError when it is newer or not ours.
    """
    wanted = head()
    before = current(url)
    _refuse_newer(before)
    if before == wanted:
        return Preparation(before, wanted)
    if parse_url(url).get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"The database is at revision {before or 'none'}, this version needs {wanted}.",
            field="database.url",
            hint="Make a backup, then run `minisched db upgrade`.",
        )
    copy = None if before is None else backup(url, _backup_path(path_of(parse_url(url)), before))
    return Preparation(before, upgrade(url), copy)


@contextmanager
def migrating(database: Database) -> Iterator[Connection]:
    """A connection inside the one transaction that changes the schema; nobody else migrates meanwhile.

    On SQLite with foreign keys off, because a table that is copied and dropped would take the rows that refer to it
    along, and checked before the commit. MySQL and MariaDB commit each DDL statement by itself.
    """
    with translated(), database.engine.connect() as connection:
        if database.dialect == "sqlite":
            yield from _migrating_sqlite(connection)
        else:
            yield from _migrating_server(connection, database.dialect)


def _migrating_sqlite(connection: Connection) -> Iterator[Connection]:
    driver = connection.connection.dbapi_connection
    if driver is None:
        raise StoreUnavailable("The connection to the database is gone.")
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        writing = connection.execution_options(minisched_write=True)
        with writing.begin():
            yield writing
            broken = writing.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise ConfigurationError(
                    f"The upgrade would leave {len(broken)} rows without what they refer to; nothing was changed.",
                    hint="Please report this, with the version you come from.",
                )
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _migrating_server(connection: Connection, dialect: str) -> Iterator[Connection]:
    if dialect == "postgresql":
        with connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": advisory_key(_LOCK)})
            yield connection
        return
    name = {"name": f"minisched.{connection.engine.url.database}"[:64]}
    wait = {**name, "wait_s": _MYSQL_LOCK_WAIT_S}
    if connection.execute(text("SELECT GET_LOCK(:name, :wait_s)"), wait).scalar_one() != 1:
        raise StoreUnavailable("Another process is upgrading the database.", hint="Try again later.")
    connection.commit()
    try:
        with connection.begin():
            yield connection
    finally:
        # After the commit: who gets the lock next must see the new revision with the new tables.
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
        connection.commit()


def refuse_downgrade(revision: str) -> NoReturn:
    """What every migration's `downgrade` does: rows that an older schema has no place for would be lost."""
    raise ConfigurationError(
        f"The database cannot go back behind revision {revision}.",
        hint="Restore the backup that was made before the upgrade.",
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_script_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _script_location() -> Path:
    """In the wheel the migrations lie inside the package, in the repository beside it."""
    package = Path(minisched.__file__).parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        return _revision_of(connection)


def _revision_of(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and set(inspect(connection).get_table_names()) & set(metadata.tables):
        raise ConfigurationError(
            "The database has tables of the same names that minisched did not make.",
            field="database.url",
            hint="Give minisched a database of its own.",
        )
    return revision


def _refuse_newer(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"The database is at revision {revision}, which this version of minisched does not know.",
            field="database.url",
            hint="Install the newer version again, or restore the backup from before its upgrade.",
        )


def _backup_path(database: Path, revision: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return database.with_name(f"{database.name}.{revision}.{moment}.backup")


def _copy(source: Path, target: Path) -> None:
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        raise ConfigurationError(f"{target} exists already.", hint="Name a new file.") from error
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        with closing(sqlite3.connect(source, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        _sync(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise StoreUnavailable(f"The backup failed: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
