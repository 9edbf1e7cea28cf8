"""The pipelines of a service, which go with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from minisched.domain.pipeline import Pipeline
from minisched.operations.pipelines import Pipelines
from minisched.ports import PipelineQuery, PipelineStore

_PAGE = 200


class ServicePipelines:
    """For whoever deletes services, or test suites."""

    def __init__(self, *, store: PipelineStore, pipelines: Pipelines) -> None:
        self._store = store
        self._pipelines = pipelines

    def exist(self, service_type: str, fqn: str, *, deleted: bool = False) -> bool:
        """Whether the service has a pipeline; with `deleted`, one that was deleted softly counts too."""
        include = "all" if deleted else "non-deleted"
        return next(self._of(service_type, fqn, include=include), None) is not None

    def delete(self, service_type: str, fqn: str, *, hard: bool, user: str) -> None:
        """Delete them as if one by one; those that are deleted softly already, too, for good.

        Raises InvalidInput and OrchestratorError for one that cannot be deleted; those before it are gone.
        """
        for pipeline in list(self._of(service_type, fqn, include="all" if hard else "non-deleted")):
            self._pipelines.delete(pipeline.id, hard=hard, force=False, user=user)

    def _of(self, service_type: str, fqn: str, *, include: str) -> Iterator[Pipeline]:
        query = PipelineQuery(service=fqn, service_type=service_type, include=include, limit=_PAGE)
        while True:
            page = self._store.page(query)
            for pipeline in page.pipelines:
                if (pipeline.document.get("service") or {}).get("fullyQualifiedName") == fqn:
                    yield pipeline
            if page.after is None:
                return
            query = replace(query, after=page.after)
