"""The search stand-in: answers in Elasticsearch's shape, from what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.domain.secrets import mask
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE, KINDS
from minisched.sandbox.search_query import compile_query, field_matcher, text_matcher

_SUFFIX = "_search_index"
# Indexes whose names are not the entity type in snake case.
_ODD_INDEXES = {"search_entity": "searchIndex", "mlmodel": "mlmodel"}
_EVERYTHING = frozenset({"all", "dataAsset", "data_asset"})
_DEFAULT_SIZE = 10
_LARGEST_SIZE = 10_000


class Search:
    """The handlers of /search. `incoming` answers the lineage edges into each entity, by its id."""

    def __init__(self, catalog: Catalog, incoming: Callable[[], Mapping[str, list[Document]]]) -> None:
        self._catalog = catalog
        self._incoming = incoming

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "search/query", self.query),
            Endpoint("GET", "search/fieldQuery", self.field_query),
            Endpoint("GET", "search/aggregate", self.aggregate),
            Endpoint("POST", "search/aggregate", self.aggregate),
        ]

    def field_query(self, call: Call) -> Answer:
        """Entities whose field is like `fieldValue`, in which `*` and `?` are wildcards."""
        field, value = call.query.get("fieldName", ""), call.query.get("fieldValue", "")
        if field.removesuffix(".keyword") == "fullyQualifiedName":
            hits: Iterable[tuple[str, Document]] = (
                (kind, document)
                for kind in self._kinds(call)
                for entry in self._catalog.matching(kind, value)
                if (document := self._catalog.get(kind, entry.id)) is not None
            )
        else:
            hits = self._scan(call, field_matcher(field, value))
        return self._answer(call, [hit for hit in hits if self._visible(hit[1], call)])

    def query(self, call: Call) -> Answer:
        """Entities that match the text `q` and the Elasticsearch query in `query_filter`."""
        text = text_matcher(call.query.get("q", ""))
        filters = compile_query(_query_filter(call))
        ids = _wanted_ids(_query_filter(call))
        hits: Iterable[tuple[str, Document]] = self._by_id(call, ids) if ids is not None else self._scan(call, text)
        visible = [hit for hit in hits if self._visible(hit[1], call) and text(hit[1]) and filters(hit[1])]
        return self._answer(call, visible)

    def aggregate(self, _call: Call) -> Answer:
        """Aggregations are not computed: the answer has none."""
        return Answer({**_envelope([], 0), "aggregations": {}})

    def _kinds(self, call: Call) -> list[str]:
        indexes = call.query.get("index", "all").split(",")
        if any(index in _EVERYTHING for index in indexes):
            return [kind.type for kind in KINDS]
        return [kind for index in indexes if (kind := kind_of_index(index)) is not None]

    def _scan(self, call: Call, matches: Callable[[Document], bool]) -> Iterable[tuple[str, Document]]:
        for kind in self._kinds(call):
            for document in self._catalog.every(kind):
                if matches(document):
                    yield kind, document

    def _by_id(self, call: Call, ids: list[str]) -> Iterable[tuple[str, Document]]:
        for kind in self._kinds(call):
            for entity_id in ids:
                document = self._catalog.get(kind, entity_id)
                if document is not None:
                    yield kind, document

    def _visible(self, document: Document, call: Call) -> bool:
        """`deleted` in the query limits the hits to what is, or is not, deleted; without it both are hits."""
        wanted = call.query.get("deleted")
        return wanted not in {"true", "false"} or bool(document.get("deleted")) == (wanted == "true")

    def _answer(self, call: Call, hits: list[tuple[str, Document]]) -> Answer:
        field, descending = call.query.get("sort_field", ""), call.query.get("sort_order") != "asc"
        if field in {"", "_score"}:
            field, descending = "fullyQualifiedName", False
        field = field.removesuffix(".keyword")
        ordered = sorted(hits, key=lambda hit: str(hit[1].get(field, "")), reverse=descending)
        after = call.query.get("search_after")
        if after is not None:
            ordered = [hit for hit in ordered if _follows(str(hit[1].get(field, "")), after, descending=descending)]
        start = max(0, call.number("from", 0) or 0)
        size = min(max(0, call.number("size", _DEFAULT_SIZE) or 0), _LARGEST_SIZE)
        chosen = ordered[start : start + size]
        return Answer(_envelope(self._hits(chosen, field, call), len(hits)))

    def _hits(self, chosen: list[tuple[str, Document]], sort_field: str, call: Call) -> list[Document]:
        wanted = {field.split(".")[0] for field in call.repeated.get("include_source_fields", ())}
        edges = self._incoming() if chosen and (not wanted or "upstreamLineage" in wanted) else {}
        hits = []
        for kind, document in chosen:
            upstream = [
                {"fromEntity": edge["fromEntity"], **edge["lineageDetails"]} for edge in edges.get(document["id"], ())
            ]
            source = {**document, "entityType": kind, "upstreamLineage": upstream}
            shown = {key: value for key, value in source.items() if not wanted or key in wanted}
            hits.append(
                {
                    "_index": index_of_kind(kind),
                    "_id": document["id"],
                    "_score": 1.0,
                    "_source": shown if call.caller.is_bot else mask(shown),
                    "sort": [str(document.get(sort_field, ""))],
                }
            )
        return hits


def _follows(value: str, after: str, *, descending: bool) -> bool:
    return value < after if descending else value > after


def _query_filter(call: Call) -> Any:
    text = call.query.get("query_filter")
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"is not JSON: {error}", field="query_filter") from error


def _wanted_ids(query: Any) -> list[str] | None:
    """The ids of a query for nothing but ids."""
    inner = query.get("query") if isinstance(query, Mapping) else None
    ids = inner.get("ids") if isinstance(inner, Mapping) and len(inner) == 1 else None
    values = ids.get("values") if isinstance(ids, Mapping) else None
    return [str(value) for value in values] if isinstance(values, list) else None


def _envelope(hits: list[Document], total: int) -> Document:
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": total, "relation": "eq"}, "max_score": None, "hits": hits},
    }


def kind_of_index(index: str) -> str | None:
    """The entity type of an index such as `database_schema_search_index`, with or without a cluster's name before."""
    words = index.removesuffix(_SUFFIX).split("_")
    for start in range(len(words)):
        name = "_".join(words[start:])
        kind = _ODD_INDEXES.get(name) or _camel(words[start:])
        if kind in BY_TYPE:
            return kind
    return index if index in BY_TYPE else None


def index_of_kind(kind: str) -> str:
    if kind == "searchIndex":
        return f"search_entity{_SUFFIX}"
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind)
    return f"{snake}{_SUFFIX}"


def _camel(words: list[str]) -> str:
    return words[0] + "".join(word.title() for word in words[1:])
