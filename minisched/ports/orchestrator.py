"""The orchestrator as OpenMetadata sees one: what can be asked of it, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from minisched.domain.pipeline import Document, PipelineRef


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """OpenMetadata's PipelineServiceClientResponse (contract §2.2): `code` 200 is good, `reason` a text for people.

    `notes` are sentences about what was done, but not quite as the caller may think; `reason` has them too. A run with
    `run_id` that is `recorded` is in our own run store.
    """

    code: int
    reason: str | None = None
    platform: str = "local"
    version: str | None = None
    run_id: str | None = None
    recorded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a trigger may change for one run (contract §2.1): shallow merges over appConfig and sourceConfig.config.

    `run_id` is a UUID chosen by the caller, else one is minted.
    `idempotency_key` makes a repeated trigger answer with the run that the first one made.
    """

    app_config_override: Document | None = None
    source_config_override: Document | None = None
    run_id: str | None = None
    requested_by: str = "admin"
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page of a run's log: whole UTF-8 characters, the page count, and the next page's index if there is one.

    Pages are immutable but for the last, which may grow while the run goes on.
    """

    task_id: str
    text: str
    total: int
    after: int | None


class PipelineServiceClient(Protocol):
    """OpenMetadata's interface to an orchestrator (contract §2.1, design D11).

    Every method raises `OrchestratorUnavailable` or `OrchestratorRejected` when the orchestrator cannot or will not,
    `PipelineNotFound` when it does not know the pipeline, `RuntimeNotFound` when there is no such runtime. A `runtime`
    is the name of the ingestion environment that the caller belongs to; None leaves the choice to the settings.
    """

    platform: str

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        """Healthy: code 200 and the version of the ingestion package; else code 500 with the reason. Never raises."""

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        """Run an automation (test connection, …); its outcome goes to OpenMetadata, not into the answer."""

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        """Know this pipeline from now on: an idempotent upsert by id that keeps the paused state of `enabled`.

        A document without `enabled` leaves it as it is. With `keep_toggled`, so does one whose `enabled` is that of the
        last deployed document: `toggle_ingestion` counts, as with callers that toggle first and tell the entity later.

        Durable and triggerable when it returns, and judged by the models of the runtime that will run it, if that can
        be done at once; `notes` name what its runs leave out. Raises InvalidPipelineConfig with a line per problem,
        InvalidSchedule, NameCollision.
        """

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        """Queue one run now, enabled or not; the answer's `run_id` names it."""

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        """Stop its runs and forget the pipeline. Idempotent: code 200 also when it was not known."""

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        """Let the schedule fire or not; running runs go on. Code 404 when not deployed."""

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        """PipelineStatus objects (contract §4.3), newest first, at most 10."""

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        """A page of the log of the latest run, or of the given one. Raises RunNotFound."""

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        """End all queued and running runs, or one. Code 404 when there is nothing to end.

        Returns when the runs are terminal, hence when none of their processes is left (D5).
        """

    def request_get_host_ip(self) -> str:
        """The address from which workflows connect to the sources."""
