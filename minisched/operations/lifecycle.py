"""What is done with a pipeline besides editing it: deploy, trigger, toggle, kill (contract §3.8-§3.10, §3.15)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import structlog

from minisched.domain import entity
from minisched.domain.errors import MinischedError, OrchestratorError, OrchestratorRejected, PipelineNotFound
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.editing import DeploymentFailed, PipelineEditor, not_deployed
from minisched.operations.statuses import Statuses
from minisched.ports import ClientResponse, PipelineServiceClient, RunOptions

_log = structlog.get_logger(__name__)


class Lifecycle:
    """Asks the orchestrator, and keeps the entity's `deployed` and `enabled` in step with its answer."""

    def __init__(self, *, editor: PipelineEditor, client: PipelineServiceClient, statuses: Statuses) -> None:
        self._editor = editor
        self._client = client
        self._statuses = statuses

    def deploy(self, pipeline_id: str, *, user: str) -> ClientResponse:
        """Triggerable and durable when it returns with code 200. Raises PipelineNotFound and what the client raises."""
        return self._editor.deploy(pipeline_id, user=user)

    def deploy_many(self, pipeline_ids: Sequence[str], *, user: str) -> list[ClientResponse]:
        """One answer per id, in order; one that cannot be deployed has code 500 and stops nothing."""
        return [self._deploy_or_tell(pipeline_id, user) for pipeline_id in pipeline_ids]

    def _deploy_or_tell(self, pipeline_id: str, user: str) -> ClientResponse:
        try:
            return self._editor.deploy(pipeline_id, user=user)
        except MinischedError as error:
            reason = f"Error deploying [{pipeline_id}] due to [{error}]"
            return ClientResponse(500, reason, self._client.platform)

    def trigger(self, pipeline_id: str, options: RunOptions) -> ClientResponse:
        """Queue a run, also of a disabled pipeline. Raises PipelineNotFound, OrchestratorRejected when not deployed."""
        pipeline = self._editor.get(pipeline_id)
        try:
            response = self._client.run_pipeline(pipeline.ref, options)
        except PipelineNotFound as error:
            raise not_deployed(pipeline) from error
        if response.run_id is not None and not response.recorded:
            self._note_queued(pipeline, response.run_id)
        return response

    def _note_queued(self, pipeline: Pipeline, run_id: str) -> None:
        try:
            self._statuses.note_queued(pipeline, run_id)
        except MinischedError as error:  # the run is queued all the same
            _log.warning("pipeline_status.not_noted", pipeline=pipeline.fqn, run_id=run_id, error=str(error))

    def toggle(self, pipeline_id: str, *, user: str) -> Pipeline:
        """Enable what is disabled and the reverse; what the orchestrator does not know becomes `deployed: false`.

        Raises PipelineNotFound, OrchestratorError, DeploymentFailed; then nothing changed.
        """
        with self._editor.alone(pipeline_id):
            stored = self._editor.get(pipeline_id)
            response = self._client.toggle_ingestion(stored.ref, enabled=not stored.enabled)
            if response.code not in (200, 404):
                raise OrchestratorRejected(response.reason or "Failed to toggle ingestion pipeline state")
            try:
                return self._editor.save(stored, _toggled(stored, response), user=user).pipeline
            except DeploymentFailed:
                with suppress(MinischedError):
                    self._client.toggle_ingestion(stored.ref, enabled=stored.enabled)
                raise

    def kill(self, pipeline_id: str, *, user: str, run_id: str | None = None) -> ClientResponse:
        """End all queued and running runs, or one; none of their processes is left when it returns.

        Raises PipelineNotFound, OrchestratorRejected when there is nothing to end.
        """
        pipeline = self._editor.get(pipeline_id, include="all")
        try:
            response = self._client.kill_ingestion(pipeline.ref, run_id=run_id, by=user)
        except PipelineNotFound as error:
            raise not_deployed(pipeline) from error
        if response.code != 200:
            raise OrchestratorRejected(response.reason or f"Failed to kill running workflows of {pipeline.fqn}")
        return response

    def service_status(self) -> ClientResponse:
        return self._client.get_service_status()

    def host_ip(self) -> str:
        """The address, or a sentence that says why it is not known."""
        try:
            return self._client.request_get_host_ip()
        except OrchestratorError as error:
            return f"Failed to find the IP of the ingestion host: {error}"


def _toggled(stored: Pipeline, response: ClientResponse) -> Document:
    if response.code == 404:
        return entity.deployed(stored.document, is_deployed=False)
    return entity.enabled(stored.document, is_enabled=not stored.enabled)
