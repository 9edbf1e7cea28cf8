"""The one place where errors of SQLAlchemy and the drivers become errors of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from minisched.domain.errors import (
    ConfigurationError,
    Conflict,
    DuplicateRun,
    EntityExists,
    InvalidInput,
    MinischedError,
    NameCollision,
    StoreUnavailable,
)
from minisched.store.tables import metadata, sandbox_metadata

_MEANING: dict[str, type[MinischedError]] = {
    "pk_pipelines": EntityExists,
    "uq_pipelines_fqn_hash": EntityExists,
    "uq_documents_kind_sort_key": EntityExists,
    "uq_deployments_clean_name_hash": NameCollision,
    "uq_placements_clean_name_hash": NameCollision,
    "pk_users": Conflict,
    "uq_tokens_user_name_name": Conflict,
    "pk_runs": DuplicateRun,
    "uq_runs_pipeline_id_scheduled_for_ms": DuplicateRun,
    "uq_runs_idempotency_hash": DuplicateRun,
}

_MYSQL_KEY = re.compile(r"for key '(?:[^'.]+\.)?([^']+)'")
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (.+)")
_INSERTED_TABLE = re.compile(r"\s*(?:INSERT INTO|UPDATE)\s+[`\"]?(\w+)", re.IGNORECASE)

_DEADLOCK_SQLSTATES = frozenset({"40P01", "40001"})
_MYSQL_DEADLOCK = 1213
_MYSQL_NO_SUCH_TABLE = 1146
_UNDEFINED_TABLE_SQLSTATE = "42P01"


class Deadlock(StoreUnavailable):
    """Two writers waited for each other and this one was rolled back; nothing was changed."""


class ConnectionLost(StoreUnavailable):
    """The connection was cut; whether what was being committed is stored has to be read."""


def _unique_columns() -> dict[str, str]:
    """SQLite names the columns and not the constraint: `runs.pipeline_id, runs.scheduled_for_ms`."""
    known: dict[str, str] = {}
    for table in (*metadata.tables.values(), *sandbox_metadata.tables.values()):
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
                known[_column_list(table, constraint)] = str(constraint.name)
    return known


def _column_list(table: Table, constraint: UniqueConstraint | PrimaryKeyConstraint) -> str:
    return ", ".join(f"{table.name}.{column.name}" for column in constraint.columns)


_CONSTRAINT_OF_COLUMNS = _unique_columns()


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the unique or primary key constraint that refused the row, None when it is another kind."""
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return getattr(diagnosis, "constraint_name", None)
    text = str(error.orig)
    if found := _SQLITE_COLUMNS.search(text):
        return _CONSTRAINT_OF_COLUMNS.get(found.group(1))
    if found := _MYSQL_KEY.search(text):
        return _mysql_constraint(found.group(1), error.statement or "")
    return None


def _mysql_constraint(key: str, statement: str) -> str:
    if key != "PRIMARY":
        return key
    table = _INSERTED_TABLE.match(statement)
    return f"pk_{table.group(1)}" if table else key


def _mysql_errno(error: DBAPIError) -> int | None:
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _is_deadlock(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _DEADLOCK_SQLSTATES or _mysql_errno(error) == _MYSQL_DEADLOCK


def _schema_is_missing(error: DBAPIError) -> bool:
    return (
        "no such table" in str(error.orig)
        or "no such column" in str(error.orig)
        or getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE_SQLSTATE
        or _mysql_errno(error) == _MYSQL_NO_SUCH_TABLE
    )


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _unusable_file(error: DBAPIError) -> ConfigurationError | None:
    reason = _first_line(error)
    if "not a database" in reason:
        return ConfigurationError("The file is not a database of SQLite.", field="database.url")
    if "malformed" in reason:
        return ConfigurationError("The database file is damaged.", hint="Restore a backup of it.")
    return None


def _unavailable(error: DBAPIError) -> StoreUnavailable:
    reason = _first_line(error)
    if "database is locked" in reason:
        return StoreUnavailable("Another process holds the lock of the database file.", hint="Try again.")
    if "disk is full" in reason:
        return StoreUnavailable("The disk of the database is full.", hint="Free space, then try again.")
    return StoreUnavailable(f"The database does not answer: {reason}")


def _translate(error: SQLAlchemyError) -> MinischedError | None:
    """What this error means to a caller; None for a mistake of ours, which stays as it is."""
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("All connections to the database are busy.", hint="Raise database.pool_size.")
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error, IntegrityError):
        meaning = _MEANING.get(violated_constraint(error) or "")
        return meaning() if meaning else None
    if isinstance(error, DataError):
        return InvalidInput(f"A value does not fit into the database: {_first_line(error)}")
    if (unusable := _unusable_file(error)) is not None:
        return unusable
    if _is_deadlock(error):
        return Deadlock()
    if _schema_is_missing(error):
        return ConfigurationError("The database lacks tables of this version.", hint="Run `minisched db upgrade`.")
    if error.connection_invalidated:
        return ConnectionLost(f"The connection to the database was cut: {_first_line(error)}")
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return _unavailable(error)
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Errors of SQLAlchemy raised inside leave as errors of ours (see `_translate`)."""
    try:
        yield
    except SQLAlchemyError as error:
        meaning = _translate(error)
        if meaning is None:
            raise
        raise meaning from error
