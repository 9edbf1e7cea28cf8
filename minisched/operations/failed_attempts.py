"""How many wrong passwords and tokens came from each address lately, and who has to wait for it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_WINDOW_S = 60.0
_MOST_FAILURES = 30
_MOST_PEERS = 1024


class FailedAttempts:
    """Remembers a bounded number of addresses; thread-safe."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        # Address: (start of its window, failures in it), the longest unchanged first.
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, peer: str) -> None:
        with self._lock:
            start, failures = self._window(peer)
            self._windows[peer] = (start, failures + 1)
            self._windows.move_to_end(peer)
            while len(self._windows) > _MOST_PEERS:
                self._windows.popitem(last=False)

    def wait_s(self, peer: str) -> float:
        """Seconds after which this address may try again; 0 when it may now."""
        with self._lock:
            start, failures = self._window(peer)
        return start + _WINDOW_S - self._now_s() if failures >= _MOST_FAILURES else 0.0

    def _window(self, peer: str) -> tuple[float, int]:
        now_s = self._now_s()
        start, failures = self._windows.get(peer, (now_s, 0))
        return (start, failures) if now_s - start < _WINDOW_S else (now_s, 0)
