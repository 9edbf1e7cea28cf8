"""Pages of pipelines by keyset: a page costs the same wherever it lies, and a change between two pages loses nothing.

A key is `(sort value, id)`; the sort value is the beginning of the name or of the display name, as `columns.key_of`
has it. One row more than asked for tells whether there is a next page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from minisched.ports import PipelineQuery
from minisched.store.columns import key_of, prefix_range
from minisched.store.tables import KEY_LENGTH, pipelines

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page as it is stored: sealed JSON texts, and the keys of its neighbours."""

    documents: list[str]
    total: int
    before: Key | None
    after: Key | None


def read_page(connection: Connection, query: PipelineQuery) -> StoredPage:
    """The page and the number of all matches. A page without rows gives back the keys that it was asked with."""
    conditions = _conditions(query)
    total = connection.execute(select(func.count()).select_from(pipelines).where(*conditions)).scalar_one()
    rows = _rows(connection, query, conditions) if query.limit > 0 else []
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    if query.before is not None:
        rows.reverse()
    if not rows:
        return StoredPage([], total, query.before, query.after)
    first, last = (rows[0].sort_value, rows[0].id), (rows[-1].sort_value, rows[-1].id)
    if query.before is not None:
        return StoredPage([row.document for row in rows], total, first if more else None, last)
    before = first if query.after is not None else None
    return StoredPage([row.document for row in rows], total, before, last if more else None)


def _rows(connection: Connection, query: PipelineQuery, conditions: list[ColumnElement[bool]]) -> list[Any]:
    """At most one row more than the limit, nearest to the cursor first."""
    key = pipelines.c.display_key if query.sort_by_display_name else pipelines.c.name_key
    # Going back is going forward in the other direction.
    falling = query.descending != (query.before is not None)
    cursor = query.before or query.after
    if cursor is not None:
        conditions = [*conditions, _beyond(key, cursor, falling=falling)]
    order = (key.desc(), pipelines.c.id.desc()) if falling else (key, pipelines.c.id)
    statement = select(key.label("sort_value"), pipelines.c.id, pipelines.c.document)
    return list(connection.execute(statement.where(*conditions).order_by(*order).limit(query.limit + 1)))


def _beyond(key: Column[str], cursor: Key, *, falling: bool) -> ColumnElement[bool]:
    """Rows after the cursor. The first condition alone lets every database start at the right place of the index."""
    value, identity = key_of(cursor[0]), cursor[1]
    if falling:
        return and_(key <= value, or_(key < value, pipelines.c.id < identity))
    return and_(key >= value, or_(key > value, pipelines.c.id > identity))


def _conditions(query: PipelineQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.include != "all":
        conditions.append(pipelines.c.deleted.is_(query.include == "deleted"))
    conditions += [_below(prefix) for prefix in (query.service, query.test_suite) if prefix is not None]
    if query.pipeline_types:
        conditions.append(pipelines.c.pipeline_type.in_(list(query.pipeline_types)))
    wanted = (
        (pipelines.c.service_type, query.service_type),
        (pipelines.c.application_type, query.application_type),
        (pipelines.c.provider, query.provider),
    )
    return conditions + [column == value for column, value in wanted if value is not None]


def _below(fqn: str) -> ColumnElement[bool]:
    """FQNs that start with this one and a dot; by range where the index holds the whole beginning."""
    lowest, beyond = prefix_range(fqn)
    if len(lowest) <= KEY_LENGTH:
        return and_(pipelines.c.fqn_key >= lowest, pipelines.c.fqn_key < beyond)
    return func.substr(pipelines.c.fqn, 1, len(lowest)) == lowest
