"""How an entity is shown: with its address, with what the request asked for, without secrets for whoever is no run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minisched.domain.pipeline import Document
from minisched.domain.secrets import mask
from minisched.domain.versions import Line
from minisched.sandbox.callers import Caller
from minisched.sandbox.kinds import Kind

Attach = Callable[[Document], Any]
"""Computes what an entity has under a field that is kept elsewhere; None when there is nothing."""

EVERYTHING = "*"

# Fields that clients of earlier lines refuse, because their models forbid what they do not know.
_SINCE: Mapping[str, Mapping[str, Line]] = {
    "testDefinition": {"validatorClass": (1, 12)},
    "tag": {"recognizers": (1, 10), "autoClassificationEnabled": (1, 10)},
    "classification": {"autoClassificationConfig": (1, 10)},
}
# What only the catalog needs to know of a document whose kind it does not know.
_BOOKKEEPING = frozenset({"fullyQualifiedName", "version", "updatedAt", "updatedBy"})


class Presenter:
    """Turns stored entities into answers.

    `base_url` is the address of the API without version (`http://127.0.0.1:8580/api`), `line` the release line of
    the runs that ask.
    """

    def __init__(self, base_url: str, line: Callable[[], Line]) -> None:
        self._base_url = base_url.rstrip("/")
        self._line = line
        self._attachments: dict[str, dict[str, Attach]] = {}

    def attach(self, kind: str, field: str, compute: Attach) -> None:
        """Let `field` of entities of this kind be what `compute` answers, when a request asks for it."""
        self._attachments.setdefault(kind, {})[field] = compute

    def show(self, kind: Kind, entity: Document, caller: Caller, fields: Iterable[str] = ()) -> Document:
        """The answer for one entity; `fields` as in the query, `*` for all."""
        shown = self._known(kind, entity) if kind.known else _as_sent(entity)
        wanted = frozenset(fields)
        if "tags" in wanted:
            shown.setdefault("tags", [])
        for field, compute in self._wanted(kind, wanted):
            value = compute(entity)
            if value is not None:
                shown[field] = value
        return shown if caller.is_bot else mask(shown)

    def _known(self, kind: Kind, entity: Document) -> Document:
        shown = {**entity, "href": f"{self._base_url}/v1/{kind.path}/{entity['id']}"}
        if kind.type in _SINCE:
            line = self._line()
            for field, since in _SINCE[kind.type].items():
                if line < since:
                    shown.pop(field, None)
        return shown

    def _wanted(self, kind: Kind, fields: frozenset[str]) -> Iterable[tuple[str, Attach]]:
        available: Mapping[str, Attach] = self._attachments.get(kind.type, {})
        if EVERYTHING in fields:
            return available.items()
        return [(field, compute) for field, compute in available.items() if field in fields]


def _as_sent(document: Document) -> Document:
    shown = {key: value for key, value in document.items() if key not in _BOOKKEEPING}
    if shown.get("name") == document["id"]:
        del shown["name"]
    return shown
