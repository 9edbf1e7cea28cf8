"""How pipelines run on this machine, with what, and when."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    Field,
    field_validator,
)

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import PIPELINE_TYPES
from minisched.domain.runtime_rules import rule_of
from minisched.settings.values import (
    LocalPath,
    LocalPaths,
    NotNegative,
    Positive,
    Section,
)

_CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class ExecutorSettings(Section):
    """How runs are executed."""

    slots: int = Field(default=4, ge=1, le=256, description="Runs at the same time.")
    max_runs_per_service: int | None = Field(
        default=None, ge=1, description="Runs of one service at the same time, whatever its pipelines; null: no limit."
    )
    max_runs_of_service: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Runs at the same time by the FQN of a service, instead of executor.max_runs_per_service.",
    )
    retry_backoff: Literal["constant", "exponential"] = Field(
        default="constant",
        description=(
            "How airflowConfig.retryDelay grows from attempt to attempt: constant (not at all) or exponential (doubled "
            "each time)."
        ),
    )
    retry_max_delay_s: Positive = Field(
        default=3600.0, description="Longest pause in seconds to which an exponential retry_backoff grows."
    )
    stop_grace_s: NotNegative = Field(
        default=10.0, description="Seconds between SIGTERM and SIGKILL when a run is stopped."
    )
    timeout_s: Positive | None = Field(
        default=None,
        description="Longest run in seconds, for pipelines without airflowConfig.workflowTimeout; null: no limit.",
    )
    memory_limit_mb: int | None = Field(
        default=None,
        ge=64,
        description=(
            "Most memory of one run, all its processes together, in megabytes; null: no limit. "
            "What a run shares with its launcher, such as the imported ingestion package, does not count."
        ),
    )
    log_limit_mb: int | None = Field(
        default=100,
        ge=1,
        description="Largest log of one run in megabytes; of a longer one the middle is dropped. null: no limit.",
    )
    automation_timeout_s: Positive = Field(
        default=120.0, description="Longest automation, such as the test of a connection, in seconds."
    )
    nice: int = Field(default=5, ge=0, le=19, description="Niceness of runs; a higher one gives way to the server.")
    open_files: int | None = Field(
        default=None, ge=64, description="Most open files of each process of a run; null: as this process has it."
    )
    retention_days: Positive = Field(
        default=30.0, description="Days after which ended runs and their logs are deleted."
    )
    poll_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        default=4.0,
        description="Seconds between two looks at the queue when nothing calls; "
        "a retry starts late by as much at most.",
    )
    drain: Literal["leave", "wait", "stop"] = Field(
        default="leave",
        description="Running runs when the server stops: leave (they go on), wait for them, or stop them.",
    )
    drain_wait_s: NotNegative = Field(
        default=300.0, description="With drain wait: seconds after which runs that are left go on without the server."
    )


class LauncherSettings(Section):
    """The warm processes from which runs are forked."""

    spares: int = Field(default=2, ge=0, le=32, description="Children forked in advance, waiting for a run.")
    linger_s: NotNegative = Field(
        default=60.0, description="Seconds that a launcher without a server and without runs stays alive."
    )
    start_timeout_s: Positive = Field(
        default=120.0, description="Longest start of a launcher in seconds; it imports the ingestion package."
    )
    recycle_after_runs: int = Field(
        default=1000, ge=0, description="Runs after which a launcher is replaced by a fresh one; 0: never."
    )


class RuntimeSettings(Section):
    """The environments that openmetadata-ingestion is installed in."""

    default: str = Field(
        default="auto",
        min_length=1,
        description="Runtime of pipelines that name none: a name, the path of an interpreter, or auto.",
    )
    directory: LocalPath | None = Field(
        default=None, description="Where runtimes are created; null means data_dir/runtimes."
    )
    python_path: LocalPaths = Field(
        default=(), description="Directories with your own connectors, put on the import path of every run."
    )
    workflow_classes: dict[str, str] = Field(
        default_factory=dict, description="Workflow class by pipelineType, as module:Class, instead of the usual one."
    )
    rules: tuple[dict[str, str], ...] = Field(
        default=(),
        description=(
            "Which runtime runs what, where that is not the default: a list of which the first that fits decides. Each "
            "has a runtime and any of server (the line of the OpenMetadata server, such as 1.5), serviceType and "
            "pipeline (patterns such as mysql_*)."
        ),
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Environment variables of every run. A value under a name that says password, secret, token or the like "
            "is treated as a secret: programs that a run starts see it, launchers do not."
        ),
    )

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, value: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
        for parts in value:
            try:
                rule_of(parts)
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("workflow_classes")
    @classmethod
    def _are_classes(cls, value: dict[str, str]) -> dict[str, str]:
        for kind, path in value.items():
            if kind not in PIPELINE_TYPES:
                raise ValueError(f"{kind!r} is no pipelineType; there are {', '.join(PIPELINE_TYPES)}")
            if not _CLASS_PATH.fullmatch(path):
                raise ValueError(f"the class of {kind} should be written as package.module:Class")
        return value


class SchedulerSettings(Section):
    """When schedules fire."""

    enabled: bool = Field(default=True, description="Whether schedules fire at all; triggers by hand always work.")
    misfire_grace_s: NotNegative = Field(
        default=3600.0,
        description=(
            "Seconds that a scheduled run may be late, at least 60; of instants missed longer ago none fires, unless "
            "the pipeline catches up."
        ),
    )
    catchup_window_s: NotNegative = Field(
        default=86400.0,
        description=(
            "How far back, in seconds, instants that passed while the server was down count: those of pipelines with "
            "pipelineCatchup fire, older ones are recorded as missed."
        ),
    )
    catchup_runs: int = Field(
        default=100, ge=1, le=1000, description="Most instants of one pipeline that are caught up at once, the latest."
    )
    spread_s: NotNegative = Field(
        default=0.0,
        description=(
            "Seconds over which runs of one instant are spread, each pipeline always at the same distance; choose less "
            "than the shortest interval. 0: all at once."
        ),
    )
    spread_of_pipelines: dict[str, NotNegative] = Field(
        default_factory=dict, description="Seconds by the FQN of a pipeline, instead of scheduler.spread_s."
    )
    tick_retention_days: Positive = Field(
        default=30.0, description="Days after which the record of an instant, fired or not, is deleted."
    )
