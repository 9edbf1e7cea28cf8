"""Sealing everything again with the first key of the box, so that the keys behind it can be dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, bindparam, select, tuple_, update

from minisched.store.columns import dump, load
from minisched.store.engine import Database
from minisched.store.secrets import SecretBox
from minisched.store.tables import (
    deployments,
    documents,
    pipeline_statuses,
    pipeline_versions,
    pipelines,
    placements,
    runs,
)

_SEALED = (
    pipelines.c.document,
    pipeline_versions.c.document,
    pipeline_statuses.c.document,
    deployments.c.document,
    placements.c.document,
    runs.c.overrides,
)
_SEALED_IN_SANDBOX = (documents.c.document,)
# Rows per transaction: others write in between.
_BATCH = 200
# Every sealed value begins so, inside its JSON string.
_MARK = '"enc:'


def rotate(database: Database, box: SecretBox) -> int:
    """Seal every secret in the database again, and return how many rows were written.

    Can be repeated and interrupted. Run it after the servers know the new key, and drop the old one afterwards.
    Raises ConfigurationError when a value was sealed with a key that the box does not have; rows before it are done.
    """
    return sum(_reseal(database, box, column) for column in _SEALED)


def rotate_sandbox(database: Database, box: SecretBox) -> int:
    """The same for the database of the sandbox's documents."""
    return sum(_reseal(database, box, column) for column in _SEALED_IN_SANDBOX)


def _reseal(database: Database, box: SecretBox, column: Column[str]) -> int:
    key = list(column.table.primary_key.columns)
    with database.read() as connection:
        found = connection.execute(select(*key).where(column.contains(_MARK, autoescape=True)))
        keys = [tuple(row) for row in found]
    return sum(database.transact(partial(_reseal_rows, box=box, column=column, keys=batch)) for batch in _batches(keys))


def _reseal_rows(
    connection: Connection, *, box: SecretBox, column: Column[str], keys: Sequence[tuple[Any, ...]]
) -> int:
    key = list(column.table.primary_key.columns)
    statement = select(*key, column).where(tuple_(*key).in_(keys)).with_for_update()
    changed = [
        {**{f"key_{n}": row[n] for n in range(len(key))}, "sealed": dump(box.seal(box.unseal(load(row[-1]))))}
        for row in connection.execute(statement)
    ]
    if changed:
        same_row = [one == bindparam(f"key_{n}") for n, one in enumerate(key)]
        connection.execute(update(column.table).where(*same_row).values({column: bindparam("sealed")}), changed)
    return len(changed)


def _batches(keys: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]
