"""The part of Elasticsearch's query language that ingestion clients use, as predicates over documents.

A clause that is not known matches nothing: a search that finds too little is what a client expects of a slow index,
one that finds too much would connect what does not belong together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minisched.domain.pipeline import Document
from minisched.sandbox.fqn_index import wildcard

Matcher = Callable[[Document], bool]

_TEXT_FIELDS = ("name", "displayName", "fullyQualifiedName", "description")
_CONDITION = re.compile(r'(?P<field>[\w.]+):(?P<value>"[^"]*"|\S+)')
_OPERATORS = re.compile(r"\s+(?:AND|&&)\s+")


def values_at(document: Any, path: str) -> list[Any]:
    """Everything at a dotted path, through lists; `.keyword` at its end means the same field."""
    nodes = [document]
    for key in path.removesuffix(".keyword").split("."):
        nodes = [inner for node in nodes for inner in _members(node, key)]
    return [value for node in nodes for value in (node if isinstance(node, list) else [node])]


def _members(node: Any, key: str) -> Iterable[Any]:
    if isinstance(node, Mapping):
        return [node[key]] if key in node else []
    if isinstance(node, list):
        return [inner for item in node for inner in _members(item, key)]
    return []


def field_matcher(field: str, pattern: str) -> Matcher:
    """A field, or an item of it, is like the pattern; case does not matter."""
    wanted = wildcard(pattern)
    return lambda document: any(wanted.fullmatch(str(value)) for value in values_at(document, field))


def text_matcher(text: str) -> Matcher:
    """A query string: words, each of which occurs somewhere in names or description, and conditions `field:value`."""
    if text.strip() in {"", "*", "**"}:
        return lambda _document: True
    return _all([_term_matcher(term) for term in _OPERATORS.split(text.strip()) if term])


def _term_matcher(term: str, fields: Iterable[str] = _TEXT_FIELDS) -> Matcher:
    condition = _CONDITION.fullmatch(term.strip("()"))
    if condition is not None:
        value = condition["value"].strip('"')
        if value in {"false", "true"}:
            return _boolean(condition["field"], value == "true")
        return field_matcher(condition["field"], value)
    words = [wildcard(f"*{word.strip('*')}*") for word in term.strip('"').split()]
    searched = tuple(fields)
    return lambda document: all(
        any(word.fullmatch(str(document.get(field, ""))) for field in searched) for word in words
    )


def _boolean(field: str, wanted: bool) -> Matcher:
    """A missing flag counts as false."""
    return lambda document: any(value is True for value in values_at(document, field)) == wanted


def compile_query(query: Any) -> Matcher:
    """The predicate of `{"query": {…}}`; None matches everything."""
    if query is None:
        return lambda _document: True
    if not isinstance(query, Mapping):
        return _nothing
    return _clause(query.get("query", query))


def _nothing(_document: Document) -> bool:
    return False


def _clause(clause: Any) -> Matcher:
    if not isinstance(clause, Mapping):
        return _nothing
    matchers = [_CLAUSES[verb](body) if verb in _CLAUSES else _nothing for verb, body in clause.items()]
    return _all(matchers)


def _all(matchers: list[Matcher]) -> Matcher:
    return lambda document: all(matcher(document) for matcher in matchers)


def _clauses(body: Any) -> list[Matcher]:
    return [_clause(item) for item in (body if isinstance(body, list) else [body])]


def _bool(body: Any) -> Matcher:
    if not isinstance(body, Mapping):
        return _nothing
    required = [*_clauses(body.get("must", [])), *_clauses(body.get("filter", []))]
    excluded = _clauses(body.get("must_not", []))
    optional = _clauses(body.get("should", []))
    needs_one = bool(optional) and not required

    def matches(document: Document) -> bool:
        return (
            all(matcher(document) for matcher in required)
            and not any(matcher(document) for matcher in excluded)
            and (not needs_one or any(matcher(document) for matcher in optional))
        )

    return matches


def _term(body: Any) -> Matcher:
    return _per_field(body, lambda wanted: [wanted.get("value") if isinstance(wanted, Mapping) else wanted])


def _terms(body: Any) -> Matcher:
    return _per_field(body, lambda wanted: wanted if isinstance(wanted, list) else [wanted])


def _per_field(body: Any, wanted_of: Callable[[Any], list[Any]]) -> Matcher:
    if not isinstance(body, Mapping):
        return _nothing
    conditions = [(field, {_folded(value) for value in wanted_of(wanted)}) for field, wanted in body.items()]
    return lambda document: all(
        any(_folded(value) in wanted for value in _values_or_false(document, field, wanted))
        for field, wanted in conditions
    )


def _values_or_false(document: Document, field: str, wanted: set[Any]) -> list[Any]:
    # Flags that were never set are not stored, and an index has them as false.
    return values_at(document, field) or ([False] if _folded(False) in wanted and field == "deleted" else [])


def _folded(value: Any) -> Any:
    """What compares equal: text in any case, numbers and flags by their JSON text."""
    return str(value).lower()


def _match(body: Any) -> Matcher:
    if not isinstance(body, Mapping):
        return _nothing
    matchers = []
    for field, wanted in body.items():
        text = str(wanted.get("query", "") if isinstance(wanted, Mapping) else wanted)
        matchers.append(field_matcher(field, f"*{text}*"))
    return _all(matchers)


def _patterns(suffix: str) -> Callable[[Any], Matcher]:
    def compile_(body: Any) -> Matcher:
        if not isinstance(body, Mapping):
            return _nothing
        values = {
            field: str(wanted.get("value", "") if isinstance(wanted, Mapping) else wanted)
            for field, wanted in body.items()
        }
        return _all([field_matcher(field, value + suffix) for field, value in values.items()])

    return compile_


def _exists(body: Any) -> Matcher:
    field = str(body.get("field")) if isinstance(body, Mapping) else ""
    return lambda document: bool(values_at(document, field))


def _ids(body: Any) -> Matcher:
    values = body.get("values") if isinstance(body, Mapping) else None
    wanted = frozenset(values) if isinstance(values, list) else frozenset()
    return lambda document: document.get("id") in wanted


def _query_string(body: Any) -> Matcher:
    if not isinstance(body, Mapping):
        return _nothing
    fields = tuple(body.get("fields") or _TEXT_FIELDS)
    terms = [term for term in _OPERATORS.split(str(body.get("query", "")).strip()) if term]
    return _all([_term_matcher(term, fields) for term in terms if term != "*"])


_CLAUSES: Mapping[str, Callable[[Any], Matcher]] = {
    "bool": _bool,
    "term": _term,
    "terms": _terms,
    "match": _match,
    "match_phrase": _match,
    "match_all": lambda _body: lambda _document: True,
    "wildcard": _patterns(""),
    "prefix": _patterns("*"),
    "exists": _exists,
    "ids": _ids,
    "query_string": _query_string,
    "simple_query_string": _query_string,
}
