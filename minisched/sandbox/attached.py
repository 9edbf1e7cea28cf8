"""What hangs on entities without being one: time series (profiles, results, usage), sample data, lineage edges.

Each is a document of its own under the id of its owner, so that an entity stays small however much is measured of it:
`{"id", "name", "fullyQualifiedName", "entity": FQN of the owner, "value": what was sent}`.
"""

from __future__ import annotations

import uuid
from typing import Any

from minisched.domain import names
from minisched.domain.pipeline import Document
from minisched.sandbox.catalog import Catalog

TABLE_PROFILE = "tableProfile"
COLUMN_PROFILE = "columnProfile"
SYSTEM_PROFILE = "systemProfile"
TEST_CASE_RESULT = "testCaseResult"
USAGE = "usage"
PIPELINE_STATUS = "pipelineStatus"
KPI_RESULT = "kpiResult"
SAMPLE_DATA = "sampleData"
FAILED_ROWS = "failedRowsSample"
JOINS = "joins"
LINEAGE_EDGE = "lineageEdge"

_SERIES = (TABLE_PROFILE, COLUMN_PROFILE, SYSTEM_PROFILE, TEST_CASE_RESULT, USAGE, PIPELINE_STATUS, KPI_RESULT)
_SINGLE = (SAMPLE_DATA, FAILED_ROWS, JOINS)
KINDS = frozenset({*_SERIES, *_SINGLE, LINEAGE_EDGE})

# Enough digits for epoch milliseconds to sort as text until the year 5138.
_DIGITS = 14
_LAST = 10**_DIGITS - 1
# Sorts after the dot before a detail.
_AFTER_DETAILS = chr(ord(".") + 1)


def point(owner: Document, at: int | str, value: Any, *parts: str, detail: str | None = None) -> Document:
    """One value of a series of `owner`, at epoch milliseconds or a date.

    `parts` tell the series of one owner apart, `detail` the values of one moment.
    """
    moment = f"{at:0{_DIGITS}d}" if isinstance(at, int) else at
    fqn = ".".join([owner["id"], *(names.part(part) for part in parts), moment])
    if detail is not None:
        fqn = names.join(fqn, detail)
    document_id = str(uuid.uuid5(uuid.UUID(owner["id"]), fqn))
    return {
        "id": document_id,
        "name": moment,
        "fullyQualifiedName": fqn,
        "entity": owner["fullyQualifiedName"],
        "value": value,
    }


def put_point(catalog: Catalog, kind: str, document: Document) -> None:
    catalog.put_raw(kind, [document])


def series(
    catalog: Catalog, kind: str, owner_id: str, *parts: str, start: int | None = None, end: int | None = None
) -> list[Any]:
    """The values of a series between two instants (epoch milliseconds, inclusive), newest first."""
    prefix = ".".join([owner_id, *(names.part(part) for part in parts)])
    first = f"{prefix}.{max(start or 0, 0):0{_DIGITS}d}"
    last = f"{prefix}.{min(_LAST if end is None else end, _LAST):0{_DIGITS}d}{_AFTER_DETAILS}"
    wanted = [entry for entry in catalog.below(kind, prefix) if first <= entry.fqn <= last]
    documents = (catalog.get(kind, entry.id) for entry in reversed(wanted))
    return [document["value"] for document in documents if document is not None]


def latest(catalog: Catalog, kind: str, owner_id: str, *parts: str) -> Any:
    """The newest value of a series, or None."""
    prefix = ".".join([owner_id, *(names.part(part) for part in parts)])
    entries = catalog.below(kind, prefix)
    newest = catalog.get(kind, entries[-1].id) if entries else None
    return newest["value"] if newest is not None else None


def single(owner: Document, value: Any) -> Document:
    """The one document of a kind that an owner may have."""
    fqn = owner["fullyQualifiedName"]
    return {"id": owner["id"], "name": owner["name"], "fullyQualifiedName": owner["id"], "entity": fqn, "value": value}


def value_of(catalog: Catalog, kind: str, owner_id: str) -> Any:
    """What hangs on the owner under this kind, or None."""
    document = catalog.get(kind, owner_id)
    return document["value"] if document is not None else None


def edges_of(catalog: Catalog, entity_id: str) -> list[str]:
    """The ids of the lineage edges from and to an entity."""
    return [entry.id for entry in catalog.below(LINEAGE_EDGE, None) if entity_id in entry.fqn]


def remove(catalog: Catalog, owner: Document) -> None:
    """Whatever hangs on the owner is gone."""
    for kind in _SERIES:
        catalog.remove_raw(kind, [entry.id for entry in catalog.below(kind, owner["id"])])
    for kind in _SINGLE:
        if catalog.exists(kind, owner["id"]):
            catalog.remove_raw(kind, [owner["id"]])
    catalog.remove_raw(LINEAGE_EDGE, edges_of(catalog, owner["id"]))


def paged(values: list[Any], limit: int | None = None) -> Document:
    """A list in the shape of OpenMetadata's time series."""
    return {"data": values[:limit] if limit else values, "paging": {"total": len(values)}}
