"""Waiting for something that another process does, with a deadline and without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout_s: float = 10.0, every_s: float = 0.01) -> T:
    """The first truthy answer of `condition`; AssertionError with its last answer when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout_s} s: {condition}"
        time.sleep(every_s)
    return answer
