"""PipelineStatus: what workflows report, beside what the queue and our own runs know (contract §3.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minisched.domain.errors import NotFound, OrchestratorError, RunNotFound
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document, Pipeline
from minisched.domain.pipeline_status import corrected, is_active, newest_first, of_run
from minisched.domain.run import Run, RunState
from minisched.operations.editing import PipelineEditor
from minisched.operations.told import cleaned
from minisched.ports import Clock, PipelineServiceClient, PipelineStatusStore, RunQuery, RunStore

DEFAULT_LIMIT = 5
# How many runs of ours are read at once, and at most, for one range.
_RUNS_PER_PAGE = 200
_MOST_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A status that was put, and the row that it replaced."""

    pipeline: Pipeline
    old: Document | None
    new: Document
    at_ms: int


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Which statuses: `timestamp` from `start_ms` to `end_ms` inclusive, the newest `limit`. Nothing given: five."""

    start_ms: int | None = None
    end_ms: int | None = None
    limit: int | None = None

    @property
    def effective_limit(self) -> int | None:
        if self.limit is None and self.start_ms is None and self.end_ms is None:
            return DEFAULT_LIMIT
        return self.limit

    def holds(self, status: Document) -> bool:
        timestamp = status.get("timestamp") or 0
        return (self.start_ms or 0) <= timestamp and (self.end_ms is None or timestamp <= self.end_ms)


class Statuses:
    """Rows are kept as reported; what is listed is corrected by what we know of our own runs."""

    def __init__(
        self,
        *,
        editor: PipelineEditor,
        store: PipelineStatusStore,
        runs: RunStore,
        client: PipelineServiceClient,
        clock: Clock,
        queued_timeout_s: int = 3600,
    ) -> None:
        self._editor = editor
        self._store = store
        self._runs = runs
        self._client = client
        self._clock = clock
        self._queued_timeout_ms = queued_timeout_s * 1000

    def put(self, fqn: str, status: Document) -> StatusChange:
        """Insert or replace, as a whole, the row of `status["runId"]`, without the secrets that we know.

        Raises PipelineNotFound.
        """
        pipeline = self._editor.get_by_fqn(fqn, include="all")
        now = to_ms(self._clock.now())
        status = {**cleaned(status), "timestamp": status.get("timestamp") or status.get("startDate") or now}
        return StatusChange(pipeline, self._store.put(pipeline.fqn, status), status, now)

    def note_queued(self, pipeline: Pipeline, run_id: str) -> None:
        """Remember a run that is not in our run store, unless the orchestrator tells of it when it is asked."""
        if not self._is_told_of(pipeline, run_id):
            now = to_ms(self._clock.now())
            status = {"runId": run_id, "pipelineState": RunState.QUEUED.value, "startDate": now, "timestamp": now}
            self._store.put(pipeline.fqn, status)

    def _is_told_of(self, pipeline: Pipeline, run_id: str) -> bool:
        """Its workflow may report under another id (in Airflow, it does); a row of ours would then stay queued."""
        try:
            known = self._client.get_pipeline_status(pipeline.ref, only_queued=False)
        except (OrchestratorError, NotFound):
            return False
        return any(status.get("runId") == run_id for status in known)

    def get(self, fqn: str, run_id: str) -> Document | None:
        """The row as it was reported, or None.

        Workflows ask this before they report: a run of ours that has not reported yet has no row, or the workflow
        would take it for its own and end it (contract §7.2).
        """
        return self._store.get(self._editor.get_by_fqn(fqn, include="all").fqn, run_id)

    def search(self, fqn: str, wanted: StatusRange) -> list[Document]:
        """Newest first. Raises PipelineNotFound."""
        pipeline = self._editor.get_by_fqn(fqn, include="all")
        stored = self._store.search(
            pipeline.fqn, start_ms=wanted.start_ms, end_ms=wanted.end_ms, limit=wanted.effective_limit
        )
        return self._statuses_of(pipeline, wanted, stored, with_queue=True)

    def latest_of(self, pipelines: Sequence[Pipeline]) -> dict[str, list[Document]]:
        """The newest five of each pipeline, by FQN; the orchestrator is not asked."""
        stored = self._store.latest([pipeline.fqn for pipeline in pipelines], each=DEFAULT_LIMIT)
        wanted = StatusRange()
        return {
            pipeline.fqn: self._statuses_of(pipeline, wanted, stored.get(pipeline.fqn, []), with_queue=False)
            for pipeline in pipelines
        }

    def delete(self, pipeline_id: str, run_id: str | None = None) -> Pipeline:
        """One row, or all; absent afterwards. Raises PipelineNotFound."""
        pipeline = self._editor.get(pipeline_id, include="all")
        self._store.delete(pipeline.fqn, run_id)
        return pipeline

    # --- what is listed -----------------------------------------------------------------------------------------------

    def _statuses_of(
        self, pipeline: Pipeline, wanted: StatusRange, stored: Sequence[Document], *, with_queue: bool
    ) -> list[Document]:
        statuses = {str(status["runId"]): self._truth(status) for status in stored if not self._is_stale(status)}
        for run in self._own_runs(pipeline, wanted):
            known = statuses.get(run.id)
            statuses[run.id] = of_run(run) if known is None else corrected(known, run)
        for status in self._queued(pipeline) if with_queue else ():
            if wanted.holds(status):
                statuses.setdefault(str(status["runId"]), status)
        return newest_first(list(statuses.values()))[: wanted.effective_limit]

    def _truth(self, status: Document) -> Document:
        if not is_active(status) or (run := self._own_run(str(status["runId"]))) is None:
            return status
        return corrected(status, run)

    def _own_run(self, run_id: str) -> Run | None:
        try:
            return self._runs.get(run_id)
        except RunNotFound:
            return None

    def _is_stale(self, status: Document) -> bool:
        """A run that somebody queued long ago and nobody started: it is not shown (contract §3.11)."""
        age = to_ms(self._clock.now()) - (status.get("timestamp") or 0)
        return status.get("pipelineState") == RunState.QUEUED and age > self._queued_timeout_ms

    def _own_runs(self, pipeline: Pipeline, wanted: StatusRange) -> Iterator[Run]:
        limit = min(wanted.effective_limit or _MOST_RUNS, _MOST_RUNS)
        before = None if wanted.end_ms is None else wanted.end_ms + 1
        while limit > 0:
            page_size = min(limit, _RUNS_PER_PAGE)
            page = self._runs.search(RunQuery(pipeline_id=pipeline.id, limit=page_size, before_ms=before))
            yield from (run for run in page if wanted.holds(of_run(run)))
            if len(page) < page_size or not wanted.holds(of_run(page[-1])):
                return
            limit -= len(page)
            before = to_ms(page[-1].enqueued_at)

    def _queued(self, pipeline: Pipeline) -> list[Document]:
        """What the orchestrator has queued; nothing when it cannot say (contract §3.11)."""
        try:
            queued = self._client.get_pipeline_status(pipeline.ref, only_queued=True)
        except (OrchestratorError, NotFound):
            return []
        return [{key: value for key, value in status.items() if value is not None} for status in queued]
