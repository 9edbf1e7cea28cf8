"""What the answers of minisched's own routes look like, for the description at /schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from minisched.api.answers import (
    ClientAnswer,
    JsonObject,
    Milliseconds,
    Uuid,
)
from minisched.api.schemas import PipelineState
from minisched.domain.client_rules import ClientName


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


class PlacementAnswer(BaseModel):
    """The orchestrator `client` that a pipeline is in, `since` when it was placed there."""

    id: str
    name: str
    fullyQualifiedName: str  # noqa: N815
    pipelineType: str  # noqa: N815
    service: str
    client: ClientName
    since: Milliseconds
    cameFrom: ClientName | None = None  # noqa: N815
    alsoIn: ClientName | None = None  # noqa: N815


class PlacementsAnswer(BaseModel):
    """All of them, by FQN."""

    data: list[PlacementAnswer]


class MoveAnswer(BaseModel):
    """What came of a move, or would. `unfinished` is a move that was done, after which the orchestrator that the
    pipeline was in has still to forget it."""

    model_config = ConfigDict(populate_by_name=True)

    pipelineId: str  # noqa: N815
    fullyQualifiedName: str  # noqa: N815
    from_: Annotated[ClientName, Field(alias="from")]
    to: ClientName
    verdict: Literal["moved", "would_move", "there_already", "unfinished"]
    notes: list[str]


class TakenOverAnswer(BaseModel):
    """What became of a pipeline that was to be taken over, or would in a dry run; `response` when it was deployed."""

    standing: Literal["new", "changed", "unchanged", "outdated"]
    enabled: bool
    notes: list[str]
    response: ClientAnswer | None = None


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


class AuditEntryAnswer(BaseModel):
    """A change that somebody made; `touched` is the pipeline, run, user or token."""

    id: int
    at: Milliseconds
    user: str
    role: str
    via: str
    operation: str
    request: str
    peer: str
    touched: str | None = None


class AuditAnswer(BaseModel):
    """Newest first; `paging.next` is the `before` of the next page."""

    data: list[AuditEntryAnswer]
    paging: JsonObject


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
    RunAnswer,
    WholeRunAnswer,
    RunsAnswer,
    QueueAnswer,
    OutboxAnswer,
    RuntimesAnswer,
    DeploymentsAnswer,
    PlacementAnswer,
    PlacementsAnswer,
    MoveAnswer,
    TakenOverAnswer,
    TicksAnswer,
    WhyAnswer,
    PreviewAnswer,
    BackfillAnswer,
    SimulationAnswer,
    AuditAnswer,
    AliveAnswer,
    ReadyAnswer,
)
