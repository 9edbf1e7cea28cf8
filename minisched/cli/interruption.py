"""Ctrl-C for commands that clean up: the first one interrupts, the next ones do not spoil the cleaning."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupted_once(message: bytes) -> Iterator[None]:
    """Within, the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; those after it are ignored.

    What cleans up therefore has to end by itself, with time limits. `message` is for the person who waits.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        # Not through sys.stderr: the handler may have interrupted a write to it.
        os.write(sys.stderr.fileno(), message)
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Within, which should be short, a signal waits for the end of the block: what it makes will be known by name."""
    pending: list[int] = []
    former = {number: signal.signal(number, lambda number, _: pending.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if pending:
        signal.raise_signal(pending[0])
