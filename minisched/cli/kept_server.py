"""The server that a demo left running, found again by the next one; and one demo at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minisched.cli.server import Server
from minisched.domain.errors import Conflict, MinischedError
from minisched.worker.protocol import identity


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and whether it goes on without us."""

    url: str
    pid: int
    kept: bool


class ServerHangs(MinischedError):
    """The server that an earlier demo kept does not answer."""


class KeptServer:
    """A note about a server, with which no later process of the same pid can be confused."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, url: str, pid: int) -> None:
        self._path.write_text(json.dumps({"url": url, "process": identity(pid)}), encoding="utf-8")

    def find(self) -> Address | None:
        """The noted server, None when there is none any more. Raises ServerHangs when it is there but mute."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._path.read_text(encoding="utf-8"))
            pid = int(note["process"]["pid"])
            if identity(pid) == note["process"]:
                return _answering(Address(str(note["url"]), pid, kept=True))
        return None


def _answering(address: Address) -> Address:
    try:
        with Server(address.url) as server:
            server.call("GET", "/health/live")
    except MinischedError as error:
        raise ServerHangs(
            f"the server that an earlier demo kept (process {address.pid}) does not answer at {address.url}.",
            hint=f"End it with `kill {address.pid}`.",
        ) from error
    return address


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the lock of this file. Raises Conflict when another process does."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("another demo is running in the same data directory.", hint="Wait for it.") from error
        yield
    finally:
        os.close(descriptor)
