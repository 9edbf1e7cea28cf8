"""What we take for a JSON value from a stranger: not deeper, larger or odder than every store and client can hold."""

from __future__ import annotations

import math
from typing import Any

# Deeper than any configuration of OpenMetadata, shallower than Python's recursion limit.
MAX_DEPTH = 64
MAX_NODES = 100_000
_INT64 = 2**63


def check_json(document: Any) -> Any:
    """The document itself. Raises ValueError naming what is wrong, never the value."""
    level: list[Any] = [document]
    nodes = 0
    for _ in range(MAX_DEPTH):
        nodes += len(level)
        if nodes > MAX_NODES:
            raise ValueError(f"holds more than {MAX_NODES} values")
        level = [child for node in level for child in _children(node)]
        if not level:
            return document
    raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")


def _children(node: Any) -> list[Any]:
    match node:
        case dict():
            for key in node:
                check_text(key)
            return list(node.values())
        case list():
            return node
        case str():
            check_text(node)
        case bool() | None:
            pass
        case int() if not -_INT64 <= node < _INT64:
            raise ValueError("holds an integer of more than 64 bits")
        case float() if not math.isfinite(node):
            raise ValueError("holds a number that is not finite")
    return []


def check_text(text: str) -> str:
    """The text itself. Raises ValueError for characters that databases or UTF-8 cannot hold."""
    if "\0" in text:
        raise ValueError("holds the character U+0000")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half of a surrogate pair")
    return text


def check_name(text: str) -> str:
    """An entity's name (contract §4.1). Raises ValueError for control characters and what separates entity links."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("holds a control character")
    if "::" in text:
        raise ValueError("holds '::'")
    return check_text(text)
