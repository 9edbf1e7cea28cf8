"""How far runs are: what workflows tell while they run, kept in memory for whoever watches (contract §3.1, §7.1).

Nothing of it is durable: the next update is half a minute away, and what remains of a run is its status. A run of ours
that ended without its workflow's last word gets one from us, so that nobody watches a bar that will never move again.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from minisched.domain.errors import InvalidInput, NotFound, RunNotFound
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document, Pipeline
from minisched.domain.progress import DISCOVERY, OperationTotals, final_update, is_final
from minisched.domain.run import Run
from minisched.operations.editing import PipelineEditor, is_uuid
from minisched.operations.told import cleaned
from minisched.ports import Clock, RunStore

MOST_RUNS = 1_000
MOST_BYTES = 32 * 1024 * 1024
LARGEST_UPDATE = 64 * 1024
# A watcher that looks a few times each second misses nothing of a run that tells this much in between.
_KEPT_UPDATES = 16


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One update of one run; `number` grows with each update of any run."""

    number: int
    pipeline_id: str
    pipeline_fqn: str
    update: Document

    @property
    def is_final(self) -> bool:
        return is_final(self.update)

    @property
    def is_discovery(self) -> bool:
        return self.update.get("updateType") == DISCOVERY


@dataclass(frozen=True, slots=True)
class Watched:
    """What somebody watches: one run, or every run of a service."""

    run_id: str | None = None
    service_fqn: str | None = None
    service_type: str | None = None

    def holds(self, tracked: _Tracked) -> bool:
        if self.run_id is not None:
            return tracked.run_id == self.run_id
        return (tracked.service_type, tracked.service_fqn) == (self.service_type, self.service_fqn)


@dataclass(slots=True)
class _Tracked:
    run_id: str
    pipeline_id: str
    pipeline_fqn: str
    service_fqn: str
    service_type: str
    events: deque[tuple[ProgressEvent, int]] = field(default_factory=lambda: deque(maxlen=_KEPT_UPDATES))
    totals: OperationTotals | None = None

    @property
    def latest(self) -> ProgressEvent | None:
        return self.events[-1][0] if self.events else None

    @property
    def ended(self) -> bool:
        return self.latest is not None and self.latest.is_final

    @property
    def size(self) -> int:
        return sum(size for _, size in self.events)


class Progress:
    """Thread-safe. Bounded by the number of runs and by bytes: the run that was heard of longest ago goes first."""

    def __init__(self, *, editor: PipelineEditor, runs: RunStore, clock: Clock) -> None:
        self._editor = editor
        self._runs = runs
        self._clock = clock
        self._guard = threading.Lock()
        self._tracked: OrderedDict[tuple[str, str], _Tracked] = OrderedDict()
        self._number = 0
        self._bytes = 0

    def put(self, fqn: str, run_id: str, update: Document) -> None:
        """Take an update of a run. What comes late, after the last word, is dropped.

        Raises PipelineNotFound, NotFound when `run_id` is not a UUID, InvalidInput for a huge update.
        """
        size = len(json.dumps(update))
        if size > LARGEST_UPDATE:
            raise InvalidInput(f"is larger than {LARGEST_UPDATE} bytes", field="progress")
        pipeline = self._pipeline(fqn, run_id)
        self._note(pipeline, run_id.lower(), {**cleaned(update), "runId": run_id.lower()}, size)

    def add_metrics(self, fqn: str, run_id: str, metrics: Iterable[Document]) -> None:
        """Add to what the operations of a run cost so far. Raises PipelineNotFound, NotFound as `put` does."""
        pipeline = self._pipeline(fqn, run_id)
        with self._guard:
            tracked = self._of(pipeline, run_id.lower())
            tracked.totals = tracked.totals or OperationTotals()
            tracked.totals.add({**metric, **_kind(metric)} for metric in metrics)

    def latest(self, fqn: str, run_id: str) -> Document | None:
        """The newest update of a run, or None. Raises PipelineNotFound, NotFound as `put` does."""
        self._pipeline(fqn, run_id)
        self.settle(Watched(run_id=run_id.lower()))
        with self._guard:
            events = [tracked.latest for tracked in self._tracked.values() if tracked.run_id == run_id.lower()]
        return events[-1].update if events and events[-1] else None

    def metrics_of(self, run_id: str) -> Document | None:
        """OperationMetricsAggregation of a run; None when it told nothing, or too long ago."""
        now = to_ms(self._clock.now())
        with self._guard:
            for tracked in self._tracked.values():
                if tracked.run_id == run_id and tracked.totals is not None:
                    return tracked.totals.document(run_id, now)
        return None

    # --- for those who watch ------------------------------------------------------------------------------------------

    def require_run(self, fqn: str, run_id: str) -> Watched:
        """What to watch for one run, known yet or not. Raises PipelineNotFound, NotFound as `put` does."""
        pipeline = self._pipeline(fqn, run_id)
        if (run := self._own_run(run_id.lower())) is not None and run.pipeline_id != pipeline.id:
            raise RunNotFound(f"Pipeline {pipeline.fqn} has no run {run_id}")
        return Watched(run_id=run_id.lower())

    def now(self, watched: Watched) -> tuple[int, list[ProgressEvent]]:
        """The number to continue from with `since`, and the newest update of each run that goes on.

        Of a single run also when it has ended.
        """
        with self._guard:
            found = [
                tracked.latest
                for tracked in self._tracked.values()
                if watched.holds(tracked) and (watched.run_id is not None or not tracked.ended)
            ]
            return self._number, [event for event in found if event is not None]

    def since(self, number: int, watched: Watched) -> tuple[int, list[ProgressEvent]]:
        """As `now`: what was told after `number`, in the order in which it was told."""
        with self._guard:
            if number == self._number:
                return number, []
            found = [
                event
                for tracked in self._tracked.values()
                if watched.holds(tracked)
                for event, _ in tracked.events
                if event.number > number
            ]
            return self._number, sorted(found, key=lambda event: event.number)

    def settle(self, watched: Watched) -> None:
        """Say the last word for runs of ours that ended without it; asks the run store for each that goes on."""
        with self._guard:
            held = [tracked for tracked in self._tracked.values() if watched.holds(tracked)]
            going_on = [tracked.run_id for tracked in held if not tracked.ended]
        if watched.run_id is not None and not held:
            going_on = [watched.run_id]
        for run_id in going_on:
            run = self._own_run(run_id)
            if run is not None and run.is_terminal:
                self._say_last_word(run)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _pipeline(self, fqn: str, run_id: str) -> Pipeline:
        pipeline = self._editor.get_by_fqn(fqn)
        if not is_uuid(run_id):
            raise NotFound(f"run instance for {run_id[:100]} not found")
        return pipeline

    def _own_run(self, run_id: str) -> Run | None:
        try:
            return self._runs.get(run_id)
        except RunNotFound:
            return None

    def _say_last_word(self, run: Run) -> None:
        try:
            pipeline = self._editor.get(run.pipeline_id, include="all")
        except NotFound:
            return
        update = final_update(run)
        self._note(pipeline, run.id, update, len(json.dumps(update)))

    def _note(self, pipeline: Pipeline, run_id: str, update: Document, size: int) -> None:
        with self._guard:
            tracked = self._of(pipeline, run_id)
            if tracked.ended and update.get("updateType") != DISCOVERY:
                return
            self._number += 1
            before = tracked.size
            tracked.events.append((ProgressEvent(self._number, pipeline.id, pipeline.fqn, update), size))
            self._bytes += tracked.size - before
            self._make_room()

    def _of(self, pipeline: Pipeline, run_id: str) -> _Tracked:
        """The guard is held."""
        key = (pipeline.id, run_id)
        if key not in self._tracked:
            service = pipeline.document.get("service") or {}
            self._tracked[key] = _Tracked(
                run_id,
                pipeline.id,
                pipeline.fqn,
                service_fqn=str(service.get("fullyQualifiedName") or ""),
                service_type=str(service.get("type") or ""),
            )
            self._make_room()
        self._tracked.move_to_end(key)
        return self._tracked[key]

    def _make_room(self) -> None:
        while len(self._tracked) > MOST_RUNS or (self._bytes > MOST_BYTES and len(self._tracked) > 1):
            _, oldest = self._tracked.popitem(last=False)
            self._bytes -= oldest.size


def _kind(metric: Document) -> Document:
    """What of an operation is shown."""
    return {field: cleaned(metric[field]) for field in ("category", "operation", "entityType") if field in metric}
