"""The log of a pipeline's latest run, as OpenMetadata's log viewer reads it (contract §3.12)."""

from __future__ import annotations

from collections.abc import Iterator

from minisched.domain.errors import OrchestratorError, PipelineNotFound, RunNotFound
from minisched.domain.pipeline import Pipeline
from minisched.operations.editing import PipelineEditor, is_uuid, not_deployed
from minisched.ports import LogPage, PipelineMover, PipelineServiceClient, RunQuery, RunStore


class PipelineLogs:
    """Pages come from the orchestrator, whichever it is."""

    def __init__(
        self, *, editor: PipelineEditor, client: PipelineServiceClient, mover: PipelineMover, runs: RunStore
    ) -> None:
        self._editor = editor
        self._client = client
        self._mover = mover
        self._runs = runs

    def last_page(self, id_or_fqn: str, after: int | None, *, run_id: str | None = None) -> LogPage:
        """Page `after` (0 is the first) of the latest run's log, or of another run's of this pipeline.

        Raises PipelineNotFound, RunNotFound (also when it never ran), OrchestratorError.
        """
        pipeline = self._editor.find(id_or_fqn, include="all")
        if run_id is not None:
            self._require_run_of(pipeline, run_id)
        return self._page(pipeline, after, run_id)

    def last_whole(self, id_or_fqn: str) -> tuple[Pipeline, Iterator[str]]:
        """The pipeline, and the whole log of the run that is the latest now, page by page.

        The first page is read before this returns, so that errors come in time; a later one ends the log early.
        """
        pipeline = self._editor.find(id_or_fqn, include="all")
        run_id = self._latest_run(pipeline)
        return pipeline, self._pages(pipeline, self._page(pipeline, None, run_id), run_id)

    def _pages(self, pipeline: Pipeline, page: LogPage, run_id: str | None) -> Iterator[str]:
        yield page.text
        while page.after is not None:
            try:
                page = self._page(pipeline, page.after, run_id)
            except OrchestratorError:
                return
            yield page.text

    def _page(self, pipeline: Pipeline, after: int | None, run_id: str | None) -> LogPage:
        try:
            return self._client.get_last_ingestion_logs(pipeline.ref, after, run_id)
        except PipelineNotFound as error:
            raise not_deployed(pipeline) from error

    def _require_run_of(self, pipeline: Pipeline, run_id: str) -> None:
        if not is_uuid(run_id) or self._runs.get(run_id).pipeline_id != pipeline.id:
            raise RunNotFound(f"Pipeline {pipeline.fqn} has no run {run_id[:100]}")

    def _latest_run(self, pipeline: Pipeline) -> str | None:
        """Pins the run while its pages are read; None when its runs are not ours, as they may have been."""
        if self._mover.where(pipeline.ref) != "local":
            return None
        latest = self._runs.search(RunQuery(pipeline_id=pipeline.id, limit=1))
        return latest[0].id if latest else None
