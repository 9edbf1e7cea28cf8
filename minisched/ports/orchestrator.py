"""The orchestrator as OpenMetadata sees one: what can be asked of it, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from minisched.domain.client_rules import ClientName
from minisched.domain.pipeline import Document, PipelineRef
from minisched.domain.placement import Placement


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


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a pipeline is after a move, and what its new orchestrator does otherwise than asked (`notes`).

    `unfinished` says why the old one may still have it, disabled; that is tried again until it has forgotten it.
    """

    placement: Placement
    notes: tuple[str, ...] = ()
    unfinished: str | None = None


class PipelineMover(Protocol):
    """Moves pipelines between the orchestrators of this node.

    At no time do both fire its schedule; whenever the process dies, the next `settle` leaves it in exactly one of them,
    enabled as it was.
    """

    def where(self, pipeline: PipelineRef) -> ClientName:
        """Where it is, or would be looked for when nobody has deployed it."""

    def placement(self, pipeline: PipelineRef) -> Placement | None:
        """None when it was deployed nowhere, or before there was a choice."""

    def check(self, pipeline: PipelineRef, to: ClientName, *, force: bool = False) -> None:
        """Raises what a move would be refused for, and changes nothing: RunsActive unless it is by `force`,
        OrchestratorRejected when there is no such orchestrator, OrchestratorUnavailable when it is not well."""

    def move(
        self, pipeline: PipelineRef, to: ClientName, *, document: Document | None = None, force: bool = False
    ) -> Moved:
        """Deploy it there as it is deployed now, see that it is known there, place it there, and have it forgotten
        where it was. Without a `document`, what was deployed last is used. By `force` active runs are ended.

        Raises as `check` and `deploy_pipeline` do, and PipelineNotFound; then it is where it was.
        """

    def unfinished(self) -> list[Placement]:
        """Pipelines of which two orchestrators may know."""

    def settle(self, pipeline: PipelineRef) -> None:
        """End a move that was cut off: forward when it was placed already, else back. Raises OrchestratorError."""
