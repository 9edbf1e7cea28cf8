"""Places in the code where a test can have the process die as if the power had gone: nothing is flushed or closed.

Armed once, when a server starts, by the environment variable MINISCHED_FAILPOINT=name[:count]: the process kills itself
when it comes to the place of that name for the count-th time. Not armed, a place costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping

from minisched.domain.errors import ConfigurationError

VARIABLE = "MINISCHED_FAILPOINT"


class _Armed:
    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.left = count
        self.lock = threading.Lock()


_armed: _Armed | None = None


def arm(environ: Mapping[str, str]) -> str | None:
    """Arm what the variable names; its text, or None when it is not set. Raises ConfigurationError for a bad count."""
    global _armed
    text = environ.get(VARIABLE)
    if not text:
        return None
    name, _, count = text.partition(":")
    if count and not (count.isdecimal() and int(count) > 0):
        raise ConfigurationError(f"{VARIABLE} is name or name:count, with a count from 1.", field=VARIABLE)
    _armed = _Armed(name, int(count or 1))
    return text


def reach(name: str) -> None:
    """Die here if this is the armed place and its count is reached."""
    if _armed is not None and _armed.name == name:
        _count_down(_armed)


def _count_down(armed: _Armed) -> None:
    with armed.lock:
        armed.left -= 1
        if armed.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
