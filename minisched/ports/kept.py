"""What is kept in a database, and the questions about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from minisched.domain.pipeline import Deployment, Document, Pipeline
from minisched.domain.placement import Placement
from minisched.domain.queueing import NO_LIMITS, ServiceLimits
from minisched.domain.run import Outcome, Run, RunState, Spawned, StopRequest
from minisched.domain.tick import ScheduleVersion, Situation, Tick


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


class PlacementStore(Protocol):
    """Which orchestrator each pipeline was handed to. Writes are durable when they return; `get` and `find` are quick
    enough to be asked at every trigger."""

    def get(self, pipeline_id: str) -> Placement | None: ...

    def find(self, clean_name: str) -> Placement | None:
        """By the id that callers of the plugin dialect use (contract §1.7)."""

    def all(self) -> list[Placement]:
        """All, by FQN."""

    def put(self, placement: Placement, document: Document | None) -> None:
        """Insert or replace by id, together with the document that the orchestrator was handed, if it has to be kept.
        Raises NameCollision when another id uses the same clean name."""

    def update(self, placement: Placement) -> None:
        """As `put`; the document stays."""

    def document(self, pipeline_id: str) -> Document | None:
        """What the orchestrator was handed last, when it was kept."""

    def remove(self, pipeline_id: str) -> None:
        """Absent afterwards."""


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
