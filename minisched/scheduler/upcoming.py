"""Which pipeline is due next: a heap of the next open instant of every schedule that fires."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from datetime import datetime


class Upcoming:
    """Safe to share between threads. A paused schedule has a next instant too, but never comes up."""

    def __init__(self) -> None:
        self._next: dict[str, datetime] = {}
        self._paused: set[str] = set()
        self._heap: list[tuple[datetime, str]] = []
        self._lock = threading.Lock()

    def put(self, pipeline_id: str, instant: datetime | None, *, fires: bool = True) -> None:
        """The next open instant of this pipeline, instead of the one that was known; None when there is none."""
        with self._lock:
            self._paused.discard(pipeline_id)
            if instant is None:
                self._next.pop(pipeline_id, None)
                return
            self._next[pipeline_id] = instant
            if fires:
                heapq.heappush(self._heap, (instant, pipeline_id))
            else:
                self._paused.add(pipeline_id)

    def remove(self, pipeline_id: str) -> None:
        self.put(pipeline_id, None)

    def raise_again(self, pipeline_ids: Iterable[str]) -> None:
        """Let them come up again as they did, for not all of them were decided about."""
        with self._lock:
            for pipeline_id in pipeline_ids:
                if (instant := self._next.get(pipeline_id)) is not None:
                    heapq.heappush(self._heap, (instant, pipeline_id))

    def is_open(self, pipeline_id: str, until: datetime) -> bool:
        """Whether the pipeline has an instant up to `until` that nobody has decided about, as far as is known here."""
        instant = self._next.get(pipeline_id)
        return instant is not None and instant <= until

    def first(self) -> datetime | None:
        """The next instant of all."""
        with self._lock:
            self._drop_outdated()
            return self._heap[0][0] if self._heap else None

    def due(self, now: datetime) -> list[str]:
        """The pipelines whose instant has come, the longest overdue first. They come up again when they are put."""
        found = []
        with self._lock:
            self._drop_outdated()
            while self._heap and self._heap[0][0] <= now:
                found.append(heapq.heappop(self._heap)[1])
                self._drop_outdated()
        return list(dict.fromkeys(found))

    def __len__(self) -> int:
        return len(self._next)

    def _drop_outdated(self) -> None:
        while self._heap and not self._comes_up(*self._heap[0]):
            heapq.heappop(self._heap)

    def _comes_up(self, instant: datetime, pipeline_id: str) -> bool:
        return self._next.get(pipeline_id) == instant and pipeline_id not in self._paused
