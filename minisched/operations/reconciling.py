"""After a crash between two writes: what people see of a pipeline and what the orchestrator does become one again.

The request was never answered, so either half of it may win. Whether a pipeline is deployed is what the orchestrator
says; everything else is what the entity says.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from minisched.domain import entity
from minisched.domain.errors import MinischedError, NotFound
from minisched.domain.pipeline import Deployment, Document, Pipeline
from minisched.operations.editing import PipelineEditor
from minisched.ports import DeploymentStore, PipelineMover, PipelineQuery, PipelineServiceClient, PipelineStore

_log = structlog.get_logger(__name__)

_PAGE = 500
_USER = "minisched"


class Reconciliation:
    """For pipelines of this machine, whose deployments are in `deployments`; what others have is left alone."""

    def __init__(
        self,
        *,
        editor: PipelineEditor,
        pipelines: PipelineStore,
        deployments: DeploymentStore,
        client: PipelineServiceClient,
        mover: PipelineMover,
    ) -> None:
        self._editor = editor
        self._pipelines = pipelines
        self._deployments = deployments
        self._client = client
        self._mover = mover

    def reconcile(self) -> int:
        """Look at every pipeline; how many were mended. One that cannot be stays as it is. Raises StoreUnavailable."""
        return sum(self._mend(pipeline_id) for pipeline_id in self._doubtful())

    def _doubtful(self) -> Iterator[str]:
        query = PipelineQuery(include="all", limit=_PAGE)
        while True:
            page = self._pipelines.page(query)
            for pipeline in page.pipelines:
                if self._is_here(pipeline) and _disagree(pipeline, self._deployments.get(pipeline.id)):
                    yield pipeline.id
            if page.after is None:
                return
            query = PipelineQuery(include="all", limit=_PAGE, after=page.after)

    def _is_here(self, pipeline: Pipeline) -> bool:
        return self._mover.where(pipeline.ref) == "local"

    def _mend(self, pipeline_id: str) -> bool:
        with self._editor.alone(pipeline_id):
            try:
                stored = self._pipelines.get(pipeline_id)
                deployment = self._deployments.get(pipeline_id)
                # Somebody may have changed it since we looked.
                if not (self._is_here(stored) and _disagree(stored, deployment)):
                    return False
                self._agree(stored, deployment)
            except NotFound:
                return False
            except MinischedError as error:
                _log.warning("pipeline.not_reconciled", pipeline_id=pipeline_id, error=str(error))
                return False
        _log.info("pipeline.reconciled", pipeline=stored.fqn)
        return True

    def _agree(self, stored: Pipeline, deployment: Deployment | None) -> None:
        document: Document = entity.deployed(stored.document, is_deployed=deployment is not None)
        saved = self._editor.save(stored, document, user=_USER).pipeline
        if _disagree(saved, deployment):
            self._client.deploy_pipeline(saved.document)


def _disagree(pipeline: Pipeline, deployment: Deployment | None) -> bool:
    if deployment is None or not pipeline.deployed:
        return pipeline.deployed != (deployment is not None)
    return deployment.enabled != pipeline.enabled or entity.needs_deploy(deployment.document, pipeline.document)
