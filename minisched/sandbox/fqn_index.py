"""Which FQNs exist: in memory, so that lists, totals and searches by name need not read every document.

A kind is read once, when it is first asked for. That is right only as long as the catalog, which tells the index of
every change, is the one writer of its documents.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from minisched.domain.pipeline import Document
from minisched.ports import DocumentStore

_LOAD_PAGE = 1000
# The first character after the dot: whatever begins with "prefix." sorts before "prefix/".
_AFTER_DOT = chr(ord(".") + 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entity in the index."""

    id: str
    fqn: str
    deleted: bool


def entry_of(document: Document) -> Entry:
    return Entry(document["id"], document["fullyQualifiedName"], bool(document.get("deleted")))


@dataclass(slots=True)
class _Names:
    entries: dict[str, Entry] = field(default_factory=dict)
    fqns: dict[str, str] = field(default_factory=dict)
    ordered: list[str] = field(default_factory=list)

    def note(self, document: Document) -> None:
        entry = entry_of(document)
        earlier = self.fqns.get(entry.id)
        if earlier is not None and earlier != entry.fqn:
            self.forget(entry.id)
        if entry.fqn not in self.entries:
            insort(self.ordered, entry.fqn)
        self.entries[entry.fqn] = entry
        self.fqns[entry.id] = entry.fqn

    def forget(self, entity_id: str) -> None:
        fqn = self.fqns.pop(entity_id, None)
        if fqn is None:
            return
        del self.entries[fqn]
        del self.ordered[bisect_left(self.ordered, fqn)]


class FqnIndex:
    """FQNs by kind. Not thread-safe: the catalog's lock is held by whoever calls."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self._kinds: dict[str, _Names] = {}

    def find(self, kind: str, fqn: str) -> Entry | None:
        return self._names(kind).entries.get(fqn)

    def note(self, kind: str, documents: Iterable[Document]) -> None:
        """These documents are about to be, or have been, stored."""
        names = self._names(kind)
        for document in documents:
            names.note(document)

    def forget(self, kind: str, entity_id: str) -> None:
        self._names(kind).forget(entity_id)

    def forget_everything(self) -> None:
        self._kinds.clear()

    def below(self, kind: str, prefix: str | None) -> Sequence[Entry]:
        """All entries in the order of their FQNs, or those whose FQN begins with `prefix` and a dot."""
        names = self._names(kind)
        first, end = 0, len(names.ordered)
        if prefix is not None:
            first = bisect_right(names.ordered, prefix + ".")
            end = bisect_left(names.ordered, prefix + _AFTER_DOT)
        return [names.entries[fqn] for fqn in names.ordered[first:end]]

    def matching(self, kind: str, pattern: str) -> Sequence[Entry]:
        """Entries whose FQN is like the pattern, in which `*` is anything and `?` one character; case is ignored."""
        names = self._names(kind)
        if "*" not in pattern and "?" not in pattern and pattern in names.entries:
            return [names.entries[pattern]]
        wanted = wildcard(pattern)
        return [names.entries[fqn] for fqn in names.ordered if wanted.fullmatch(fqn)]

    def _names(self, kind: str) -> _Names:
        names = self._kinds.get(kind)
        if names is None:
            names = self._kinds[kind] = self._load(kind)
        return names

    def _load(self, kind: str) -> _Names:
        names = _Names()
        after: str | None = None
        while page := self._documents.page(kind, limit=_LOAD_PAGE, after=after):
            for document in page:
                names.note(document)
            after = page[-1]["fullyQualifiedName"]
        return names


def wildcard(pattern: str) -> re.Pattern[str]:
    """A pattern with `*` and `?` as a regular expression that ignores case."""
    pieces = {"*": ".*", "?": "."}
    text = "".join(pieces.get(character, re.escape(character)) for character in pattern)
    return re.compile(text, re.IGNORECASE | re.DOTALL)
