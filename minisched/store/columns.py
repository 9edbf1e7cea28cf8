"""How values of ours become values of columns, the same on every database."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256
from typing import Any

from minisched.domain.instant import from_ms, to_ms
from minisched.domain.pipeline import Document
from minisched.store.tables import KEY_LENGTH

_LARGEST = 2**63 - 1


def dump(value: Any) -> str:
    """JSON in ASCII, so that no database refuses a character; keys stay in their order."""
    return json.dumps(value, separators=(",", ":"))


def canonical(value: Any) -> str:
    """JSON in one form: equal documents give equal text."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def load(text: str) -> Any:
    return json.loads(text)


def ms_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def instant_or_none(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def digest(text: str) -> str:
    """SHA-256 in hex: stands for a text of any length in a unique index."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def storable(text: str | None) -> str | None:
    """The text without what some database refuses: NUL characters and halves of surrogate pairs become U+FFFD."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def key_of(text: str) -> str:
    """What is sorted by: the beginning of the text, as much of it as an index takes."""
    return (storable(text) or "")[:KEY_LENGTH]


def prefix_range(fqn: str) -> tuple[str, str]:
    """The half-open range of the FQNs below this one: `svc.` up to `svc/`, the character after the dot."""
    return fqn + ".", fqn + "/"


def bounded(number: int, largest: int = _LARGEST) -> int:
    """The number, or the nearest one that fits into a BIGINT, or whose size is at most `largest`."""
    return max(-largest, min(largest, number))


def text_at(document: Document, *path: str) -> str | None:
    """The non-empty string at this path of a document, else None."""
    node: Any = document
    for key in path:
        if not isinstance(node, dict):
            return None
        node = node.get(key)
    return node if isinstance(node, str) and node else None
