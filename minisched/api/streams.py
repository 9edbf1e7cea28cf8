"""Server-sent events: how many streams are open, and one loop that looks for news until all is said."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import structlog

from minisched.api.errors import TooManyStreams
from minisched.domain.errors import MinischedError

_log = structlog.get_logger(__name__)

# Proxies must not collect a stream before they pass it on.
STREAM_HEADERS = {"X-Accel-Buffering": "no"}

_HEARTBEAT = b": heartbeat\n\n"
_HEARTBEAT_S = 15.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
# Streams poll; they shall not take the threads that answer requests.
_THREADS = 8


class Streams:
    """How many streams are open, at most `limit`, and whether they are to end because the server does.

    Used from the event loop only.
    """

    def __init__(self, *, limit: int, stopping: threading.Event) -> None:
        self._limit = limit
        self._open = 0
        self._stopping = stopping
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def open(self) -> int:
        return self._open

    @property
    def is_full(self) -> bool:
        return self._open >= self._limit

    @property
    def threads(self) -> anyio.CapacityLimiter:
        """Made inside the event loop, which it belongs to."""
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(_THREADS)
        return self._threads

    def require_room(self) -> None:
        """Raises TooManyStreams."""
        if self.is_full:
            raise TooManyStreams

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


@dataclass(frozen=True, slots=True)
class News:
    """What a look found: events to send, and whether they are the last."""

    events: list[bytes] = field(default_factory=list)
    ended: bool = False


async def stream_of(streams: Streams, look: Callable[[], News], *, name: str) -> AsyncIterator[bytes]:
    """Events as `look` finds them, which is called in a thread, again and again, until it says that it was the last.

    Heartbeats when there is nothing to say. When the server stops, or `look` raises a MinischedError, the stream ends
    without a last event; the client comes back. `name` is for the log.
    """
    with streams.one_more():
        try:
            async for event in _events(streams, look):
                yield event
        except MinischedError as error:
            _log.warning("stream.cut", stream=name, error=str(error))


async def _events(streams: Streams, look: Callable[[], News]) -> AsyncIterator[bytes]:
    pause, spoke_at = _FIRST_PAUSE_S, time.monotonic()
    yield _HEARTBEAT
    while not streams.stopping:
        news = await anyio.to_thread.run_sync(look, limiter=streams.threads)
        for event in news.events:
            yield event
        if news.ended:
            return
        if news.events:
            pause, spoke_at = _FIRST_PAUSE_S, time.monotonic()
            continue
        if time.monotonic() - spoke_at >= _HEARTBEAT_S:
            yield _HEARTBEAT
            spoke_at = time.monotonic()
        await anyio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def data_event(document: Any) -> bytes:
    """An unnamed event whose data is one line of JSON."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"
