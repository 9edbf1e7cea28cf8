"""Versions of an entity: what counts as a change, how it is described, what number it gets (contract §3.16)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from minisched.domain.pipeline import Document

# In the order in which OpenMetadata records them.
TRACKED = (
    "description",
    "displayName",
    "owners",
    "domains",
    "pipelineType",
    "sourceConfig",
    "airflowConfig",
    "loggerLevel",
    "enabled",
    "deployed",
    "raiseOnError",
    "enableStreamableLogs",
    "processingEngine",
    "deleted",
)


_MAY_BE_INHERITED = frozenset({"owners", "domains"})


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who changes an entity, and when (epoch milliseconds)."""

    by: str
    at_ms: int


def next_version(version: float) -> float:
    """One step up: 0.1, 0.2, … 0.9, 1.0."""
    return (round(version * 10) + 1) / 10


def next_major_version(version: float) -> float:
    """A whole step up, for changes that break whoever relied on what was: 1.1, 2.1."""
    return (round(version * 10) + 10) / 10


def same(old: Any, new: Any) -> bool:
    """Equal, where absent, null and an empty list are one and true is not 1."""
    return _canonical(old) == _canonical(new)


def _canonical(value: Any) -> str:
    return json.dumps(None if value == [] else value, sort_keys=True)


def own(references: Any) -> list[Document]:
    """Those that are the entity's, without those that its service passes on to it."""
    return [reference for reference in references or () if not reference.get("inherited")]


def _tracked(document: Document, field: str) -> Any:
    """What a change of the field is told by: what is inherited changes elsewhere."""
    value = document.get(field)
    return own(value) if field in _MAY_BE_INHERITED and isinstance(value, list) else value


def describe(old: Document, new: Document) -> Document | None:
    """The ChangeDescription between two states of an entity, or None when no tracked field differs."""
    added, updated, deleted = [], [], []
    for field in TRACKED:
        before, after = _tracked(old, field), _tracked(new, field)
        if same(before, after):
            continue
        if same(before, None):
            added.append({"name": field, "newValue": _shown(field, after, "new")})
        elif same(after, None):
            deleted.append({"name": field, "oldValue": _shown(field, before, "old")})
        else:
            shown = {"oldValue": _shown(field, before, "old"), "newValue": _shown(field, after, "new")}
            updated.append({"name": field, **shown})
    if not (added or updated or deleted):
        return None
    lists = {"fieldsAdded": added, "fieldsUpdated": updated, "fieldsDeleted": deleted}
    return {**lists, "previousVersion": old["version"]}


def _shown(field: str, value: Any, age: str) -> Any:
    if field == "sourceConfig":  # it may hold secrets
        return f"{age}-encrypted-value"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def stamped(old: Document, new: Document, stamp: Stamp) -> Document:
    """`new` as the next version of `old`; `old` itself when nothing that is tracked differs."""
    change = describe(old, new)
    if change is None:
        return old
    return {
        **new,
        "version": next_version(float(old["version"])),
        "updatedAt": stamp.at_ms,
        "updatedBy": stamp.by,
        "changeDescription": change,
        "incrementalChangeDescription": change,
    }
