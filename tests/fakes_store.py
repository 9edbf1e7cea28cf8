"""The store ports in memory: for tests of the rooms above the store. They pass the same contract as the real ones."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from minisched.domain.errors import (
    DuplicateRun,
    EntityExists,
    IllegalTransition,
    NameCollision,
    PipelineNotFound,
    RunNotFound,
    VersionConflict,
)
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Deployment, Document, Pipeline
from minisched.domain.queueing import NO_LIMITS, ServiceLimits
from minisched.domain.run import (
    ACTIVE_STATES,
    ALLOWED_TRANSITIONS,
    TERMINAL_STATES,
    Outcome,
    Run,
    RunState,
    Spawned,
    StopRequest,
)
from minisched.ports import Clock, OutboxEntry, PipelinePage, PipelineQuery, RunQuery


class ManualClock:
    """A clock that stands still until it is told to move; whole milliseconds, as the tables have them."""

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        self._now += timedelta(seconds=seconds)
        return self._now


class MemoryOutbox:
    """`ports.Outbox`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ids = itertools.count(1)
        self._entries: dict[int, OutboxEntry] = {}

    def add(self, run_id: str) -> None:
        now = self._clock.now()
        entry = OutboxEntry(id=next(self._ids), run_id=run_id, created_at=now, attempts=0, next_at=now)
        self._entries[entry.id] = entry

    def due(self, now: datetime, *, limit: int) -> list[OutboxEntry]:
        oldest: dict[str, OutboxEntry] = {}
        for entry in self._entries.values():
            if not entry.dead:
                oldest.setdefault(entry.run_id, entry)
        return [entry for entry in oldest.values() if entry.next_at <= now][:limit]

    def delivered(self, entry_id: int) -> None:
        self._entries.pop(entry_id, None)

    def postpone(self, entry_id: int, *, error: str, next_at: datetime, dead: bool = False) -> None:
        if (entry := self._entries.get(entry_id)) is not None:
            attempts = entry.attempts + 1
            self._entries[entry_id] = replace(entry, attempts=attempts, last_error=error, next_at=next_at, dead=dead)

    def pending(self, *, limit: int) -> list[OutboxEntry]:
        return list(self._entries.values())[:limit]

    def holds_undelivered(self, run_id: str) -> bool:
        return any(entry.run_id == run_id and not entry.dead for entry in self._entries.values())

    def forget(self, run_id: str) -> None:
        self._entries = {number: entry for number, entry in self._entries.items() if entry.run_id != run_id}


class MemoryRunStore:
    """`ports.RunStore`; one lock around every method."""

    def __init__(self, clock: Clock, outbox: MemoryOutbox | None = None) -> None:
        self._clock = clock
        self._outbox = outbox or MemoryOutbox(clock)
        self._runs: dict[str, Run] = {}
        self._keys: dict[str, str] = {}
        self._lock = threading.RLock()

    def enqueue(self, run: Run, *, idempotency_key: str | None = None) -> Run:
        with self._lock:
            if idempotency_key in self._keys:
                return self._runs[self._keys[idempotency_key]]
            instants = {(r.pipeline_id, r.scheduled_for) for r in self._runs.values() if r.scheduled_for}
            if run.id in self._runs or (run.pipeline_id, run.scheduled_for) in instants:
                raise DuplicateRun
            self._runs[run.id] = run
            if idempotency_key is not None:
                self._keys[idempotency_key] = run.id
            return run

    def get(self, run_id: str) -> Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound from None

    def search(self, query: RunQuery) -> list[Run]:
        with self._lock:
            found = [run for run in self._runs.values() if _matches(run, query)]
        found.sort(key=lambda run: (to_ms(run.enqueued_at), run.id), reverse=True)
        return found[: query.limit]

    def queue(self, *, limit: int) -> list[Run]:
        with self._lock:
            queued = [run for run in self._runs.values() if run.state == RunState.QUEUED]
        return sorted(queued, key=lambda run: (run.priority, to_ms(run.enqueued_at), run.id))[:limit]

    def claim(self, *, slots: int, runtimes: Sequence[str] = (), services: ServiceLimits = NO_LIMITS) -> Run | None:
        with self._lock:
            running = [run for run in self._runs.values() if run.state == RunState.RUNNING]
            if len(running) >= slots:
                return None
            claimable = [run for run in self._runs.values() if self._is_claimable(run, running, runtimes, services)]
            if not claimable:
                return None
            first = min(claimable, key=lambda run: (run.priority, to_ms(run.enqueued_at), run.id))
            return self._put(replace(first, state=RunState.RUNNING, started_at=self._clock.now()))

    def _is_claimable(self, run: Run, running: list[Run], runtimes: Sequence[str], services: ServiceLimits) -> bool:
        if run.state != RunState.QUEUED or run.stop is not None:
            return False
        if run.not_before is not None and run.not_before > self._clock.now():
            return False
        limit = services.limit(run.service_fqn)
        if limit is not None and sum(other.service_fqn == run.service_fqn for other in running) >= limit:
            return False
        if runtimes and run.runtime is not None and run.runtime not in runtimes:
            return False
        return sum(other.pipeline_id == run.pipeline_id for other in running) < run.max_active_runs

    def mark_spawned(self, run_id: str, spawned: Spawned) -> None:
        with self._lock:
            run = self.get(run_id)
            if run.state != RunState.RUNNING:
                raise IllegalTransition
            self._put(_with_process(run, spawned))

    def request_stop(self, run_ids: Iterable[str], stop: StopRequest, outcome: Outcome) -> list[Run]:
        with self._lock:
            return [self._request_stop(run_id, stop, outcome) for run_id in sorted(set(run_ids) & set(self._runs))]

    def _request_stop(self, run_id: str, stop: StopRequest, outcome: Outcome) -> Run:
        run = self._runs[run_id]
        if run.state not in ACTIVE_STATES:
            return run
        wished = self._put(replace(run, stop=run.stop or stop))
        return self._end(wished, outcome, stop.at) if run.state == RunState.QUEUED else wished

    def finish(
        self,
        run_id: str,
        outcome: Outcome,
        *,
        ended_at: datetime,
        spawned: Spawned | None = None,
        next_attempt: Run | None = None,
    ) -> Run:
        with self._lock:
            run = self.get(run_id)
            if outcome.state not in TERMINAL_STATES or outcome.state not in ALLOWED_TRANSITIONS[run.state]:
                raise IllegalTransition
            if next_attempt is not None and run.stop is None:
                self._put(next_attempt)
            return self._end(_with_process(run, spawned) if spawned else run, outcome, ended_at)

    def _end(self, run: Run, outcome: Outcome, at: datetime) -> Run:
        self._outbox.add(run.id)
        evidence = {**outcome.evidence, "hint": outcome.hint} if outcome.hint else outcome.evidence
        return self._put(
            replace(
                run,
                state=outcome.state,
                reason=outcome.reason,
                message=outcome.message,
                steps=outcome.steps,
                evidence=evidence,
                ended_at=at,
            )
        )

    def counts(self) -> dict[RunState, int]:
        with self._lock:
            states = [run.state for run in self._runs.values()]
        return {state: states.count(state) for state in (RunState.QUEUED, RunState.RUNNING)}

    def prune(self, *, ended_before: datetime, limit: int) -> list[str]:
        with self._lock:
            old = [
                run
                for run in self._runs.values()
                if run.ended_at is not None
                and run.ended_at < ended_before
                and not self._outbox.holds_undelivered(run.id)
            ]
            ids = [run.id for run in sorted(old, key=lambda run: str(run.ended_at))][:limit]
            for run_id in ids:
                del self._runs[run_id]
                self._outbox.forget(run_id)
            self._keys = {key: run_id for key, run_id in self._keys.items() if run_id in self._runs}
            return ids

    def _put(self, run: Run) -> Run:
        self._runs[run.id] = run
        return run


def _matches(run: Run, query: RunQuery) -> bool:
    return (
        (query.pipeline_id is None or run.pipeline_id == query.pipeline_id)
        and (not query.states or run.state in query.states)
        and (query.before_ms is None or to_ms(run.enqueued_at) < query.before_ms)
    )


class MemoryDeploymentStore:
    """`ports.DeploymentStore`."""

    def __init__(self) -> None:
        self._deployments: dict[str, Deployment] = {}

    def upsert(self, deployment: Deployment) -> bool:
        stored = self._deployments.get(deployment.id)
        if stored is not None and replace(stored, deployed_at=deployment.deployed_at) == deployment:
            return False
        namesake = self.find(deployment.clean_name)
        if namesake is not None and namesake.id != deployment.id:
            raise NameCollision
        self._deployments[deployment.id] = copy.deepcopy(deployment)
        return True

    def get(self, pipeline_id: str) -> Deployment | None:
        return copy.deepcopy(self._deployments.get(pipeline_id))

    def find(self, clean_name: str) -> Deployment | None:
        return next((d for d in self._deployments.values() if d.clean_name == clean_name), None)

    def set_enabled(self, pipeline_id: str, *, enabled: bool, at: datetime) -> bool:
        stored = self._deployments.get(pipeline_id)
        if stored is None:
            return False
        self._deployments[pipeline_id] = replace(stored, enabled=enabled)
        return True

    def delete(self, pipeline_id: str, *, at: datetime) -> bool:
        return self._deployments.pop(pipeline_id, None) is not None

    def all(self) -> list[Deployment]:
        return sorted(self._deployments.values(), key=lambda deployment: deployment.fqn)

    def count(self) -> int:
        return len(self._deployments)


class MemoryPipelineStatusStore:
    """`ports.PipelineStatusStore`."""

    def __init__(self) -> None:
        self._statuses: dict[str, dict[str, Document]] = {}

    def put(self, fqn: str, status: Document) -> Document | None:
        of_pipeline = self._statuses.setdefault(fqn, {})
        earlier = of_pipeline.get(status["runId"])
        of_pipeline[status["runId"]] = copy.deepcopy(status)
        return earlier

    def get(self, fqn: str, run_id: str) -> Document | None:
        return copy.deepcopy(self._statuses.get(fqn, {}).get(run_id))

    def search(
        self, fqn: str, *, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
    ) -> list[Document]:
        found = [
            status
            for status in self._statuses.get(fqn, {}).values()
            if (start_ms is None or _timestamp(status) >= start_ms)
            and (end_ms is None or 0 <= _timestamp(status) <= end_ms)
        ]
        found.sort(key=lambda status: (_timestamp(status), status["runId"]), reverse=True)
        return copy.deepcopy(found[:limit])

    def latest(self, fqns: Sequence[str], *, each: int) -> dict[str, list[Document]]:
        found = {fqn: self.search(fqn, limit=each) for fqn in fqns}
        return {fqn: statuses for fqn, statuses in found.items() if statuses}

    def delete(self, fqn: str, run_id: str | None = None) -> None:
        if run_id is None:
            self._statuses.pop(fqn, None)
        else:
            self._statuses.get(fqn, {}).pop(run_id, None)


def _timestamp(status: Document) -> int:
    return -1 if status.get("timestamp") is None else int(status["timestamp"])


class MemoryPipelineStore:
    """`ports.PipelineStore`; `statuses` are the ones that `remove` takes along."""

    def __init__(self, statuses: MemoryPipelineStatusStore | None = None) -> None:
        self._statuses = statuses or MemoryPipelineStatusStore()
        self._pipelines: dict[str, Pipeline] = {}
        self._earlier: dict[str, list[Pipeline]] = {}

    def create(self, pipeline: Pipeline) -> None:
        taken = {stored.fqn for stored in self._pipelines.values()}
        if pipeline.id in self._pipelines or pipeline.fqn in taken:
            raise EntityExists
        self._pipelines[pipeline.id] = copy.deepcopy(pipeline)

    def replace(self, pipeline: Pipeline, *, expected: Pipeline) -> None:
        if self.get(expected.id) != expected:
            raise VersionConflict
        if any(stored.fqn == pipeline.fqn and stored.id != pipeline.id for stored in self._pipelines.values()):
            raise EntityExists
        if pipeline.version > expected.version:
            self._earlier.setdefault(expected.id, []).insert(0, copy.deepcopy(expected))
        self._pipelines[pipeline.id] = copy.deepcopy(pipeline)

    def get(self, pipeline_id: str) -> Pipeline:
        try:
            return copy.deepcopy(self._pipelines[pipeline_id])
        except KeyError:
            raise PipelineNotFound from None

    def get_by_fqn(self, fqn: str) -> Pipeline:
        for pipeline in self._pipelines.values():
            if pipeline.fqn == fqn:
                return copy.deepcopy(pipeline)
        raise PipelineNotFound

    def page(self, query: PipelineQuery) -> PipelinePage:
        matches = [pipeline for pipeline in self._pipelines.values() if _is_listed(pipeline, query)]
        keyed = sorted(((_sort_key(p, query), p) for p in matches), key=lambda pair: pair[0], reverse=query.descending)
        if query.before is not None:
            nearer = [pair for pair in keyed if _comes_before(pair[0], query.before, query)]
            rows = nearer[-query.limit :] if query.limit else []
            before_more, after_more = len(nearer) > len(rows), True
        else:
            nearer = [pair for pair in keyed if query.after is None or _comes_before(query.after, pair[0], query)]
            rows = nearer[: query.limit]
            before_more, after_more = query.after is not None, len(nearer) > len(rows)
        if not rows:
            return PipelinePage([], len(matches), query.before, query.after)
        return PipelinePage(
            [copy.deepcopy(pipeline) for _, pipeline in rows],
            len(matches),
            rows[0][0] if before_more else None,
            rows[-1][0] if after_more else None,
        )

    def history(self, pipeline_id: str) -> list[Pipeline]:
        return [self.get(pipeline_id), *copy.deepcopy(self._earlier.get(pipeline_id, []))]

    def remove(self, pipeline_id: str) -> None:
        self._statuses.delete(self.get(pipeline_id).fqn)
        del self._pipelines[pipeline_id]
        self._earlier.pop(pipeline_id, None)


def _sort_key(pipeline: Pipeline, query: PipelineQuery) -> tuple[str, str]:
    display_name = pipeline.document.get("displayName") or pipeline.name
    return (display_name if query.sort_by_display_name else pipeline.name), pipeline.id


def _comes_before(one: tuple[str, str], other: tuple[str, str], query: PipelineQuery) -> bool:
    return one > other if query.descending else one < other


def _is_listed(pipeline: Pipeline, query: PipelineQuery) -> bool:
    document = pipeline.document
    application = document.get("applicationType") or (
        document.get("sourceConfig", {}).get("config", {}).get("appConfig", {}).get("type")
    )
    return all(
        (
            query.include == "all" or pipeline.deleted == (query.include == "deleted"),
            query.service is None or pipeline.fqn.startswith(query.service + "."),
            query.test_suite is None or pipeline.fqn.startswith(query.test_suite + "."),
            not query.pipeline_types or pipeline.pipeline_type in query.pipeline_types,
            query.service_type is None or (document.get("service") or {}).get("type") == query.service_type,
            query.application_type is None or application == query.application_type,
            query.provider is None or document.get("provider", "user") == query.provider,
        )
    )


class MemoryDocumentStore:
    """`ports.DocumentStore`."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Document]] = {}

    def put(self, kind: str, documents: Iterable[Document]) -> None:
        of_kind = dict(self._documents.get(kind, {}))
        for document in documents:
            of_kind[document["id"]] = copy.deepcopy(document)
            if sum(_filed_under(other) == _filed_under(document) for other in of_kind.values()) > 1:
                raise EntityExists
        if of_kind:
            self._documents[kind] = of_kind

    def get(self, kind: str, document_id: str) -> Document | None:
        return copy.deepcopy(self._documents.get(kind, {}).get(document_id))

    def get_by_fqn(self, kind: str, fqn: str) -> Document | None:
        found = (d for d in self._documents.get(kind, {}).values() if _filed_under(d) == fqn)
        return copy.deepcopy(next(found, None))

    def page(self, kind: str, *, limit: int, after: str | None = None, prefix: str | None = None) -> list[Document]:
        keyed = sorted((_filed_under(document), document) for document in self._of(kind, prefix))
        return [copy.deepcopy(document) for key, document in keyed if after is None or key > after][:limit]

    def count(self, kind: str, *, prefix: str | None = None) -> int:
        return len(self._of(kind, prefix))

    def kinds(self) -> dict[str, int]:
        return {kind: len(documents) for kind, documents in sorted(self._documents.items()) if documents}

    def delete(self, kind: str, document_id: str) -> bool:
        return self._documents.get(kind, {}).pop(document_id, None) is not None

    def clear(self) -> None:
        self._documents.clear()

    def _of(self, kind: str, prefix: str | None) -> list[Document]:
        documents = self._documents.get(kind, {}).values()
        return [d for d in documents if prefix is None or _filed_under(d).startswith(prefix + ".")]


def _filed_under(document: Document) -> str:
    return str(document.get("fullyQualifiedName") or document["id"])


@dataclass
class MemoryStores:
    """All stores that share one memory, as the SQL stores share one database."""

    clock: ManualClock = field(default_factory=ManualClock)
    outbox: MemoryOutbox = field(init=False)
    runs: MemoryRunStore = field(init=False)
    statuses: MemoryPipelineStatusStore = field(default_factory=MemoryPipelineStatusStore)
    pipelines: MemoryPipelineStore = field(init=False)
    deployments: MemoryDeploymentStore = field(default_factory=MemoryDeploymentStore)
    documents: MemoryDocumentStore = field(default_factory=MemoryDocumentStore)

    def __post_init__(self) -> None:
        self.outbox = MemoryOutbox(self.clock)
        self.runs = MemoryRunStore(self.clock, self.outbox)
        self.pipelines = MemoryPipelineStore(self.statuses)


def _with_process(run: Run, spawned: Spawned) -> Run:
    return replace(run, process=spawned.process, runtime=spawned.runtime)
