"""Sample data of tables, topics, containers, search indexes and files, and which columns are joined with which."""

from __future__ import annotations

from typing import Any

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached, shaping
from minisched.sandbox.attached import JOINS, SAMPLE_DATA
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import Kind
from minisched.sandbox.presentation import Presenter

_SAMPLED = ("table", "topic", "container", "searchIndex", "file", "worksheet")


class Samples:
    """The handlers of sample data and joins."""

    def __init__(self, catalog: Catalog, presenter: Presenter) -> None:
        self._catalog = catalog
        self._presenter = presenter
        for kind in _SAMPLED:
            presenter.attach(kind, "sampleData", self._sample)
        presenter.attach("table", "joins", lambda table: attached.value_of(catalog, JOINS, table["id"]))

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("PUT", "{entity_id}/sampleData", self.put_sample, kinds=_SAMPLED),
            Endpoint("GET", "{entity_id}/sampleData", self.get_sample, kinds=_SAMPLED),
            Endpoint("DELETE", "{entity_id}/sampleData", self.delete_sample, kinds=_SAMPLED),
            Endpoint("PUT", "{table_id}/joins", self.put_joins, kinds=("table",)),
        ]

    def _sample(self, entity: Document) -> Any:
        return attached.value_of(self._catalog, SAMPLE_DATA, entity["id"])

    def put_sample(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        entity = self._catalog.require(kind.type, entity_id)
        self._catalog.put_raw(SAMPLE_DATA, [attached.single(entity, call.document())])
        return self._with_sample(kind, call, entity)

    def get_sample(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        return self._with_sample(kind, call, self._catalog.require(kind.type, entity_id))

    def delete_sample(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        entity = self._catalog.require(kind.type, entity_id)
        self._catalog.remove_raw(SAMPLE_DATA, [entity["id"]])
        return self._with_sample(kind, call, entity)

    def _with_sample(self, kind: Kind, call: Call, entity: Document) -> Answer:
        return Answer(self._presenter.show(kind, entity, call.caller, [*call.fields(), "sampleData"]))

    def put_joins(self, kind: Kind, call: Call, table_id: str) -> Answer:
        """Counts of joins add up over all requests."""
        table = self._catalog.require(kind.type, table_id)
        with self._catalog.lock:
            before = attached.value_of(self._catalog, JOINS, table_id)
            added = _added(before or {}, shaping.without_nulls(call.document()))
            self._catalog.put_raw(JOINS, [attached.single(table, added)])
        return Answer(self._presenter.show(kind, table, call.caller, [*call.fields(), "joins"]))


def _added(before: Document, sent: Document) -> Document:
    counts = _join_counts(before)
    for key, count in _join_counts(sent).items():
        counts[key] = counts.get(key, 0) + count
    by_column: dict[str, list[Document]] = {}
    for (column, joined), count in counts.items():
        by_column.setdefault(column, []).append({"fullyQualifiedName": joined, "joinCount": count})
    joins = [{"columnName": column, "joinedWith": joined} for column, joined in by_column.items()]
    return {**before, **sent, "columnJoins": joins}


def _join_counts(joins: Document) -> dict[tuple[str, str], int]:
    return {
        (shaping.text(column, "columnName", "columnJoins"), shaping.text(joined, "fullyQualifiedName", "joinedWith")): (
            _count(joined)
        )
        for column in shaping.objects(joins.get("columnJoins", []), "columnJoins")
        for joined in shaping.objects(column.get("joinedWith", []), "joinedWith")
    }


def _count(joined: Document) -> int:
    count = joined.get("joinCount", 1)
    if not isinstance(count, int):
        raise InvalidInput("must be a number", field="joinCount")
    return count
