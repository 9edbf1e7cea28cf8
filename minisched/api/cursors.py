"""Cursors of list pages: URL-safe base64 of the key where the next page starts, opaque to callers (contract §3.2)."""

from __future__ import annotations

import base64
import json

from minisched.api.json_values import check_text
from minisched.domain.errors import InvalidInput

_BY_NAME = "name"
_BY_DISPLAY_NAME = "displayNameSort"
_LONGEST = 16_384


def encode(key: tuple[str, str] | None, *, by_display_name: bool) -> str | None:
    """The cursor of a key `(sort value, id)`; None has none."""
    if key is None:
        return None
    document = {_BY_DISPLAY_NAME if by_display_name else _BY_NAME: key[0], "id": key[1]}
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


def decode(cursor: str | None, *, by_display_name: bool) -> tuple[str, str] | None:
    """The key of a cursor. Raises InvalidInput, also for a cursor of the other order."""
    if cursor is None:
        return None
    try:
        return _decoded(cursor, _BY_DISPLAY_NAME if by_display_name else _BY_NAME)
    except (ValueError, KeyError, TypeError, RecursionError):
        order = "Invalid cursor for sortField pagination" if by_display_name else "Invalid cursor"
        raise InvalidInput(order, hint="Take it from paging.before or paging.after of an earlier answer.") from None


def _decoded(cursor: str, field: str) -> tuple[str, str]:
    if len(cursor) > _LONGEST:
        raise ValueError(len(cursor))
    document = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    value, identity = document[field], document["id"]
    if not (isinstance(value, str) and isinstance(identity, str)):
        raise TypeError(field)
    return check_text(value), check_text(identity)


def encode_ms(milliseconds: int | None) -> str | None:
    """An edge of a time range as pipelineStatus lists show it (contract §3.11)."""
    return None if milliseconds is None else base64.b64encode(str(milliseconds).encode()).decode()
