"""A settings file: its values, and the line of each."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from minisched.domain.errors import ConfigurationError

Name = tuple[str, ...]

# Sections have settings, settings may be maps of names; nothing is deeper, and an anchor may refer to itself.
_DEPTH = 3
# What PyYAML quotes in its messages may be a piece of a password that was not quoted in the file.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """`values` as PyYAML's safe loader has them, `lines` counted from 1 by path."""

    path: Path
    values: dict[Any, Any]
    lines: dict[Name, int]

    def entries(self, *, sections: Container[Name]) -> Iterator[tuple[Name, Any]]:
        """Settings with their values as written; a section that holds no mapping counts as one setting."""
        yield from _entries((), self.values, sections)

    def line_of(self, name: Name) -> int:
        """The line of the setting, or of what it is in when it came by a merge key."""
        return next((self.lines[name[:end]] for end in range(len(name), 0, -1) if name[:end] in self.lines), 1)


def parse_yaml(path: Path) -> ParsedFile:
    """Read the file. Raises ConfigurationError when it cannot be read, is no YAML, no mapping, or repeats a key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"The settings file {path} cannot be read: {reason}.") from None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines = dict(_lines(node, (), path)) if node else {}
        values = loader.construct_document(node) if node else {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}{_place(error)}: this is not YAML: {_problem(error)}.") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}:1: the file should hold names and values, as in server: {{port: 8580}}.")
    return ParsedFile(path, values, lines)


def _lines(node: yaml.Node, prefix: Name, file: Path) -> Iterator[tuple[Name, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        name, line = (*prefix, str(key.value)), key.start_mark.line + 1
        if name in seen:
            raise ConfigurationError(f"{'.'.join(name)} ({file}:{line}): this setting stands in the file twice.")
        seen.add(name)
        yield name, line
        if len(name) < _DEPTH:
            yield from _lines(value, name, file)


def _entries(prefix: Name, values: dict[Any, Any], sections: Container[Name]) -> Iterator[tuple[Name, Any]]:
    for key, value in values.items():
        name = (*prefix, str(key))
        if name not in sections:
            yield name, value
        elif isinstance(value, dict):
            yield from _entries(name, value, sections)
        elif value is not None:
            yield name, value


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    return _QUOTED.sub("…", str(getattr(error, "problem", None) or "something in it cannot be understood"))
