"""Which values of a document are secrets, and what may be done to them.

One definition serves masking (contract §3.18), encryption at rest and redaction of logs, so that whatever is hidden
in one place is hidden in all. A secret is a non-empty string, alone or in a list, under a key that names one, and every
string below a key that may hold anything private (`appPrivateConfig`, `extraHeaders`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

MASK = "*********"

_SECRET_KEY = re.compile(
    r"(pa?s+(?:w(?:or?|ro?|r)?d|owr?d|wort)|pass[_-]?(?:phrase|code|key)|secret(?!s?manager)|secrt|jwt|"
    r"priv(?:ate|at)?[_-]?key|(?<!next)(?<!page)tok(?:e?n|ne)$|api[_-]?key|(?:access|ssl)[_-]?key$|authorization|"
    r"sas_?token|connection[_-]?string|auth_?string$|basic_?auth_?user_?info|proxy_?authentication|fernet)",
    re.IGNORECASE,
)
# Only as a word of its own at the end of the key, or all of it: not bypass, passThrough, passed, compass.
_SECRET_WORD = re.compile(
    r"(?:(?:^|[^A-Za-z])(?:pass|Pass|PASS|pw|Pw|PW|psw|Psw|PSW|pwd|Pwd|PWD)|(?<=[a-z])(?<!by)(?<!By)P(?:ass|ASS|s?w|wd|WD)|"
    r"(?:user|db)pass|^credentials)\d*$"
)
# Keys that match above but hold a choice or an address, never a secret.
_PUBLIC_KEYS = frozenset(
    {"tokenUri", "authTokenUrl", "tokenEndpoint", "secretsManagerProvider", "secretsManagerLoader"}
)
_SECRET_SUBTREES = frozenset({"appPrivateConfig", "extraHeaders"})


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """True when a value under this key is to be treated as a secret."""
    return key not in _PUBLIC_KEYS and bool(_SECRET_KEY.search(key) or _SECRET_WORD.search(key))


def map_secrets(document: Any, change: Callable[[str], str]) -> Any:
    """A copy of the JSON document with `change` applied to each secret string; everything else is shared."""
    return _map(document, change, secret=False, subtree=False)


def _map(node: Any, change: Callable[[str], str], *, secret: bool, subtree: bool) -> Any:
    if isinstance(node, dict):
        return {
            key: _map(value, change, secret=is_secret_key(str(key)), subtree=subtree or key in _SECRET_SUBTREES)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_map(item, change, secret=secret, subtree=subtree) for item in node]
    if (secret or subtree) and isinstance(node, str) and node:
        return change(node)
    return node


def mask(document: Any) -> Any:
    """The document as a caller may see it: every secret is `*********`."""
    return map_secrets(document, lambda _: MASK)


def unmask(document: Any, stored: Any) -> Any:
    """The document with each `*********` replaced by the value stored at the same path; kept where there is none."""
    if isinstance(document, dict) and isinstance(stored, dict):
        return {key: unmask(value, stored.get(key)) for key, value in document.items()}
    if isinstance(document, list) and isinstance(stored, list):
        return [unmask(item, stored[i] if i < len(stored) else None) for i, item in enumerate(document)]
    if document == MASK and isinstance(stored, str):
        return stored
    return document


def secret_values(document: Any) -> Iterator[str]:
    """Every secret string in the document, for redaction by value."""
    found: list[str] = []

    def note(value: str) -> str:
        found.append(value)
        return value

    map_secrets(document, note)
    yield from found
