"""One YAML file a pipeline, for version control: where it lies, how it is written and read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from minisched.cli.workflow_file import parse_mapping
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document, clean_name

SUFFIXES = (".yaml", ".yml", ".json")
_LONGEST_NAME = 120
_WIDTH = 120


def file_names(fqns: Iterable[str]) -> dict[str, str]:
    """A file name for each FQN: itself where a file may have that name, else with a hash that keeps two apart."""
    names: dict[str, str] = {}
    for fqn in sorted(fqns):
        stem = clean_name(fqn.replace(".", "-"))[:_LONGEST_NAME]
        if stem in names.values() or len(stem) == _LONGEST_NAME:
            stem = f"{stem}-{hashlib.sha256(fqn.encode()).hexdigest()[:8]}"
        names[fqn] = stem
    return {fqn: f"{stem}.yaml" for fqn, stem in names.items()}


def text_of(declaration: Document) -> str:
    """The same text for the same declaration."""
    return yaml.safe_dump(declaration, sort_keys=False, allow_unicode=True, width=_WIDTH)


def declaration_files(path: Path) -> list[Path]:
    """The file, or every file of a directory that can be one, by name. Raises InvalidInput when there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidInput(f"there is no file or directory {path}.")
    found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and not _is_hidden(file, path))
    if not found:
        raise InvalidInput(f"{path} holds no file that ends with {', '.join(SUFFIXES)}.")
    return found


def read_declaration(path: Path) -> Document:
    """As written, references included. Raises InvalidInput with line and column."""
    return parse_mapping(str(path))


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def unused(directory: Path, written: Iterable[Path]) -> Iterator[Path]:
    """Files of earlier exports in the directory that were not written now: their pipelines are gone or renamed."""
    kept = set(written)
    yield from (path for path in sorted(directory.glob("*.yaml")) if path not in kept)
