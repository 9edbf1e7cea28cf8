"""A run: one execution of a pipeline, its states, reasons and allowed transitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from minisched.domain.instant import require_utc


class RunState(StrEnum):
    """Where a run is, in OpenMetadata's own words (contract §4.3)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL_SUCCESS = "partialSuccess"
    FAILED = "failed"
    STOPPED = "stopped"


ACTIVE_STATES = frozenset({RunState.QUEUED, RunState.RUNNING})
TERMINAL_STATES = frozenset({RunState.SUCCESS, RunState.PARTIAL_SUCCESS, RunState.FAILED, RunState.STOPPED})

ALLOWED_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.STOPPED}),
    RunState.RUNNING: TERMINAL_STATES,
    RunState.SUCCESS: frozenset(),
    RunState.PARTIAL_SUCCESS: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
}


class RunReason(StrEnum):
    """How a run got to its last state."""

    COMPLETED = "completed"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    STOP_REQUESTED = "stop_requested"
    MEMORY_LIMIT = "memory_limit"
    OUT_OF_MEMORY = "out_of_memory"
    SIGNAL = "signal"
    DISK_FULL = "disk_full"
    ABANDONED = "abandoned"
    SPAWN_FAILED = "spawn_failed"
    IMPORT_FAILED = "import_failed"
    INVALID_CONFIG = "invalid_config"


class RunKind(StrEnum):
    """Why a run exists."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    BACKFILL = "backfill"


class Priority(IntEnum):
    """Claim order: the smaller is claimed first; first in, first out within one."""

    MANUAL = 0
    SCHEDULED = 10
    BACKFILL = 20


PRIORITY_OF_KIND = {
    RunKind.MANUAL: Priority.MANUAL,
    RunKind.SCHEDULED: Priority.SCHEDULED,
    RunKind.BACKFILL: Priority.BACKFILL,
}


# OpenMetadata's default for airflowConfig.retryDelay.
DEFAULT_RETRY_DELAY_S = 300


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that cannot be confused with a later one of the same pid (pitfall P7).

    `start_ticks` is field 22 of /proc/<pid>/stat; `boot_id` is /proc/sys/kernel/random/boot_id.
    """

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Spawned:
    """What a run was handed to: its guard, and the name of the runtime."""

    process: ProcessIdentity
    runtime: str


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A wish to end a run: who asked, when and why. A column, never a state (D3)."""

    at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline. Times are aware UTC datetimes; `id` is OpenMetadata's runId, minted by us.

    It is not claimed before `not_before`. `retries` further attempts may follow the first, `retry_delay_s` after the
    end of the one that failed; `attempt` counts from 1, and `retry_of` is the attempt before.
    """

    id: str
    pipeline_id: str
    pipeline_fqn: str
    pipeline_name: str
    pipeline_type: str
    service_fqn: str
    kind: RunKind
    enqueued_at: datetime
    state: RunState = RunState.QUEUED
    scheduled_for: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: RunReason | None = None
    message: str | None = None
    not_before: datetime | None = None
    attempt: int = 1
    retry_of: str | None = None
    retries: int = 0
    retry_delay_s: int = DEFAULT_RETRY_DELAY_S
    max_active_runs: int = 1
    timeout_s: int | None = None
    requested_by: str = "scheduler"
    stop: StopRequest | None = None
    runtime: str | None = None
    process: ProcessIdentity | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for moment in (self.enqueued_at, self.scheduled_for, self.started_at, self.ended_at, self.not_before):
            if moment is not None:
                require_utc(moment)

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def priority(self) -> Priority:
        return PRIORITY_OF_KIND[self.kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what `classify` decides and `RunStore.finish` writes.

    `message` is a sentence for people, `steps` OpenMetadata StepSummary objects (contract §4.3), `evidence` the
    exit record with signals sent, pids seen and left, exit code, peak memory.
    """

    state: RunState
    reason: RunReason
    message: str
    hint: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
