"""One change of a pipeline at a time: what is done to it in several places must not be interleaved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class _Held:
    lock: Lock = field(default_factory=Lock)
    users: int = 0


class KeyedLocks:
    """A lock per key, kept only while somebody holds it or waits for it. Not reentrant."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._held: dict[str, _Held] = {}

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        with self._guard:
            held = self._held.setdefault(key, _Held())
            held.users += 1
        try:
            with held.lock:
                yield
        finally:
            with self._guard:
                held.users -= 1
                if not held.users:
                    del self._held[key]
