"""What a caller of the dialect may send: arguments in the query, in a form or in a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from minisched.api.json_values import check_json, check_text
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document

_FORM = "application/x-www-form-urlencoded"


class Call:
    """One request. Its body is read as JSON whatever its content type says, unless that is a form's."""

    def __init__(self, query: Mapping[str, str], content_type: str, body: bytes) -> None:
        self._query = query
        self._is_form = content_type.partition(";")[0].strip().lower() == _FORM
        self._body = body
        self._parsed: Any = None

    def argument(self, name: str) -> str | None:
        """From the query, else the form or JSON body; None when it is absent or empty. Raises InvalidInput."""
        value = self._query.get(name) or self._in_body().get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise InvalidInput(f"Invalid parameter value for '{name}'")
        return _storable(name, value)

    def required(self, name: str) -> str:
        value = self.argument(name)
        if value is None:
            raise InvalidInput(f"Missing required request argument '{name}'")
        return value

    def object_of(self, name: str, parent: Document | None = None) -> Document | None:
        """A JSON object among the arguments, or in one of them; None when it is absent."""
        value = (self._in_body() if parent is None else parent).get(name)
        if value is not None and not isinstance(value, dict):
            raise InvalidInput(f"Invalid parameter value for '{name}'")
        return value

    def document(self, purpose: str) -> Document:
        """The body as the JSON object that it has to be."""
        value = self._json()
        if value is None:
            raise InvalidInput(f"Did not receive any JSON request to {purpose}")
        if not isinstance(value, dict):
            raise InvalidInput("The body is not a JSON object")
        return value

    def _in_body(self) -> Document:
        if self._is_form:
            return dict(parse_qsl(self._body.decode("utf-8", errors="replace")))
        value = self._json()
        return value if isinstance(value, dict) else {}

    def _json(self) -> Any:
        if self._parsed is None and self._body.strip():
            try:
                self._parsed = check_json(json.loads(self._body))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"The body {_what_is_wrong(error)}") from None
        return self._parsed


def _what_is_wrong(error: Exception) -> str:
    """Without the text of the body, which may hold secrets."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return "is not valid JSON" if isinstance(error, json.JSONDecodeError | UnicodeError) else str(error)


def _storable(name: str, value: str) -> str:
    try:
        return check_text(value)
    except ValueError as error:
        raise InvalidInput(f"'{name}' {error}") from None
