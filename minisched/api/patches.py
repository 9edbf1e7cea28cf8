"""JSON patches (RFC 6902) from strangers: applied to a copy, bounded, and never quoted back in an error."""

from __future__ import annotations

from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from minisched.api.json_values import check_json
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document

# The library's messages quote the document; these do not.
_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (jsonpatch.JsonPatchTestFailed, "the test failed"),
    (jsonpatch.JsonPatchConflict, "there is no such place in the entity"),
    (JsonPointerException, "there is no such place in the entity"),
    (jsonpatch.InvalidJsonPatch, "the operation lacks a member or has a wrong one"),
    (jsonpatch.JsonPatchException, "the operation cannot be applied"),
    (TypeError, "the place is of another type"),
)


def apply_patch(document: Document, operations: list[Document]) -> Document:
    """The document with the operations applied in order; the given one is not changed.

    Strings keep their identity, so that subclasses of `str` travel with what is moved. Raises InvalidInput.
    """
    result: Any = _copied(document)
    for position, operation in enumerate(operations):
        result = _applied(result, operation, position)
    if not isinstance(result, dict):
        raise InvalidInput("The patch leaves no object.")
    return result


def _applied(document: Any, operation: Document, position: int) -> Any:
    path = f"{position}.{operation['path']}"[:200]
    try:
        result = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except tuple(kind for kind, _ in _MEANINGS) as error:
        meaning = next(text for kind, text in _MEANINGS if isinstance(error, kind))
        raise InvalidInput(f"{operation['op']}: {meaning}", field=path) from None
    if operation["op"] != "test":
        # After each step: a few copies of copies would otherwise fill the memory.
        _check(result, path)
    return result


def _check(document: Any, path: str) -> None:
    try:
        check_json(document)
    except ValueError as error:
        raise InvalidInput(f"the patched entity {error}", field=path) from None


def _copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_copied(item) for item in node]
    return node
