"""Removing a run's secrets from whatever it writes, by value.

Besides, what pydantic says of the input that it refuses (`input_value=…`) is never written: it may be a secret under
a key that is misspelt, or a secret in an abbreviation that nobody can recognise.

The same idea of what is a secret as the server's (`domain/secrets.py`; a test compares both), because this side cannot
import that one.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "*********"
# A shorter value would black out half the log, and would be found by trying.
SHORTEST = 4

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
_PUBLIC_KEYS = frozenset(
    {"tokenUri", "authTokenUrl", "tokenEndpoint", "secretsManagerProvider", "secretsManagerLoader"}
)
_SECRET_SUBTREES = frozenset({"appPrivateConfig", "extraHeaders"})
_LONG_LINE = 20
_INPUT = "input_value="
_END_OF_INPUT = ", input_type="
# Looks the same wherever it stands.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*\Z")


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """True when a value under this key is to be treated as a secret."""
    return key not in _PUBLIC_KEYS and bool(_SECRET_KEY.search(key) or _SECRET_WORD.search(key))


def secret_values(node: Any, secret: bool = False, subtree: bool = False) -> Iterator[str]:
    """Every secret string of a JSON document."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from secret_values(value, is_secret_key(str(key)), subtree or key in _SECRET_SUBTREES)
    elif isinstance(node, list):
        for item in node:
            yield from secret_values(item, secret, subtree)
    elif (secret or subtree) and isinstance(node, str) and node:
        yield node


def hide_inputs(text: str) -> str:
    """The text without the values that pydantic's errors repeat: `input_value='hunter2', input_type=str`.

    To be called before such a text is cut: of an input without its end only the rest of the line is hidden.
    """
    if _INPUT not in text:
        return text
    before, *pieces = text.split(_INPUT)
    return before + "".join(_INPUT + MASK + _after_input(piece) for piece in pieces)


def _after_input(piece: str) -> str:
    """What follows the value with which this piece begins; the value itself may look like its own end."""
    end = piece.rfind(_END_OF_INPUT)
    if end < 0:
        end = piece.find("\n")
    return piece[end:] if end >= 0 else ""


class Redactor:
    """Replaces the secrets that it was told of, in the forms in which they appear in texts."""

    def __init__(self) -> None:
        self._forms: list[str] = []  # the longest first, so that no secret is left half in the text

    def learn(self, document: Any) -> None:
        """Every secret of a JSON document is unspeakable from now on."""
        self.learn_values(secret_values(document))

    def learn_values(self, values: Iterable[str]) -> None:
        forms = set(self._forms)
        for value in values:
            if len(value) >= SHORTEST:
                forms.update(_forms(value))
        self._forms = sorted(forms, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        text = hide_inputs(text)
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def forms(self) -> list[bytes]:
        """What must not be seen, as it is written, the longest first."""
        return sorted((form.encode("utf-8", "backslashreplace") for form in self._forms), key=len, reverse=True)

    def clean_document(self, node: Any) -> Any:
        """A JSON document without secrets in its strings."""
        if isinstance(node, dict):
            return {key: self.clean_document(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.clean_document(item) for item in node]
        return self.clean(node) if isinstance(node, str) else node


def _forms(value: str) -> Iterator[str]:
    """As it is, as part of a URL, inside JSON or a repr, or such a text inside another; long lines on their own too."""
    yield value
    if _PLAIN.match(value):
        return
    yield quote(value)
    yield quote(value, safe="")
    yield quote_plus(value)
    for inner in _quoted(value):
        yield inner
        yield from _quoted(inner)
    for line in value.splitlines():
        if len(line.strip()) >= _LONG_LINE:
            yield line.strip()


def _quoted(text: str) -> tuple[str, str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]
