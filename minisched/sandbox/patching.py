"""JSON patches (RFC 6902) as OpenMetadata's clients send them: made from a part of the entity, applied to the whole."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document

_VERBS = frozenset({"add", "remove", "replace", "move", "copy", "test"})


def patched(document: Document, operations: Any) -> Document:
    """A new document with the operations applied in their order.

    A client that was not given an empty list or a null field patches what it thinks is there: missing containers are
    made, replacing what is missing adds it, removing it does nothing. Raises InvalidInput for what cannot be applied.
    """
    if not isinstance(operations, list):
        raise InvalidInput("a patch is a list of operations")
    result = copy.deepcopy(document)
    for operation in operations:
        result = _applied(result, _checked(operation))
    if not isinstance(result, dict):
        raise InvalidInput("the patch leaves no object")
    return result


def _checked(operation: Any) -> Document:
    if not isinstance(operation, dict) or str(operation.get("op")) not in _VERBS:
        raise InvalidInput(f"an operation of a patch has one of the verbs {', '.join(sorted(_VERBS))}", field="op")
    if not isinstance(operation.get("path"), str):
        raise InvalidInput("an operation of a patch needs a path", field="path")
    return operation


def _applied(document: Any, operation: Document) -> Any:
    verb, tokens = operation["op"], _tokens(operation["path"])
    if verb in {"remove", "replace"} and not _exists(document, tokens):
        if verb == "remove":
            return document
        operation = {**operation, "op": "add"}
    if operation["op"] == "add":
        _make_way(document, tokens)
    try:
        return jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{verb} {operation['path']} cannot be applied: {error}") from error


def _tokens(path: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _exists(node: Any, tokens: list[str]) -> bool:
    for token in tokens:
        if isinstance(node, dict) and token in node:
            node = node[token]
        elif isinstance(node, list) and token.isdecimal() and int(token) < len(node):
            node = node[int(token)]
        else:
            return False
    return True


def _make_way(node: Any, tokens: list[str]) -> None:
    """Make the missing objects and lists above the last token; a number or a dash below means a list."""
    for token, below in pairwise(tokens):
        if isinstance(node, dict):
            if node.get(token) is None:
                node[token] = [] if below == "-" or below.isdecimal() else {}
            node = node[token]
        elif isinstance(node, list) and token.isdecimal() and int(token) < len(node):
            node = node[int(token)]
        else:
            return
