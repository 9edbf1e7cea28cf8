"""Insert, or replace the row with the same key: the one statement that each database spells differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite


def upsert(dialect: str, table: Table, *, key: Sequence[str]) -> Executable:
    """A statement for one row or many, which replaces every column but those of the primary key `key`."""
    changed = [column.name for column in table.columns if column.name not in key]
    if dialect == "mysql":
        into = mysql.insert(table)
        return into.on_duplicate_key_update({name: into.inserted[name] for name in changed})
    insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    replaced: Executable = statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in changed}
    )
    return replaced
