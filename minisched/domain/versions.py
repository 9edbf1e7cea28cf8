"""Which versions of OpenMetadata and of its ingestion package go together."""

from __future__ import annotations

import re

from minisched.domain.errors import InvalidInput

Line = tuple[int, int]

_THREE_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Servers up to this line want the same x.y.z, later ones the same x.y (contract §1.3).
_LAST_EXACT_LINE: Line = (1, 0)


class UnknownVersion(InvalidInput):
    """The text holds no version of the form x.y.z."""


def is_version(text: str) -> bool:
    """Whether the text holds a version."""
    return _THREE_NUMBERS.search(text) is not None


def line_of(version: str) -> Line:
    """The release line of a version: `2.0.7.0` and `2.0.3-SNAPSHOT` are of the line (2, 0). Raises UnknownVersion."""
    major, minor, _ = _numbers(version)
    return major, minor


def same_line(server: str, client: str) -> bool:
    """Whether an OpenMetadata server accepts an ingestion package, as its own check decides. Raises UnknownVersion."""
    server_numbers, client_numbers = _numbers(server), _numbers(client)
    if server_numbers[:2] <= _LAST_EXACT_LINE:
        return server_numbers == client_numbers
    return server_numbers[:2] == client_numbers[:2]


def _numbers(version: str) -> tuple[int, int, int]:
    found = _THREE_NUMBERS.search(version)
    if found is None:
        raise UnknownVersion(f"{version!r} holds no version of the form x.y.z.")
    major, minor, patch = (int(number) for number in found.groups())
    return major, minor, patch
