"""What answers look like, for the description at /schema: OpenMetadata's entities first, then what is ours.

Keys without a value are left out of answers, but for those that a model here requires. Newer fields may be added.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

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


# --- ours -------------------------------------------------------------------------------------------------------------


class WaitingAnswer(BaseModel):
    """The place of a queued run, from 1, and why it does not run yet."""

    position: int
    reason: Literal["next", "slots", "pipeline_limit", "service_limit", "runtime", "not_before", "draining"]
    text: str
    until: Milliseconds | None = None


class RunAnswer(BaseModel):
    """A run as minisched sees it."""

    id: Uuid
    pipelineId: str  # noqa: N815
    pipelineFqn: str  # noqa: N815
    pipelineName: str  # noqa: N815
    pipelineType: str  # noqa: N815
    service: str
    kind: str
    state: PipelineState
    attempt: int
    requestedBy: str  # noqa: N815
    enqueuedAt: Milliseconds  # noqa: N815
    reason: str | None = None
    message: str | None = None
    hint: str | None = None
    retryOf: str | None = None  # noqa: N815
    runtime: str | None = None
    scheduledFor: Milliseconds | None = None  # noqa: N815
    notBefore: Milliseconds | None = None  # noqa: N815
    waiting: WaitingAnswer | None = None
    startedAt: Milliseconds | None = None  # noqa: N815
    endedAt: Milliseconds | None = None  # noqa: N815


class WholeRunAnswer(RunAnswer):
    """Everything that is known of a run. Durations are seconds."""

    steps: list[JsonObject]
    maxActiveRuns: int | None = None  # noqa: N815
    retries: int | None = None
    retryDelayS: int | None = None  # noqa: N815
    timeoutS: float | None = None  # noqa: N815
    waitedS: float | None = None  # noqa: N815
    ranS: float | None = None  # noqa: N815
    stop: JsonObject | None = None
    process: JsonObject | None = None
    overrides: JsonObject | None = None
    evidence: JsonObject | None = None
    operationMetrics: JsonObject | None = None  # noqa: N815


class RunsPagingAnswer(BaseModel):
    """`next` is the `before` of the next page."""

    next: Milliseconds | None = None


class RunsAnswer(BaseModel):
    """A page of runs."""

    data: list[RunAnswer]
    paging: RunsPagingAnswer


class ServiceLimitsAnswer(BaseModel):
    """Runs of one service at the same time, and by the FQN of a service."""

    of: dict[str, int]
    most: int | None = None


class QueueAnswer(BaseModel):
    """Queued runs in the order in which they may start, and what limits them."""

    data: list[RunAnswer]
    slots: int
    running: int
    draining: bool
    services: ServiceLimitsAnswer
    runtimes: list[str]


class OutboxEntryAnswer(BaseModel):
    """The end of a run that OpenMetadata has not heard of yet."""

    id: int
    runId: str  # noqa: N815
    createdAt: Milliseconds  # noqa: N815
    attempts: int
    nextAt: Milliseconds  # noqa: N815
    dead: bool
    lastError: str | None = None  # noqa: N815


class OutboxAnswer(BaseModel):
    """Oldest first."""

    data: list[OutboxEntryAnswer]


class RuntimeAnswer(BaseModel):
    """An ingestion environment."""

    name: str
    state: Literal["stopped", "starting", "ready", "failed"]
    activeRuns: int  # noqa: N815
    spares: int
    version: str | None = None
    problem: str | None = None
    importS: float | None = None  # noqa: N815
    memoryLimits: Literal["cgroup", "watching"] | None = None  # noqa: N815
    watchedBecause: str | None = None  # noqa: N815


class RuntimesAnswer(BaseModel):
    """All runtimes."""

    data: list[RuntimeAnswer]


class DeploymentAnswer(BaseModel):
    """A pipeline that the local orchestrator was told to run."""

    id: str
    name: str
    fullyQualifiedName: str  # noqa: N815
    pipelineType: str  # noqa: N815
    service: str
    enabled: bool
    deployedAt: Milliseconds  # noqa: N815
    leftOut: list[str]  # noqa: N815
    schedule: str | None = None
    runtime: str | None = None
    checkedBy: str | None = None  # noqa: N815


class DeploymentsAnswer(BaseModel):
    """All of them."""

    data: list[DeploymentAnswer]


class TickAnswer(BaseModel):
    """What became of an instant, or of `instants` alike ones that follow each other, from `scheduledFor` through
    `through`. `runId` is the run that it fired, or that stands for it."""

    scheduledFor: Milliseconds  # noqa: N815
    through: Milliseconds
    instants: int
    decision: Literal["fired", "coalesced", "skipped", "paused", "missed"]
    decidedAt: Milliseconds  # noqa: N815
    runId: str | None = None  # noqa: N815
    reason: Literal["late", "window", "limit", "scheduler_off"] | None = None
    remark: str | None = None


class TicksAnswer(BaseModel):
    """A page of ticks, newest first."""

    data: list[TickAnswer]
    paging: RunsPagingAnswer


class WhyAnswer(BaseModel):
    """Why a pipeline ran or did not; `before` and `after` are the nearest instants of its schedule."""

    pipelineId: str  # noqa: N815
    at: Milliseconds
    timezone: str
    verdict: str
    sentence: str
    before: Milliseconds | None = None
    after: Milliseconds | None = None
    tick: TickAnswer | None = None
    run: RunAnswer | None = None


class UpcomingAnswer(BaseModel):
    """An instant to come, in three spellings."""

    at: Milliseconds
    utc: str
    local: str
    remark: str | None = None


class PreviewAnswer(BaseModel):
    """The next instants of a schedule; disabled ones do not fire."""

    pipelineId: str  # noqa: N815
    timezone: str
    enabled: bool
    data: list[UpcomingAnswer]
    schedule: str | None = None


class BackfilledAnswer(BaseModel):
    """An instant, and the run that was queued for it or that it has already."""

    scheduledFor: Milliseconds  # noqa: N815
    runId: str | None = None  # noqa: N815


class BackfillAnswer(BaseModel):
    """What was queued, or would be in a dry run, and which instants have their run already."""

    dryRun: bool  # noqa: N815
    queued: list[BackfilledAnswer]
    known: list[BackfilledAnswer]


class SimulatedAnswer(BaseModel):
    """One pipeline in a simulation: how many instants, the first ones, and the changes of clocks that touch them."""

    pipelineId: str  # noqa: N815
    fullyQualifiedName: str  # noqa: N815
    schedule: str
    timezone: str
    instants: int
    durationS: float  # noqa: N815
    data: list[Milliseconds]
    clockChanges: list[JsonObject]  # noqa: N815


class SimulationAnswer(BaseModel):
    """What all schedules come to."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[Milliseconds, Field(alias="from")]
    to: Milliseconds
    instants: int
    pipelines: list[SimulatedAnswer]
    busiest: JsonObject | None = None
    peak: JsonObject | None = None


class AliveAnswer(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class ReadyAnswer(BaseModel):
    """Whether runs can be accepted, and if not why."""

    status: Literal["ready", "not ready"]
    runtimes: dict[str, str]
    memoryLimits: dict[str, str] | None = None  # noqa: N815
    reasons: list[str] | None = None


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
    RunAnswer,
    WholeRunAnswer,
    RunsAnswer,
    QueueAnswer,
    OutboxAnswer,
    RuntimesAnswer,
    DeploymentsAnswer,
    TicksAnswer,
    WhyAnswer,
    PreviewAnswer,
    BackfillAnswer,
    SimulationAnswer,
    AliveAnswer,
    ReadyAnswer,
)
