"""The log of a run as the server hands it out: by byte offset, or as a stream that goes on until the run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from minisched.cli.exit_codes import ServerUnreachable
from minisched.cli.server import RUNS, Server

NEXT_OFFSET = "X-Minisched-Next-Offset"
_CHUNK_BYTES = 1024 * 1024
# A stream sends a comment every now and then; silence for longer than this is a dead connection.
_SILENCE_S = 60.0
_RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its name, its data with the newlines between data lines, its id when it has one."""

    name: str
    data: str
    id: str | None


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Events of a text/event-stream, comments left out; an event that is cut off at the end is dropped."""
    name, data, last_id = "message", list[str](), None
    for line in lines:
        if not line:
            if data or name != "message":
                yield Event(name, "\n".join(data), last_id)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id":
            last_id = value


def read_log(server: Server, run_id: str, write: Callable[[bytes], None], offset: int = 0) -> int:
    """Everything written so far from `offset` on; returns the offset behind it."""
    while True:
        response = server.call("GET", f"{RUNS}/{run_id}/log", params={"offset": offset, "limit": _CHUNK_BYTES})
        if not response.content:
            return offset
        write(response.content)
        offset = int(response.headers.get(NEXT_OFFSET, offset + len(response.content)))


def follow_log(server: Server, run_id: str, write: Callable[[bytes], None], offset: int = 0) -> None:
    """Write the log as it grows until the run has ended; a stream that breaks off is taken up where it broke.

    Raises NotFound, and ServerUnreachable when the server stays away.
    """
    failures = 0
    while True:
        problem = "the stream ended before the run"
        try:
            for event in _stream(server, run_id, offset):
                failures = 0
                if event.name == "end":
                    return
                write(event.data.encode())
                offset = int(event.id or offset)
        except (httpx.TransportError, ServerUnreachable) as error:
            problem = str(error)
        if failures == len(_RECONNECT_S):
            raise ServerUnreachable(f"the server at {server.url} went away: {problem}.")
        time.sleep(_RECONNECT_S[failures])
        failures += 1


def _stream(server: Server, run_id: str, offset: int) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(offset)}
    with server.stream(f"{RUNS}/{run_id}/log/stream", headers=headers, read_timeout_s=_SILENCE_S) as response:
        yield from events(_lines(response.iter_bytes()))


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines that end in a newline, and in nothing else that Unicode counts as the end of a line."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
