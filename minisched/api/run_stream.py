"""A run's log as server-sent events, from any byte offset to the end of the run.

- message: `data:` the text, one per line of it; `id:` the byte offset after it: to resume, send it as Last-Event-ID
- `event: end`: `data: {"state": "success", "reason": "completed", …}`; nothing follows
- comments `: heartbeat` so that proxies keep the connection

A stream that ends without `end` was cut (the server stops, or its database does not answer): reconnect. A carriage
return of the log arrives as the end of a line; whoever needs the bytes reads the log by offset.
"""

from __future__ import annotations

import json
import re
from typing import Annotated

import anyio.to_thread
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from minisched.api.access import READ, Admission
from minisched.api.openapi import EVENTS, operation
from minisched.api.representation import without_nulls
from minisched.api.streams import STREAM_HEADERS, News, Streams, stream_of
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.domain.run import Run
from minisched.domain.utf8 import whole_characters
from minisched.operations.runs import LogBytes, Runs

# What a reader of an event stream takes for the end of a line.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

_CHUNK_BYTES = 64 * 1024
_MOST_DIGITS = 18


LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Continue after this event: a byte offset.")
]


@get(
    "/runs/{run_id:str}/log/stream",
    media_type="text/event-stream",
    summary="Follow the log of a run",
    opt=READ,
    operation_class=operation({200: EVENTS}, errors=[429]),
)
async def stream_log(
    run_id: FromPath[str],
    runs: NamedDependency[Runs],
    streams: NamedDependency[Streams],
    admission: NamedDependency[Admission],
    offset: Annotated[int, QueryParameter(ge=0, le=2**62, description="In bytes; Last-Event-ID goes before.")] = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """Server-sent events until the run has ended; reconnect with Last-Event-ID to continue."""
    start = offset if last_event_id is None else _offset(last_event_id)
    streams.require_room()
    run = await anyio.to_thread.run_sync(runs.get, run_id, limiter=streams.threads)
    events = stream_of(streams, admission.lasting(_Tail(run.id, runs, start).look), name="log")
    return Stream(events, media_type="text/event-stream", headers=STREAM_HEADERS)


def _offset(event_id: str) -> int:
    if not (event_id.isascii() and event_id.isdigit() and len(event_id) <= _MOST_DIGITS):
        raise InvalidInput("is not a byte offset", field="Last-Event-ID")
    return int(event_id)


class _Tail:
    """One client that follows one log."""

    def __init__(self, run_id: str, runs: Runs, offset: int) -> None:
        self._run_id = run_id
        self._runs = runs
        self._offset = offset

    def look(self) -> News:
        # The state is read before the log: what a run wrote before it ended is then sent before its end.
        run = self._runs.get(self._run_id)
        piece = self._runs.log_of(run, offset=self._offset, limit=_CHUNK_BYTES)
        text = piece.data if piece.is_gap else _whole_characters(piece, ended=run.is_terminal)
        if text:
            self._offset = piece.next_offset if piece.is_gap else self._offset + len(text)
            return News([_event(text.decode("utf-8", "replace"), offset=self._offset)])
        if run.is_terminal:
            return News([_event(json.dumps(_end(run)), name="end", offset=self._offset)], ended=True)
        return News()


def _whole_characters(piece: LogBytes, *, ended: bool) -> bytes:
    """A character may be cut by the end of the piece, and by what is not kept; the rest of it then never comes."""
    full = len(piece.data) >= _CHUNK_BYTES
    return whole_characters(piece.data, ended=not full and (ended or piece.next_offset < piece.size))


def _end(run: Run) -> Document:
    return without_nulls(state=run.state.value, reason=run.reason and run.reason.value, message=run.message)


def _event(data: str, *, name: str | None = None, offset: int) -> bytes:
    lines = [f"event: {name}"] if name else []
    lines += [f"id: {offset}", *(f"data: {line}" for line in _LINE_BREAK.split(data))]
    return ("\n".join(lines) + "\n\n").encode()
