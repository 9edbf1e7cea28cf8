"""What turns queued runs into ended ones: logs, launchers and their runtimes, alarms, checks, the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from minisched.domain.pipeline import Deployment, Document, Judgement
from minisched.domain.queueing import Admission
from minisched.domain.run import Run
from minisched.ports.orchestrator import ClientResponse


class RunLogs(Protocol):
    """The output of runs, one growing byte sequence each; a long one may lose its middle, and nothing ever moves."""

    def size(self, run_id: str) -> int:
        """Bytes so far; 0 when the run wrote nothing yet or its files are gone."""

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`; empty at the end, and where a gap begins or goes on."""

    def gap(self, run_id: str, *, offset: int) -> int:
        """How many bytes from `offset` on are not kept any more; 0 where there are bytes, and at the end."""


class ReceivedLogs(Protocol):
    """Logs of runs that are not ours, as their workflows sent them (contract §3.13); by pipeline id and run id.

    Bounded: of a log that is too long the rest is not kept, and of too many logs of a pipeline the oldest go.
    """

    def append(self, pipeline_id: str, run_id: str, text: str) -> None:
        """Add to the end; opens a log that was closed. Raises StoreUnavailable when the disk takes no more."""

    def close(self, pipeline_id: str, run_id: str) -> None:
        """The workflow will send no more; idempotent, also for a log that does not exist."""

    def is_closed(self, pipeline_id: str, run_id: str) -> bool: ...

    def size(self, pipeline_id: str, run_id: str) -> int | None:
        """Bytes so far; None when nothing was received."""

    def read(self, pipeline_id: str, run_id: str, *, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`; empty at the end."""

    def runs(self, pipeline_id: str) -> list[tuple[str, datetime]]:
        """The runs with a log, and when each was last written to, newest first."""

    def remove(self, pipeline_id: str) -> None:
        """All logs of the pipeline are gone afterwards."""

    def prune(self, *, written_before: datetime) -> int:
        """Delete logs that nobody wrote to since; how many."""


class Executor(Protocol):
    """Turns queued runs into processes and processes into terminal states."""

    def admission(self) -> Admission:
        """What it claims at present."""

    def wake(self) -> None:
        """Something was enqueued: look now rather than at the next poll."""

    def heed_stops(self) -> None:
        """A stop was requested: look now rather than some seconds later."""

    def await_end(self, run_ids: Iterable[str], *, timeout_s: float) -> bool:
        """Block until all these runs are terminal; False when the time is over."""

    def live_counters(self, run_id: str) -> list[Document]:
        """StepSummary-like counters of a running run, at most some seconds old; empty when there are none yet."""


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """Whether an ingestion environment can run things, and which version it has.

    `state` is one of stopped, starting, ready, failed; `problem` says why it failed. `memory_limits` is cgroup where
    the kernel holds the memory limits of runs, watching where their guards do, which `watched_because` explains; None
    while no launcher has told.
    """

    name: str
    state: str
    version: str | None = None
    problem: str | None = None
    import_s: float | None = None
    active_runs: int = 0
    spares: int = 0
    memory_limits: str | None = None
    watched_because: str | None = None


class RuntimeHealth(Protocol):
    """What is known of the runtimes without starting anything."""

    def statuses(self) -> list[RuntimeStatus]: ...


class Alarm(Protocol):
    """The alarm clock of schedules: kept equal to the deployments by whoever changes one."""

    def settle(self, pipeline_id: str, at: datetime) -> None:
        """Decide about every instant up to `at` by the schedule as it is: call it before that is changed."""

    def set(self, deployment: Deployment) -> None:
        """From now on ring when this deployment's schedule says so; never, when it has none or is disabled."""

    def remove(self, pipeline_id: str) -> None:
        """Never ring for it again."""


class BackfillQueue(Protocol):
    """Queues runs that a person orders for instants that have passed."""

    def backfill(self, pipeline_id: str, instants: Sequence[datetime], *, requested_by: str) -> list[Run]:
        """A queued run for each of these instants that has none yet. Raises PipelineNotFound when not deployed."""


class AutomationRunner(Protocol):
    """Runs automations in a warm child of a runtime, with limits."""

    def run(self, workflow: Document, *, runtime: str) -> ClientResponse: ...


class PipelineJudge(Protocol):
    """Judges pipelines by the models of a runtime, without any network."""

    def judge(self, pipeline: Document, *, runtime: str) -> Judgement:
        """Within a moment. Raises InvalidPipelineConfig with a line per problem, none of which holds a value, and
        OrchestratorUnavailable when nobody can judge now."""


class RuntimeChooser(Protocol):
    """Which runtime is to run something: as the deployment says, else the first rule of the settings that fits."""

    default: str

    def of(self, deployment: Deployment) -> str:
        """For a run; may ask the OpenMetadata server of the deployment for its version, for some seconds at most."""

    def known(self, deployment: Deployment) -> str | None:
        """The same without asking anybody; None when that does not suffice."""

    def of_automation(self, workflow: Document) -> str:
        """For an automation; may ask, too."""

    def version(self, runtime: str) -> str | None:
        """Of its package, as far as that is known without starting it. Raises RuntimeNotFound, RuntimeUnusable."""


class Clock(Protocol):
    """Now, so that tests can move it."""

    def now(self) -> datetime: ...
