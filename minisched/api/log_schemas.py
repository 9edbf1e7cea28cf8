"""What workflows send of their log: a text, or OpenMetadata's LogBatch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_core import from_json

from minisched.api.schemas import Body, Count, Milliseconds, ShortText, check
from minisched.domain.errors import InvalidInput


class LogBatch(Body):
    """Some lines of a log. `compressed` says that `logs` is gzip in base64."""

    logs: str
    timestamp: Milliseconds | None = None
    connectorId: Annotated[ShortText, Field(max_length=256)] | None = None  # noqa: N815  OpenMetadata's names
    compressed: bool | None = None
    lineCount: Count | None = None  # noqa: N815


def log_data(body: bytes) -> str | LogBatch:
    """The JSON body of a request that sends a log. Raises InvalidInput."""
    try:
        sent = from_json(body)
    except ValueError as error:
        raise InvalidInput(f"Malformed JSON: {error}") from None
    if isinstance(sent, str):
        return sent
    if isinstance(sent, dict):
        return check(LogBatch, sent)
    raise InvalidInput("Invalid log data format")
