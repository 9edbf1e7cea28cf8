"""What came back from Airflow, and whether it is the plugin that speaks."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from minisched.observability import redact

_LONGEST_TEXT = 2000
# All that plugins of the line 2.0 say of a failure of theirs.
_NOTHING_SAID = "An unexpected problem occurred"


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is its JSON, None when it is none; `text` the same as people may see it."""

    status: int
    text: str
    body: Any
    media_type: str
    location: str = ""

    @property
    def ok(self) -> bool:
        """Only 200 is, and only with JSON (contract §1.6)."""
        return self.status == HTTPStatus.OK and isinstance(self.body, dict | list)

    @property
    def error(self) -> str | None:
        """The plugin's own words for what it did not do; None when it has none, or when something else answered."""
        words = self.body.get("error") if isinstance(self.body, dict) else None
        if not isinstance(words, str) or self.status == HTTPStatus.OK:
            return None
        return redact(words)[:_LONGEST_TEXT]

    @property
    def is_the_plugins(self) -> bool:
        return self.ok or self.error is not None

    @property
    def reason(self) -> str | None:
        """`error`, when it says anything."""
        return None if self.error in (None, "", _NOTHING_SAID) else self.error


def answer_of(response: httpx.Response) -> Answer:
    try:
        body = response.json()
    except ValueError:  # bytes that are no text, too
        body = None
    return Answer(
        status=response.status_code,
        text=redact(response.text)[:_LONGEST_TEXT],
        body=body,
        media_type=response.headers.get("content-type", "").partition(";")[0].strip(),
        location=response.headers.get("location", "").partition("?")[0],
    )
