"""The search stand-in: answers in Elasticsearch's shape, from what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.domain.secrets import mask
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.fqn_index import Entry, entry_of
from minisched.sandbox.kinds import BY_TYPE, KINDS
from minisched.sandbox.search_query import Matcher, compile_query, field_matcher, text_matcher

_SUFFIX = "_search_index"
# Indexes whose names are not the entity type in snake case.
_ODD_INDEXES = {"search_entity": "searchIndex", "mlmodel": "mlmodel"}
_EVERYTHING = frozenset({"all", "dataAsset", "data_asset"})
_FQN = "fullyQualifiedName"
_DEFAULT_SIZE = 10
_LARGEST_SIZE = 10_000

_Found = tuple[str, Entry]
"""A kind and one of its entries."""


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
            found = [(kind, entry) for kind in self._kinds(call) for entry in self._catalog.matching(kind, value)]
            return self._answer(call, found, _anything)
        return self._answer(call, self._entries(call), field_matcher(field, value))

    def query(self, call: Call) -> Answer:
        """Entities that match the text `q` and the Elasticsearch query in `query_filter`."""
        filter_ = _query_filter(call)
        text, matches = text_matcher(call.query.get("q", "")), compile_query(filter_)
        ids = _wanted_ids(filter_)
        entries = self._entries(call) if ids is None else self._by_id(call, ids)
        return self._answer(call, entries, lambda document: text(document) and matches(document))

    def aggregate(self, _call: Call) -> Answer:
        """Aggregations are not computed: the answer has none."""
        return Answer({**_envelope([], 0), "aggregations": {}})

    def _kinds(self, call: Call) -> list[str]:
        indexes = call.query.get("index", "all").split(",")
        if any(index in _EVERYTHING for index in indexes):
            return [kind.type for kind in KINDS]
        return [kind for index in indexes if (kind := kind_of_index(index)) is not None]

    def _entries(self, call: Call) -> list[_Found]:
        return [(kind, entry) for kind in self._kinds(call) for entry in self._catalog.below(kind, None)]

    def _by_id(self, call: Call, ids: list[str]) -> list[_Found]:
        found = [(kind, self._catalog.get(kind, entity_id)) for kind in self._kinds(call) for entity_id in ids]
        return [(kind, entry_of(document)) for kind, document in found if document is not None]

    def _answer(self, call: Call, found: list[_Found], matches: Matcher) -> Answer:
        """The page of the hits that the query asks for; documents after it are not looked at, unless the order is not
        that of FQNs."""
        field, descending = _order(call)
        start = max(0, call.number("from", 0) or 0)
        size = min(max(0, call.number("size", _DEFAULT_SIZE) or 0), _LARGEST_SIZE)
        after = call.query.get("search_after")
        if field == _FQN:
            hits = self._hits(call, found, matches, descending=descending, after=after)
        else:
            hits = iter(_sorted(self._hits(call, found, matches), field, descending=descending, after=after))
        chosen = list(islice(hits, start, start + size))
        more = next(hits, None) is not None
        return Answer(_envelope(self._shown(chosen, field, call), start + len(chosen) + more, exact=not more))

    def _hits(
        self,
        call: Call,
        found: list[_Found],
        matches: Matcher,
        *,
        descending: bool = False,
        after: str | None = None,
    ) -> Iterator[tuple[str, Document]]:
        """What matches, in the order of FQNs, read as it is asked for."""
        for kind, entry in sorted(found, key=lambda item: item[1].fqn, reverse=descending):
            if not _is_visible(entry, call) or not _follows(entry.fqn, after, descending=descending):
                continue
            document = self._catalog.get(kind, entry.id)
            if document is not None and matches(document):
                yield kind, document

    def _shown(self, chosen: list[tuple[str, Document]], sort_field: str, call: Call) -> list[Document]:
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


def _anything(_: Document) -> bool:
    return True


def _order(call: Call) -> tuple[str, bool]:
    """The field to sort by, and whether descending; hits all have the same score, so that gives the order of FQNs."""
    field = call.query.get("sort_field", "").removesuffix(".keyword")
    if field in {"", "_score"}:
        return _FQN, False
    return field, call.query.get("sort_order") != "asc"


def _is_visible(entry: Entry, call: Call) -> bool:
    """`deleted` in the query limits the hits to what is, or is not, deleted; without it both are hits."""
    wanted = call.query.get("deleted")
    return wanted not in {"true", "false"} or entry.deleted == (wanted == "true")


def _follows(value: str, after: str | None, *, descending: bool) -> bool:
    return after is None or (value < after if descending else value > after)


def _sorted(
    hits: Iterable[tuple[str, Document]], field: str, *, descending: bool, after: str | None
) -> list[tuple[str, Document]]:
    def key(hit: tuple[str, Document]) -> str:
        return str(hit[1].get(field, ""))

    ordered = sorted(hits, key=key, reverse=descending)
    return [hit for hit in ordered if _follows(key(hit), after, descending=descending)]


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


def _envelope(hits: list[Document], total: int, *, exact: bool = True) -> Document:
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": total, "relation": "eq" if exact else "gte"}, "max_score": None, "hits": hits},
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
