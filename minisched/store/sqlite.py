"""What SQLite needs to be trusted: its own transaction control, WAL with full sync, private files, a local disk.

The reasons are pitfalls of the driver: without an explicit BEGIN a read and the write after it are not one transaction;
foreign keys are off until switched on, per connection; files are created readable for everybody.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from minisched.domain.errors import ConfigurationError
from minisched.file_locks import locks_on

# A WAL file beyond this is cut back when nobody reads; SQLite reuses it but never shrinks it by itself.
_WAL_LIMIT_BYTES = 16 * 1024 * 1024
_AUTOCHECKPOINT_PAGES = 1000
_BUSY_PAUSE_S = 0.005
# In the index of the write-ahead log; source: "WAL Locks" of SQLite's description of the WAL format.
_WRITER_S_BYTE = 120
_MOUNTS = Path("/proc/self/mountinfo")

# WAL keeps its index in shared memory, which two hosts do not share.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "glusterfs", "beegfs", "gpfs",
        "ocfs2", "gfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.davfs",
    }
)  # fmt: skip


def path_of(url: URL) -> Path:
    """The absolute path of the database file. Raises ConfigurationError for a database in memory."""
    if not url.database or url.database == ":memory:" or url.query.get("mode") == "memory":
        raise ConfigurationError(
            "A database in memory would forget everything.", field="database.url", hint="Name a file."
        )
    return Path(url.database).absolute()


def prepare_file(path: Path) -> None:
    """Create the file if it is missing, and make it readable for its owner only, as SQLite then does with its -wal
    and -shm. Raises ConfigurationError when the place will not do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_network_file_system(path.parent)
        if not path.exists():
            _create(path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be used: {error.strerror}.", field="database.url") from error


def _create(path: Path) -> None:
    # Only a new file is opened here: closing an existing one would drop the locks that other connections of this
    # process hold on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def refuse_network_file_system(directory: Path, mounts: Path = _MOUNTS) -> None:
    """Raises ConfigurationError when the directory is on a file system that hosts share."""
    kind = file_system_of(directory.resolve(), mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise ConfigurationError(
            f"{directory} is on a network file system ({kind}), where SQLite loses data.",
            field="database.url",
            hint="Use a local disk, or a PostgreSQL or MySQL URL.",
        )


def file_system_of(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that holds this absolute path, from the kernel's list of mounts; the last of those
    that fit best covers the others. None where there is no such list."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    best, kind = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = _unescaped(before.split(" ")[4])
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return kind


def _unescaped(mount_point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mount_point = mount_point.replace(code, character)
    return mount_point


def install(engine: Engine, *, synchronous: str, busy_timeout_s: float) -> None:
    """Make each connection of this engine one that can be trusted, and each transaction a real one.

    Transactions of connections with the execution option `minisched_write` take the writer's lock at once: a read that
    turns into a write later is refused without waiting when somebody wrote between. Without `minisched_durable` their
    commit does not wait for the disk; the next one that does takes them along.
    """
    event.listen(engine, "connect", lambda connection, _: _configure(connection, synchronous, busy_timeout_s))
    event.listen(engine, "begin", lambda connection: _begin(connection, synchronous))


def _begin(connection: Connection, synchronous: str) -> None:
    options = connection.get_execution_options()
    if not options.get("minisched_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    wanted = synchronous if options.get("minisched_durable", True) else "NORMAL"
    if connection.info.setdefault("minisched_synchronous", synchronous) != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info["minisched_synchronous"] = wanted
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _configure(connection: Any, synchronous: str, busy_timeout_s: float) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # The first statement that reads the file: refuses what is no database.
        _write_ahead(cursor, busy_timeout_s)
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        _expect(cursor, "PRAGMA foreign_keys", 1)
        cursor.execute(f"PRAGMA wal_autocheckpoint={_AUTOCHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise


def _write_ahead(cursor: Any, busy_timeout_s: float) -> None:
    """Two that make a new file a WAL database at once meet in a lock for which SQLite does not wait by itself."""
    give_up = time.monotonic() + busy_timeout_s
    while True:
        try:
            return _expect(cursor, "PRAGMA journal_mode=WAL", "wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
        time.sleep(_BUSY_PAUSE_S)


def _expect(cursor: Any, pragma: str, wanted: object) -> None:
    found = cursor.execute(pragma).fetchone()[0]
    if found != wanted:
        raise ConfigurationError(
            f"SQLite answers {found!r} instead of {wanted!r} to {pragma}.",
            field="database.url",
            hint="Use a local disk, or a PostgreSQL or MySQL URL.",
        )


def writer_of(path: Path) -> int | None:
    """The pid of the process that is in the middle of a write to this database; None when there is none."""
    held = locks_on(Path(f"{path}-shm"))
    return next((lock.pid for lock in held if lock.exclusive and lock.first == _WRITER_S_BYTE), None)


def wal_bytes(path: Path) -> int:
    """The size of the write-ahead log; 0 when there is none."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except OSError:
        return 0


def truncate_wal(path: Path) -> bool:
    """Write the log back into the database and cut it to nothing; False when a reader or a writer is in the way."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


def wal_is_long(path: Path) -> bool:
    return wal_bytes(path) > _WAL_LIMIT_BYTES
