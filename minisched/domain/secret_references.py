"""References to secrets in files that are kept under version control: a value that is exactly `${env:NAME}`.

A value that only looks like one is written with one more dollar sign: `$${env:NAME}` stands for `${env:NAME}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minisched.domain.json_strings import map_strings, strings
from minisched.domain.secrets import MASK

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_ESCAPED = re.compile(r"\$(\$+\{env:[A-Za-z_][A-Za-z0-9_]*\})", re.ASCII)
_NOT_OF_A_NAME = re.compile(r"[^A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class MissingVariable:
    """A reference that the environment does not resolve: where it stands, and the variable."""

    path: str
    name: str


def refer(document: Any, owner: str) -> Any:
    """The document with a reference for each `*********`, named after its owner (an FQN) and its path."""

    def change(path: str, value: str) -> str:
        if value == MASK:
            return f"${{env:{_variable(owner, path)}}}"
        return f"${value}" if _REFERENCE.fullmatch(value) or _ESCAPED.fullmatch(value) else value

    return map_strings(document, change)


def variables(document: Any) -> list[str]:
    """The variables that the document refers to, in its order."""
    return [found[1] for _, value in strings(document) if (found := _REFERENCE.fullmatch(value))]


def resolve(document: Any, environ: Mapping[str, str]) -> tuple[Any, list[MissingVariable]]:
    """The document with its secrets, and what is missing; an empty variable counts as missing."""
    missing: list[MissingVariable] = []

    def change(path: str, value: str) -> str:
        if escaped := _ESCAPED.fullmatch(value):
            return escaped[1]
        if not (found := _REFERENCE.fullmatch(value)):
            return value
        if not (secret := environ.get(found[1])):
            missing.append(MissingVariable(path, found[1]))
        return secret or value

    return map_strings(document, change), missing


def _variable(owner: str, path: str) -> str:
    words = f"{owner} {path.removeprefix('sourceConfig.config.')}".upper()
    name = _NOT_OF_A_NAME.sub("_", words).strip("_")
    return name if not name[:1].isdigit() else f"_{name}"
