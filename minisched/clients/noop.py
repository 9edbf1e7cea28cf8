"""No orchestrator: for a node that only keeps entities. Refuses to act, in words, rather than pretending."""

from __future__ import annotations

from typing import NoReturn

from minisched.domain.errors import OrchestratorRejected
from minisched.domain.pipeline import Document, PipelineRef
from minisched.ports import ClientResponse, LogPage, RunOptions


class NoopClient:
    """Implements `ports.PipelineServiceClient`: status is healthy and disabled, every action is refused."""

    platform = "disabled"

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        return ClientResponse(200, "Pipeline Client Disabled", self.platform, version="disabled")

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        self._refuse("run_automation")

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        self._refuse("deploy_pipeline")

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        self._refuse("run_pipeline")

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        """Nothing was ever deployed, so it is absent already."""
        return ClientResponse(200, "Nothing to delete", self.platform)

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        self._refuse("toggle_ingestion")

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        return []

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        self._refuse("get_last_ingestion_logs")

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        self._refuse("kill_ingestion")

    def request_get_host_ip(self) -> str:
        self._refuse("request_get_host_ip")

    def _refuse(self, method: str) -> NoReturn:
        raise OrchestratorRejected(
            f"No orchestrator is configured, so {method} cannot be done.", hint="Set client: local in the settings."
        )
