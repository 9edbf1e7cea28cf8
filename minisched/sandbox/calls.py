"""A request and an answer of the catalog, and finding who handles a request.

FQNs stand in the middle of paths, percent-encoded, with slashes, quotes and dots in them. Web frameworks match decoded
paths, in which such a slash is a separator; so the catalog matches the raw path itself, part by part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox.callers import Caller


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `segments` of its path below /api/v1, decoded; `repeated` has every value of each query name."""

    method: str
    segments: Sequence[str]
    repeated: Mapping[str, Sequence[str]]
    body: bytes
    caller: Caller

    @property
    def query(self) -> Mapping[str, str]:
        """The last value of each query name."""
        return {name: values[-1] for name, values in self.repeated.items()}

    def json(self) -> Any:
        """The body as JSON, None when it is empty. Raises InvalidInput."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise InvalidInput(f"the body is not JSON: {error}") from error

    def document(self) -> Document:
        """The body as a JSON object. Raises InvalidInput."""
        document = self.json()
        if not isinstance(document, dict):
            raise InvalidInput("the body must be a JSON object")
        return document

    def documents(self) -> list[Document]:
        """The body as a JSON list of objects. Raises InvalidInput."""
        documents = self.json()
        if not isinstance(documents, list) or not all(isinstance(item, dict) for item in documents):
            raise InvalidInput("the body must be a JSON list of objects")
        return documents

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"

    def fields(self) -> list[str]:
        """The names in the query parameter `fields`."""
        return [name.strip() for name in self.query.get("fields", "").split(",") if name.strip()]

    def number(self, name: str, default: int | None = None) -> int | None:
        """A query parameter as an integer. Raises InvalidInput."""
        text = self.query.get(name)
        if text is None or text == "":
            return default
        try:
            return int(text)
        except ValueError as error:
            raise InvalidInput("must be a number", field=name) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body; None is an empty body."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[..., Answer]
"""Called with the Call (after the Kind, for endpoints of collections) and the path's parameters by name."""


class Endpoint:
    """A verb, a pattern of a path and its handler; `kinds` limits an endpoint of collections to some types.

    In a pattern `{name}` takes one part of the path and `{name*}`, at the end, all that are left.
    """

    def __init__(self, method: str, pattern: str, handler: Handler, *, kinds: Iterable[str] = ()) -> None:
        self.method = method
        self.handler = handler
        self.kinds = frozenset(kinds)
        self._parts = pattern.split("/") if pattern else []
        self._takes_rest = bool(self._parts) and self._parts[-1].endswith("*}")

    def match(self, method: str, segments: Sequence[str]) -> dict[str, str] | None:
        """The parameters when verb and path fit, else None."""
        if method != self.method or not self._fits(len(segments)):
            return None
        parameters: dict[str, str] = {}
        for part, segment in zip(self._parts, segments, strict=False):
            if part.startswith("{"):
                parameters[part.strip("{}*")] = segment
            elif part != segment:
                return None
        if self._takes_rest:
            parameters[self._parts[-1].strip("{}*")] = "/".join(segments[len(self._parts) - 1 :])
        return parameters

    def _fits(self, length: int) -> bool:
        return length >= len(self._parts) if self._takes_rest else length == len(self._parts)


def path_segments(raw_path: bytes, mount: str) -> list[str]:
    """The decoded parts of a raw path below `mount` (`/api/v1`), which may itself be mounted deeper."""
    path = raw_path.split(b"?", 1)[0].decode(errors="replace")
    _, found, below = path.partition(f"{mount}/")
    return [unquote(part) for part in below.strip("/").split("/")] if found and below.strip("/") else []


def query_values(raw_query: bytes) -> dict[str, list[str]]:
    """The values of each name in the query string; blank ones stay."""
    return parse_qs(raw_query.decode(errors="replace"), keep_blank_values=True)
