"""What OpenMetadata's answers look like, for the description at /schema; those that are ours are in `own_answers`.

Keys without a value are left out of answers, but for those that a model here requires. Newer fields may be added.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from minisched.api.schemas import LoggerLevel, PipelineState, PipelineType, Provider

JsonObject = dict[str, Any]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Milliseconds = Annotated[int, Field(description="Epoch milliseconds.")]


class ErrorAnswer(BaseModel):
    """What went wrong. `code` is the HTTP status."""

    code: int
    message: str
    errorType: str | None = None  # noqa: N815  OpenMetadata's names, here and below


class LogErrorAnswer(BaseModel):
    """What went wrong, as the log routes say it; `code` is there when the request was refused before it was read."""

    message: str
    code: int | None = None


class ReferenceAnswer(BaseModel):
    """Points to another entity."""

    id: Uuid
    type: str
    name: str | None = None
    fullyQualifiedName: str | None = None  # noqa: N815
    displayName: str | None = None  # noqa: N815
    description: str | None = None
    deleted: bool | None = None
    inherited: bool | None = None
    href: str | None = None


class AirflowConfigAnswer(BaseModel):
    """Schedule and limits, with their defaults. Durations are seconds."""

    pausePipeline: bool  # noqa: N815
    concurrency: int
    pipelineTimezone: str  # noqa: N815
    retries: int
    retryDelay: int  # noqa: N815
    pipelineCatchup: bool  # noqa: N815
    maxActiveRuns: int  # noqa: N815
    workflowDefaultView: str  # noqa: N815
    workflowDefaultViewOrientation: str  # noqa: N815
    scheduleInterval: str | None = None  # noqa: N815
    startDate: str | None = None  # noqa: N815
    endDate: str | None = None  # noqa: N815
    workflowTimeout: int | None = None  # noqa: N815
    email: str | None = None


class SourceConfigAnswer(BaseModel):
    """What the workflow does; secrets are `*********`."""

    config: JsonObject


class FieldChangeAnswer(BaseModel):
    """A field that changed; documents and lists are JSON texts."""

    name: str
    oldValue: Any = None  # noqa: N815
    newValue: Any = None  # noqa: N815


class ChangeDescriptionAnswer(BaseModel):
    """What changed since another version."""

    fieldsAdded: list[FieldChangeAnswer]  # noqa: N815
    fieldsUpdated: list[FieldChangeAnswer]  # noqa: N815
    fieldsDeleted: list[FieldChangeAnswer]  # noqa: N815
    previousVersion: float  # noqa: N815


class StepAnswer(BaseModel):
    """Counters of one step of a workflow."""

    name: str
    records: int | None = None
    updated_records: int | None = None
    warnings: int | None = None
    errors: int | None = None
    filtered: int | None = None
    failures: list[JsonObject] | None = None


class StatusAnswer(BaseModel):
    """How a run fares or ended."""

    runId: str  # noqa: N815
    pipelineState: PipelineState  # noqa: N815
    startDate: Milliseconds | None = None  # noqa: N815
    timestamp: Milliseconds | None = None
    endDate: Milliseconds | None = None  # noqa: N815
    status: list[StepAnswer] | None = None
    config: JsonObject | None = None
    metadata: JsonObject | None = None


class PipelineAnswer(BaseModel):
    """An ingestion pipeline."""

    id: Uuid
    name: str
    fullyQualifiedName: str  # noqa: N815
    pipelineType: PipelineType  # noqa: N815
    service: ReferenceAnswer
    sourceConfig: SourceConfigAnswer  # noqa: N815
    airflowConfig: AirflowConfigAnswer  # noqa: N815
    loggerLevel: LoggerLevel  # noqa: N815
    raiseOnError: bool  # noqa: N815
    provider: Provider
    enableStreamableLogs: bool  # noqa: N815
    deployed: bool
    enabled: bool
    deleted: bool
    version: float
    updatedAt: Milliseconds  # noqa: N815
    updatedBy: str  # noqa: N815
    href: str
    displayName: str | None = None  # noqa: N815
    description: str | None = None
    applicationType: str | None = None  # noqa: N815
    processingEngine: ReferenceAnswer | None = None  # noqa: N815
    owners: list[ReferenceAnswer] | None = None
    domains: list[ReferenceAnswer] | None = None
    followers: list[ReferenceAnswer] | None = None
    pipelineStatuses: list[StatusAnswer] | None = None  # noqa: N815
    changeDescription: ChangeDescriptionAnswer | None = None  # noqa: N815
    incrementalChangeDescription: ChangeDescriptionAnswer | None = None  # noqa: N815


class PagingAnswer(BaseModel):
    """How many there are in all, and cursors to the neighbours of a page."""

    total: int
    before: str | None = None
    after: str | None = None


class PipelinesAnswer(BaseModel):
    """A page of pipelines."""

    data: list[PipelineAnswer]
    paging: PagingAnswer


class VersionsAnswer(BaseModel):
    """Versions of an entity, newest first, each a JSON text."""

    entityType: Literal["ingestionPipeline"]  # noqa: N815
    versions: list[str]


class StatusesAnswer(BaseModel):
    """Statuses of runs, newest first."""

    data: list[StatusAnswer]
    paging: PagingAnswer


class ClientAnswer(BaseModel):
    """What the orchestrator said: 200 is good."""

    code: int
    platform: str
    reason: str | None = None
    version: str | None = None
    runId: Uuid | None = None  # noqa: N815


class EventAnswer(BaseModel):
    """A ChangeEvent."""

    id: Uuid
    eventType: Literal["entityUpdated", "entityFieldsChanged"]  # noqa: N815
    entityType: Literal["ingestionPipeline"]  # noqa: N815
    entityId: Uuid  # noqa: N815
    entityFullyQualifiedName: str  # noqa: N815
    previousVersion: float  # noqa: N815
    currentVersion: float  # noqa: N815
    userName: str  # noqa: N815
    timestamp: Milliseconds
    changeDescription: ChangeDescriptionAnswer  # noqa: N815
    incrementalChangeDescription: ChangeDescriptionAnswer  # noqa: N815
    entity: PipelineAnswer


class JobAnswer(BaseModel):
    """Something that is done after the answer."""

    jobId: Uuid  # noqa: N815
    message: str
    entityName: str  # noqa: N815
    hardDelete: bool | None = None  # noqa: N815
    recursive: bool | None = None


class HostIpAnswer(BaseModel):
    """The address, or a sentence that says why it is not known."""

    ip: str


class LastLogAnswer(RootModel[dict[str, str]]):
    """The text under the task's name, `total`, and `after` unless this is the last page; all are strings."""


class LogPieceAnswer(BaseModel):
    """A piece of a log; `after` leads to the next one. `total` counts bytes."""

    logs: str
    total: int
    after: str | None = None


class RunsWithLogsAnswer(BaseModel):
    """Runs that have a log, newest first."""

    runs: list[Uuid]


class MessageAnswer(BaseModel):
    """What was done."""

    message: str


class ProgressAnswer(BaseModel):
    """How far a run is."""

    runId: str  # noqa: N815
    timestamp: Milliseconds
    updateType: Literal["DISCOVERY", "PROCESSING", "STEP_COMPLETE", "PIPELINE_COMPLETE", "ERROR"]  # noqa: N815
    stepName: str | None = None  # noqa: N815
    progress: JsonObject | None = None
    globalCounters: list[JsonObject] | None = None  # noqa: N815
    estimatedSecondsRemaining: int | None = None  # noqa: N815
    totalAssetsIngested: int | None = None  # noqa: N815
    currentEntity: str | None = None  # noqa: N815
    message: str | None = None


ANSWERS: tuple[type[BaseModel], ...] = (
    ErrorAnswer,
    LogErrorAnswer,
    PipelineAnswer,
    PipelinesAnswer,
    VersionsAnswer,
    StatusAnswer,
    StatusesAnswer,
    ClientAnswer,
    EventAnswer,
    JobAnswer,
    HostIpAnswer,
    LastLogAnswer,
    LogPieceAnswer,
    RunsWithLogsAnswer,
    MessageAnswer,
    ProgressAnswer,
)
