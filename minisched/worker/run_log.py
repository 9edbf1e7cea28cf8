"""What a run writes: one file for its output and log lines, in UTC with milliseconds, without colours and secrets."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import time
from typing import Any

from .redaction import Redactor, hide_inputs

_FORMAT = "[%(asctime)s] %(levelname)-8s {%(name)s:%(module)s:%(lineno)d} - %(message)s"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_FAILURES_KEPT = 20
_TRACEBACK_LIMIT = 20_000

logger = logging.getLogger("minisched")


class _Counted(io.FileIO):
    """Knows how much was written through it."""

    total = 0

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        self.total += count or 0
        return count


class CleanStream(io.TextIOWrapper):
    """Text to a descriptor, at once so that no death loses any of it, secrets removed before they leave the process."""

    def __init__(self, fd: int, redactor: Redactor) -> None:
        self._file = _Counted(fd, "w", closefd=False)
        super().__init__(io.BufferedWriter(self._file), encoding="utf-8", errors="backslashreplace")
        self._redactor = redactor

    def write(self, text: str) -> int:
        super().write(self._redactor.clean(text))
        self.flush()
        return len(text)

    @property
    def total(self) -> int:
        """Bytes that have left the process."""
        return self._file.total


class _Format(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        return _without_middle(hide_inputs(super().formatException(ei)))

    def format(self, record: logging.LogRecord) -> str:
        return _ANSI.sub("", super().format(record))


def _without_middle(traceback: str) -> str:
    """A traceback of a size that people read: where it began and how it ended, in whole lines.

    A pydantic model that is a union of all connections says hundreds of times why each of them does not fit.
    """
    if len(traceback) <= _TRACEBACK_LIMIT:
        return traceback
    half = _TRACEBACK_LIMIT // 2
    head = traceback[:half].rpartition("\n")[0]
    tail = traceback[-half:].partition("\n")[2]
    left_out = traceback.count("\n") - head.count("\n") - tail.count("\n") - 1
    return "{}\n  ... {} lines left out ...\n{}".format(head, left_out, tail)


class FailureMemory(logging.Handler):
    """Remembers the lines that name why a connection test failed: the exception that follows does not say (runtime)."""

    # `CheckAccess: Failed - reason` on recent lines, `CheckAccess-reason` as an error on older ones.
    _RECENT = re.compile(r"^(\w+): (?:Failed|Warning) - (.+)", re.DOTALL)
    _OLDER = re.compile(r"^(\w+)-(.+)", re.DOTALL)

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.failures) >= _FAILURES_KEPT or not record.name.startswith("metadata"):
            return
        pattern = self._OLDER if record.module == "test_connections" else self._RECENT
        found = pattern.match(record.getMessage())
        if found:
            self.failures.append((found.group(1), found.group(2).strip()))

    def reason_of(self, step: str) -> str | None:
        """Why this step of the connection test failed, if a line said it."""
        return next((reason for name, reason in reversed(self.failures) if name == step), None)


def take_over_output(redactor: Redactor) -> FailureMemory:
    """Send prints, warnings and every log line to descriptors 1 and 2, cleaned. Returns the memory of failures."""
    sys.stdout = CleanStream(1, redactor)
    sys.stderr = CleanStream(2, redactor)
    memory = FailureMemory()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format(_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler, memory]
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    for talkative in (logger, logging.getLogger("metadata")):  # the workflow sets its own level later
        if talkative.level != logging.INFO:  # setting a level walks through every logger there is
            talkative.setLevel(logging.INFO)
    return memory


def flush() -> None:
    """Everything written so far is in the file. Errors (disk full) do not matter any more."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def written() -> int:
    """Bytes that came into the log through our own streams, as far as they are still in place."""
    return sum(stream.total for stream in (sys.stdout, sys.stderr) if isinstance(stream, CleanStream))


def say(text: str, *arguments: Any) -> None:
    """A line of our own in the run's log."""
    logger.info(text, *arguments)
