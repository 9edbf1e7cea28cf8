"""Fully qualified names: parts joined by dots, a part quoted when it holds a dot, and links to entities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

from minisched.domain.pipeline import quote_name

# A quoted part may hold dots; inside quotes a quote is doubled or has a backslash before it.
_PART = re.compile(r'"(?:[^"\\]|\\.|"")*"|[^."]+(?:"[^.]*)?|"[^.]*')
_QUOTED_WHOLE = re.compile(r'"[^"]+"')


def part(name: str) -> str:
    """A name as one part of an FQN. A name that arrives in quotes keeps them only if it needs them."""
    if _QUOTED_WHOLE.fullmatch(name):
        return name if "." in name else name[1:-1]
    return quote_name(name)


def join(parent: str | None, *names: str) -> str:
    """The FQN of what is called `names[-1]` below `parent`, which is an FQN already."""
    parts = [part(name) for name in names]
    return ".".join([parent, *parts] if parent else parts)


def split(fqn: str) -> list[str]:
    """The parts of an FQN without their quotes; never fails, odd input comes back in odd parts."""
    return [_unquoted(found) for found in _PART.findall(fqn)]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace('""', '"')
    return text


def last(fqn: str) -> str:
    """The name at the end of an FQN."""
    parts = split(fqn)
    return parts[-1] if parts else fqn


def is_below(fqn: str, ancestor: str) -> bool:
    """True when `ancestor` and a dot begin `fqn`."""
    return fqn.startswith(ancestor + ".")


@dataclass(frozen=True, slots=True)
class EntityLink:
    """What `<#E::table::svc.db.schema.table::columns::name>` points to; `column` is None for the whole entity."""

    entity_type: str
    fqn: str
    column: str | None

    @property
    def target_fqn(self) -> str:
        return join(self.fqn, self.column) if self.column else self.fqn


def parse_link(text: object) -> EntityLink | None:
    """The parts of an entity link, or None when the text is no such link."""
    if not isinstance(text, str) or not (text.startswith("<#E::") and text.endswith(">")):
        return None
    parts = text[len("<#E::") : -1].split("::")
    if len(parts) < 2 or not all(parts[:2]):
        return None
    column = unquote_plus(parts[3]) if len(parts) >= 4 and parts[2] == "columns" else None
    return EntityLink(parts[0], parts[1], column)
