"""Runs for one table or one test case: the pipeline that owns it, narrowed to it for one run (contract §3.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from minisched.domain import scoped_run
from minisched.domain.errors import PipelineNotFound
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.lifecycle import Lifecycle
from minisched.ports import ClientResponse, EntityDirectory, PipelineQuery, PipelineStore, RunOptions

_PAGE = 200


class EntityRuns:
    """Nothing of it is stored: the pipeline stays as it is."""

    def __init__(self, *, store: PipelineStore, directory: EntityDirectory, lifecycle: Lifecycle) -> None:
        self._store = store
        self._directory = directory
        self._lifecycle = lifecycle

    def run(self, entity_link: str, pipeline_type: str, *, user: str) -> ClientResponse:
        """Queue a run of the enabled and deployed pipeline with the lowest id that owns the entity.

        Raises InvalidInput for what cannot be run for one entity, EntityNotFound, PipelineNotFound when none owns it.
        """
        link = scoped_run.scope(entity_link, pipeline_type)
        if link.entity_type == scoped_run.TABLE:
            table = self._directory.resolve_by_name("table", link.fqn).fully_qualified_name
            query = PipelineQuery(service=scoped_run.table_ancestors(table)[0], service_type="databaseService")
            owner, override = query.service, scoped_run.table_override(table, pipeline_type)
        else:
            case = self._directory.resolve_by_name("testCase", link.fqn, fields=["testSuite"])
            owner = str((case.extra.get("testSuite") or {}).get("fullyQualifiedName") or "")
            query, override = PipelineQuery(test_suite=owner), scoped_run.test_case_override(case.name)
        pipeline = self._runnable(query, str(owner), pipeline_type, link.fqn)
        scoped_run.refuse_incremental(pipeline)
        return self._trigger(pipeline, override, user)

    def _runnable(self, query: PipelineQuery, owner: str, pipeline_type: str, target: str) -> Pipeline:
        query = replace(query, pipeline_types=(pipeline_type,), limit=_PAGE)
        owning = (pipeline for pipeline in self._all(query) if _service(pipeline) == owner)
        runnable = [pipeline for pipeline in owning if pipeline.enabled and pipeline.deployed]
        if not owner or not runnable:
            raise PipelineNotFound(
                f"'{target[:512]}' has no enabled, deployed {pipeline_type} ingestion pipeline to run."
            )
        return min(runnable, key=lambda pipeline: pipeline.id)

    def _all(self, query: PipelineQuery) -> Iterator[Pipeline]:
        while True:
            page = self._store.page(query)
            yield from page.pipelines
            if page.after is None:
                return
            query = replace(query, after=page.after)

    def _trigger(self, pipeline: Pipeline, override: Document, user: str) -> ClientResponse:
        options = RunOptions(source_config_override=override, requested_by=user)
        return self._lifecycle.trigger(pipeline.id, options)


def _service(pipeline: Pipeline) -> str:
    return str((pipeline.document.get("service") or {}).get("fullyQualifiedName"))
