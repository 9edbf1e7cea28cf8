"""The strings of a JSON document, each with its path: `sourceConfig.config.includes[0]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def strings(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of every string, in the order of the document; keys are no strings of it."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from strings(value, _below(path, key))
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(document, str):
        yield path, document


def map_strings(document: Any, change: Callable[[str, str], str], path: str = "") -> Any:
    """A copy in which each string is what `change` makes of its path and value; everything else is shared."""
    if isinstance(document, dict):
        return {key: map_strings(value, change, _below(path, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [map_strings(item, change, f"{path}[{index}]") for index, item in enumerate(document)]
    return change(path, document) if isinstance(document, str) else document


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
