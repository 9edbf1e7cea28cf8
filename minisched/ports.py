"""The seams of minisched: what each room offers to those above it, written so that a stranger could implement it.

Instants are aware UTC datetimes. Documents are JSON-like dicts with secrets in clear; whoever writes them to disk
encrypts, whoever sends them to a person masks. Every method may raise `StoreUnavailable` or `OrchestratorUnavailable`
when what is behind it does not answer; other errors are named per method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from minisched.domain.pipeline import Deployment, Document, Judgement, Pipeline, PipelineRef
from minisched.domain.queueing import NO_LIMITS, Admission, ServiceLimits
from minisched.domain.run import Outcome, Run, RunState, Spawned, StopRequest
from minisched.domain.tick import ScheduleVersion, Situation, Tick

# --- the orchestrator -------------------------------------------------------------------------------------------------


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


# --- what is kept -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PipelineQuery:
    """A list request of the front API (contract §3.2). Cursors are decoded keys `(sort value, id)`."""

    service: str | None = None
    test_suite: str | None = None
    pipeline_types: Sequence[str] = ()
    service_type: str | None = None
    application_type: str | None = None
    provider: str | None = None
    include: str = "non-deleted"
    sort_by_display_name: bool = False
    descending: bool = False
    limit: int = 10
    before: tuple[str, str] | None = None
    after: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PipelinePage:
    """One page in ascending key order with the keys of its neighbours; `total` counts all matches."""

    pipelines: list[Pipeline]
    total: int
    before: tuple[str, str] | None
    after: tuple[str, str] | None


class PipelineStore(Protocol):
    """The front API's entities and their versions. Writes are durable when they return."""

    def create(self, pipeline: Pipeline) -> None:
        """Raises EntityExists when the FQN is taken, by a soft-deleted pipeline too."""

    def replace(self, pipeline: Pipeline, *, expected: Pipeline) -> None:
        """Store a new state if the stored one is still `expected`; keeps `expected` in the history when the version
        grew. Raises VersionConflict, PipelineNotFound."""

    def get(self, pipeline_id: str) -> Pipeline:
        """Soft-deleted ones too. Raises PipelineNotFound."""

    def get_by_fqn(self, fqn: str) -> Pipeline:
        """Soft-deleted ones too. Raises PipelineNotFound."""

    def page(self, query: PipelineQuery) -> PipelinePage:
        """A page, by name (or display name) and id, ascending unless `descending`."""

    def history(self, pipeline_id: str) -> list[Pipeline]:
        """Every version, newest first, the current one included. Raises PipelineNotFound."""

    def remove(self, pipeline_id: str) -> None:
        """The entity, its versions and its statuses are gone. Raises PipelineNotFound."""


class PipelineStatusStore(Protocol):
    """What workflows report by PUT pipelineStatus: one PipelineStatus document per (pipeline, runId)."""

    def put(self, fqn: str, status: Document) -> Document | None:
        """Replace the row of `status["runId"]` as a whole; returns the row that was there."""

    def get(self, fqn: str, run_id: str) -> Document | None: ...

    def search(
        self, fqn: str, *, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
    ) -> list[Document]:
        """By `timestamp`, newest first, the range inclusive."""

    def latest(self, fqns: Sequence[str], *, each: int) -> dict[str, list[Document]]:
        """The newest `each` rows of each pipeline, for lists with `fields=pipelineStatuses`."""

    def delete(self, fqn: str, run_id: str | None = None) -> None:
        """One row, or all of the pipeline; absent afterwards."""


class DeploymentStore(Protocol):
    """What the local orchestrator was told to run. Writes are durable when they return."""

    def upsert(self, deployment: Deployment) -> bool:
        """Insert or replace by id; False when the stored one was the same already. Raises NameCollision when another
        id uses the same clean name.

        A schedule that is new or changed, or enabled or disabled by this, is in force from `deployed_at` on.
        """

    def get(self, pipeline_id: str) -> Deployment | None: ...

    def find(self, clean_name: str) -> Deployment | None:
        """By the id that callers of the plugin dialect use (contract §1.7)."""

    def set_enabled(self, pipeline_id: str, *, enabled: bool, at: datetime) -> bool:
        """From `at` on its schedule fires or not; False when there is no such deployment."""

    def delete(self, pipeline_id: str, *, at: datetime) -> bool:
        """From `at` on it has no schedule; False when there was none. Its runs and ticks stay in the history."""

    def all(self) -> list[Deployment]:
        """All, by FQN."""

    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Settled:
    """What was decided about one pipeline: `ticks` about its instants, and the `runs` of those that fire.

    `version` is its schedule with `decided_until` as it is now.
    """

    version: ScheduleVersion
    ticks: Sequence[Tick] = ()
    runs: Sequence[Run] = ()


# Decides about the open instants of a schedule: its ticks, oldest first, and the runs of those that fire; None when it
# cannot, and then they stay open. The deployment has of its document only what a queued run needs. Must be quick: the
# database waits meanwhile.
Judge = Callable[[ScheduleVersion, Deployment, Situation], tuple[Sequence[Tick], Sequence[Run]] | None]


class ScheduleStore(Protocol):
    """Schedules in force, and how far their instants are decided (R2). Writes are durable when they return."""

    def adopt(self, at: datetime) -> int:
        """Begin to account, from `at` on, for deployments that have no schedule here; how many those were."""

    def present(self, pipeline_ids: Sequence[str] | None = None) -> list[ScheduleVersion]:
        """The schedules in force now, of all pipelines or of these."""

    def decide(self, pipeline_ids: Sequence[str], *, until: datetime, judge: Judge) -> list[Settled]:
        """Decide about the instants up to `until`: ticks, runs and `decided_until` in one transaction.

        `judge` is asked about each of these pipelines that is not decided so far, under a lock, perhaps twice. Those
        without a schedule in force are left out; those that were not decided come back without ticks. An instant that
        has a run already (by a backfill) fires that one: no second run is made.
        """

    def enqueue(self, new: Sequence[Run]) -> list[Run]:
        """Queue those of the runs whose pipeline has no run yet for their `scheduled_for`; returns them."""

    def rewind(self, now: datetime) -> list[str]:
        """After the clock was set back: reopen what was decided about instants after `now`, but for those that fired.

        Returns the pipelines concerned.
        """


@dataclass(frozen=True, slots=True)
class Absence:
    """A time during which no scheduler was at work; `since` is None when none had been before."""

    since: datetime | None
    until: datetime | None


class TickHistory(Protocol):
    """What is known of past instants."""

    def ticks(self, pipeline_id: str, *, limit: int, before: datetime | None = None) -> list[Tick]:
        """Those that begin before an instant, newest first."""

    def tick_about(self, pipeline_id: str, instant: datetime) -> Tick | None:
        """The tick that holds this instant of the schedule, if there is one."""

    def versions(self, pipeline_id: str) -> list[ScheduleVersion]:
        """Every schedule that is known to have been in force, oldest first."""

    def run_for(self, pipeline_id: str, instant: datetime) -> Run | None:
        """The run whose `scheduled_for` this is."""

    def absence(self, instant: datetime) -> Absence | None:
        """The time without a scheduler that holds this instant; None when one was at work then."""

    def usual_durations_s(self) -> dict[str, float]:
        """Mean seconds of the successful runs of each pipeline that has any."""

    def prune(self, *, before: datetime, limit: int) -> int:
        """Delete ticks about instants before this, at most `limit`, and what else told of that time; how many."""


class Watches(Protocol):
    """The record of when a scheduler was at work."""

    def begin(self, at: datetime) -> int:
        """A new watch begins; its number."""

    def extend(self, number: int, at: datetime) -> None:
        """This watch has lasted until now."""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, newest first (by enqueued_at, then id)."""

    pipeline_id: str | None = None
    states: Sequence[RunState] = ()
    limit: int = 50
    before_ms: int | None = None


class RunStore(Protocol):
    """Runs, their one way through the states, and the outbox rows that go with it (D3, D5, R1-R4)."""

    def enqueue(self, run: Run, *, idempotency_key: str | None = None) -> Run:
        """Insert a queued run; returns the earlier run of the same idempotency key instead, if there is one.

        Raises DuplicateRun when the pipeline has a run for `scheduled_for` already, or the id exists.
        """

    def get(self, run_id: str) -> Run:
        """Raises RunNotFound."""

    def search(self, query: RunQuery) -> list[Run]: ...

    def queue(self, *, limit: int) -> list[Run]:
        """Queued runs in the order of claims: priority, enqueued_at, id."""

    def claim(self, *, slots: int, runtimes: Sequence[str] = (), services: ServiceLimits = NO_LIMITS) -> Run | None:
        """Make the first claimable queued run `running` and return it, in one statement's worth of atomicity.

        Order: priority, enqueued_at, id. Not claimable: when `slots` runs are running in all; when its pipeline has
        `max_active_runs` running; when its service has as many running as `services` says; before its
        `not_before`; when a stop is requested; when `runtimes` are named and its `runtime` is not one of them. None
        when there is none.
        """

    def mark_spawned(self, run_id: str, spawned: Spawned) -> None:
        """Remember which process executes the run. Raises IllegalTransition unless it is running."""

    def request_stop(self, run_ids: Iterable[str], stop: StopRequest, outcome: Outcome) -> list[Run]:
        """Note the wish on every active run, and in the same transaction end those still queued with `outcome`.

        The first wish stays. Returns the runs as they are now, unknown ids left out.
        """

    def finish(
        self,
        run_id: str,
        outcome: Outcome,
        *,
        ended_at: datetime,
        spawned: Spawned | None = None,
        next_attempt: Run | None = None,
    ) -> Run:
        """The one terminal transition, with its outbox row in the same transaction.

        `spawned` is what `mark_spawned` would have said of a run that ended before it was called.
        `next_attempt` is enqueued in it too, unless a stop of this one is requested by now.

        Raises IllegalTransition when the run is terminal already, RunNotFound.
        """

    def counts(self) -> dict[RunState, int]:
        """How many runs are queued and running."""

    def prune(self, *, ended_before: datetime, limit: int) -> list[str]:
        """Delete terminal, reported runs that ended earlier; returns their ids so that their files can go too."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One thing that OpenMetadata has to hear: that `run` ended. Delivered in the order of `id`, per run."""

    id: int
    run_id: str
    created_at: datetime
    attempts: int
    next_at: datetime
    last_error: str | None = None
    dead: bool = False


class Outbox(Protocol):
    """Messages written together with the state change that they tell of (R7)."""

    def due(self, now: datetime, *, limit: int) -> list[OutboxEntry]:
        """Undelivered, not dead, `next_at` reached; at most one per run: its oldest."""

    def delivered(self, entry_id: int) -> None: ...

    def postpone(self, entry_id: int, *, error: str, next_at: datetime, dead: bool = False) -> None: ...

    def pending(self, *, limit: int) -> list[OutboxEntry]:
        """What has not been delivered, oldest first."""


class DocumentStore(Protocol):
    """Entities of any type for the sandbox catalog: JSON documents by (kind, id), with a unique FQN per kind."""

    def put(self, kind: str, documents: Iterable[Document]) -> None:
        """Insert or replace by `id`; each has `id` and, unless the kind has none, `fullyQualifiedName` and `name`."""

    def get(self, kind: str, document_id: str) -> Document | None: ...

    def get_by_fqn(self, kind: str, fqn: str) -> Document | None: ...

    def page(self, kind: str, *, limit: int, after: str | None = None, prefix: str | None = None) -> list[Document]:
        """By FQN, those greater than `after`; `prefix` keeps FQNs that start with it and a dot."""

    def count(self, kind: str, *, prefix: str | None = None) -> int: ...

    def kinds(self) -> dict[str, int]:
        """Every kind that has documents, with their number."""

    def delete(self, kind: str, document_id: str) -> bool: ...

    def clear(self) -> None: ...


# --- execution --------------------------------------------------------------------------------------------------------


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


# --- OpenMetadata -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntityRef:
    """An EntityReference (contract §4.5) as resolved by a directory."""

    id: str
    type: str
    name: str
    fully_qualified_name: str
    extra: Document = field(default_factory=dict)


class EntityDirectory(Protocol):
    """Resolves references to services and owners: the sandbox catalog, or the OpenMetadata server of the settings."""

    def resolve(self, entity_type: str, entity_id: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """With these fields of the entity in `extra`, as far as it has them.

        Raises EntityNotFound with OpenMetadata's text «<type> instance for <id> not found».
        """

    def resolve_by_name(self, entity_type: str, fqn: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """For references that come as names (domains). Raises EntityNotFound likewise."""


class StatusReporter(Protocol):
    """Tells OpenMetadata how a run ended, if the workflow could not (contract §7.5)."""

    def report(self, run: Run, pipeline: Document) -> None:
        """Idempotent by run id; never overwrites a terminal row. Raises OrchestratorUnavailable to be tried again."""


class Clock(Protocol):
    """Now, so that tests can move it."""

    def now(self) -> datetime: ...
