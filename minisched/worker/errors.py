"""Why a run cannot even begin, in words that need no traceback."""

from __future__ import annotations


class CannotRun(Exception):
    """The message says what is wrong, `hint` what a person can do about it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
