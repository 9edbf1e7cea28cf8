"""Lists of entities: filters, pages and cursors as the clients of OpenMetadata use them (contract §3.2)."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minisched.domain import names
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox.calls import Call
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.fqn_index import Entry

_DEFAULT_LIMIT = 10
_LARGEST_LIMIT = 1_000_000

# Parameters that hold the FQN of something above the entities that are wanted.
_ABOVE = (
    "service",
    "database",
    "databaseSchema",
    "apiCollection",
    "directory",
    "spreadsheet",
    "parent",
    "glossary",
    "classification",
    "entityFQN",
)

# Which part of an FQN the parameter `<name>Regex` is about.
_LEVELS = {"database": 1, "databaseSchema": 2, "table": 3}

_Matches = Callable[[Document, str], bool]


def _refers_to(*fields: str) -> _Matches:
    """True when one of the fields is, or holds, a reference to the entity with the id that is asked for."""

    def matches(document: Document, entity_id: str) -> bool:
        return any(entity_id in _ids(document.get(field)) for field in fields)

    return matches


def _ids(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [value]
    return [item.get("id") for item in items if isinstance(item, dict)]


def _is(field: str) -> _Matches:
    return lambda document, text: str(document.get(field, "")).lower() == text.lower()


# Parameters that need a look into the documents.
_CONTENT: Mapping[str, _Matches] = {
    "testSuiteId": _refers_to("testSuite", "testSuites"),
    "entityId": _refers_to("queryUsedIn", "entity", "entityReference"),
    "entityLink": _is("entityLink"),
    "testCaseStatus": _is("testCaseStatus"),
    "isBot": _is("isBot"),
    "tableType": _is("tableType"),
    "workflowType": _is("workflowType"),
    "domain": lambda document, fqn: any(
        isinstance(item, dict) and item.get("fullyQualifiedName") == fqn for item in document.get("domains") or ()
    ),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their FQNs, how many match in all, and the cursors of the neighbours if there are."""

    documents: list[Document]
    total: int
    before: str | None = None
    after: str | None = None

    def paging(self) -> Document:
        cursors = {"before": self.before, "after": self.after}
        return {**{name: cursor for name, cursor in cursors.items() if cursor}, "total": self.total}


def list_page(catalog: Catalog, kind: str, call: Call) -> Page:
    """The page that the query asks for. Raises InvalidInput for a bad limit, cursor or regular expression."""
    limit = _limit(call)
    before, after = _cursor(call, "before"), _cursor(call, "after")
    if before is not None and after is not None:
        raise InvalidInput("Only one of before or after query parameter allowed")
    patterns = _patterns(call)
    entries = [
        entry
        for entry in catalog.below(kind, _prefix(call))
        if _included(entry, call) and all(_level_matches(entry.fqn, level, found, call) for level, found in patterns)
    ]
    if any(name in call.query for name in _CONTENT):
        entries = _with_content(catalog, kind, entries, call)
    return _cut(catalog, kind, entries, limit, before, after)


def _cut(
    catalog: Catalog, kind: str, entries: Sequence[Entry], limit: int, before: str | None, after: str | None
) -> Page:
    fqns = [entry.fqn for entry in entries]
    if before is not None:
        end = bisect_left(fqns, before)
        start = max(0, end - limit)
    else:
        start = bisect_right(fqns, after) if after is not None else 0
        end = min(len(entries), start + limit)
    documents = (catalog.get(kind, entry.id) for entry in entries[start:end])
    return Page(
        [document for document in documents if document is not None],
        total=len(entries),
        before=_encoded(fqns[start]) if 0 < start < end else None,
        after=_encoded(fqns[end - 1]) if start < end < len(entries) else None,
    )


def _limit(call: Call) -> int:
    limit = call.number("limit", _DEFAULT_LIMIT) or 0
    if not 0 <= limit <= _LARGEST_LIMIT:
        raise InvalidInput(f"must be between 0 and {_LARGEST_LIMIT}", field="limit")
    return limit


def _prefix(call: Call) -> str | None:
    above = [call.query[name] for name in _ABOVE if call.query.get(name)]
    return max(above, key=len) if above else None


def _included(entry: Entry, call: Call) -> bool:
    wanted = call.query.get("include", "non-deleted")
    return wanted == "all" or entry.deleted == (wanted == "deleted")


def included(document: Document, call: Call) -> bool:
    """Whether `include` lets a single entity be seen."""
    return _included(Entry("", "", bool(document.get("deleted"))), call)


def _patterns(call: Call) -> list[tuple[int, re.Pattern[str]]]:
    """The regular expressions of the query, each with the part of the FQN that it is about."""
    wanted = [(level, f"{name}Regex") for name, level in _LEVELS.items()]
    return [(level, _compiled(call.query[name], name)) for level, name in wanted if call.query.get(name)]


def _level_matches(fqn: str, level: int, pattern: re.Pattern[str], call: Call) -> bool:
    parts = names.split(fqn)
    if level >= len(parts):
        return True
    subject = names.join(None, *parts[: level + 1]) if call.flag("regexFilterByFqn") else parts[level]
    return (pattern.match(subject) is not None) == (call.query.get("regexMode", "include") != "exclude")


def _compiled(pattern: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InvalidInput(f"is no regular expression: {error}", field=field) from error


def _with_content(catalog: Catalog, kind: str, entries: Sequence[Entry], call: Call) -> list[Entry]:
    wanted = [(matches, call.query[name]) for name, matches in _CONTENT.items() if name in call.query]
    found = []
    for entry in entries:
        document = catalog.get(kind, entry.id)
        if document is not None and all(matches(document, value) for matches, value in wanted):
            found.append(entry)
    return found


def _encoded(fqn: str) -> str:
    return base64.urlsafe_b64encode(fqn.encode()).decode()


def _cursor(call: Call, name: str) -> str | None:
    text = call.query.get(name)
    if not text:
        return None
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("Invalid cursor", field=name) from error
