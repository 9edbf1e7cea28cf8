"""Stand-ins for what lies beyond the process: an orchestrator, a directory of entities, processes and their output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from minisched.acting import Action
from minisched.domain.errors import EntityNotFound, MinischedError, NotFound
from minisched.domain.outcome import outcome
from minisched.domain.pipeline import NOT_JUDGED, Deployment, Document, Judgement, PipelineRef
from minisched.domain.queueing import Admission
from minisched.domain.run import Outcome, Run, RunReason, RunState
from minisched.ports import (
    AuditEntry,
    ClientResponse,
    Clock,
    EntityRef,
    LogPage,
    RunOptions,
    RunQuery,
    RunStore,
    RuntimeStatus,
)

__all__ = [
    "FakeAlarm",
    "FakeExecutor",
    "FakeRuntimeChoice",
    "FakeRuntimes",
    "MemoryAuditTrail",
    "MemoryDirectory",
    "MemoryRunLogs",
    "ScriptedClient",
    "ScriptedJudge",
]


@dataclass
class Call:
    """One thing that an orchestrator was asked."""

    verb: str
    subject: Any
    details: dict[str, Any]


@dataclass
class ScriptedClient:
    """A PipelineServiceClient that says yes to everything, unless a test puts an answer or an error in its mouth."""

    platform: str = "scripted"
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def script(self, verb: str, answer: Any) -> None:
        """From now on `verb` answers with this; an error is raised, a function is called with the subject."""
        self.answers[verb] = answer

    def asked(self, verb: str) -> list[Call]:
        return [call for call in self.calls if call.verb == verb]

    def _said(self, verb: str, subject: Any, default: Any, **details: Any) -> Any:
        self.calls.append(Call(verb, subject, details))
        answer = self.answers.get(verb, default)
        if isinstance(answer, MinischedError):
            raise answer
        return answer(subject) if callable(answer) else answer

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        answer: ClientResponse = self._said("status", None, ClientResponse(200, None, self.platform, "2.0.7"))
        return answer

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        answer: ClientResponse = self._said("automation", workflow, ClientResponse(200, "done", self.platform))
        return answer

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        answer: ClientResponse = self._said("deploy", pipeline, ClientResponse(200, "deployed", self.platform))
        return answer

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        said = ClientResponse(200, "triggered", self.platform)
        answer: ClientResponse = self._said("run", pipeline, said, options=options)
        return answer

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        answer: ClientResponse = self._said("delete", pipeline, ClientResponse(200, "deleted", self.platform))
        return answer

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        said = ClientResponse(200, "toggled", self.platform)
        answer: ClientResponse = self._said("toggle", pipeline, said, enabled=enabled)
        return answer

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        answer: list[Document] = self._said("statuses", pipeline, [], only_queued=only_queued)
        return answer

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        page = LogPage("ingestion_task", "hello\n", total=1, after=None)
        answer: LogPage = self._said("logs", after, page, run_id=run_id)
        return answer

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        said = ClientResponse(200, "killed", self.platform)
        answer: ClientResponse = self._said("kill", pipeline, said, run_id=run_id, by=by)
        return answer

    def request_get_host_ip(self) -> str:
        answer: str = self._said("ip", None, "192.0.2.1")
        return answer


class MemoryDirectory:
    """Entities by (type, id) and by (type, FQN)."""

    def __init__(self, *entities: EntityRef) -> None:
        self._entities = list(entities)
        self.lookups = 0

    def add(self, entity: EntityRef) -> EntityRef:
        self._entities.append(entity)
        return entity

    def resolve(self, entity_type: str, entity_id: str, *, fields: Sequence[str] = ()) -> EntityRef:
        return self._found(entity_type, entity_id, lambda entity: entity.id)

    def resolve_by_name(self, entity_type: str, fqn: str, *, fields: Sequence[str] = ()) -> EntityRef:
        return self._found(entity_type, fqn, lambda entity: entity.fully_qualified_name)

    def _found(self, entity_type: str, key: str, key_of: Callable[[EntityRef], str]) -> EntityRef:
        self.lookups += 1
        for entity in self._entities:
            if entity.type == entity_type and key_of(entity) == key:
                return entity
        raise EntityNotFound(f"{entity_type} instance for {key} not found")


class MemoryRunLogs:
    """Output that a test writes."""

    def __init__(self) -> None:
        self._logs: dict[str, bytes] = {}

    def write(self, run_id: str, data: bytes) -> None:
        self._logs[run_id] = self._logs.get(run_id, b"") + data

    def size(self, run_id: str) -> int:
        return len(self._logs.get(run_id, b""))

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        return self._logs.get(run_id, b"")[offset : offset + limit]

    def gap(self, run_id: str, *, offset: int) -> int:
        return 0


class FakeExecutor:
    """Runs nothing by itself: a test claims and ends runs; a run that is to be stopped ends when it is waited for."""

    def __init__(self, runs: RunStore, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self.wakes = 0
        self.counters: dict[str, list[Document]] = {}
        self.ends_on_request = True

    def wake(self) -> None:
        self.wakes += 1

    def heed_stops(self) -> None:
        self.wakes += 1

    def admission(self) -> Admission:
        return Admission(slots=1_000, runtimes=("default", "main"))

    def start(self) -> Run:
        """The next queued run, running now."""
        run = self._runs.claim(slots=1_000)
        assert run is not None, "nothing is queued"
        return run

    def end(self, run_id: str, result: Outcome | None = None) -> Run:
        ended = self._clock.now() + timedelta(seconds=1)
        done = outcome(RunState.SUCCESS, RunReason.COMPLETED, "The workflow ended well.")
        return self._runs.finish(run_id, result or done, ended_at=ended)

    def await_end(self, run_ids: Iterable[str], *, timeout_s: float) -> bool:
        if not self.ends_on_request:
            return False
        for run_id in run_ids:
            run = self._runs.get(run_id)
            if run.state is RunState.RUNNING and run.stop is not None:
                self.end(run_id, outcome(RunState.STOPPED, RunReason.STOP_REQUESTED, f"Stopped by {run.stop.by}."))
        return True

    def live_counters(self, run_id: str) -> list[Document]:
        return self.counters.get(run_id, [])

    def stop_all(self) -> None:
        """End what a test left running."""
        for run in self._runs.search(RunQuery(states=(RunState.RUNNING,))):
            self.end(run.id)


class FakeAlarm:
    """Remembers which deployments it would ring for."""

    def __init__(self) -> None:
        self.schedules: dict[str, str | None] = {}
        self.settled: list[tuple[str, datetime]] = []

    def settle(self, pipeline_id: str, at: datetime) -> None:
        self.settled.append((pipeline_id, at))

    def set(self, deployment: Deployment) -> None:
        self.schedules[deployment.id] = deployment.schedule if deployment.enabled else None

    def remove(self, pipeline_id: str) -> None:
        self.schedules.pop(pipeline_id, None)


class FakeRuntimes:
    """Runtimes in the states that a test gives them."""

    def __init__(self, *statuses: RuntimeStatus) -> None:
        self.known = list(statuses) or [RuntimeStatus("main", "ready", version="2.0.7.0", import_s=5.4, spares=2)]

    def statuses(self) -> list[RuntimeStatus]:
        return list(self.known)


class FakeRuntimeChoice:
    """Everything is run by `main`, unless the deployment says otherwise; other runtimes exist as a test says."""

    def __init__(self, default: str = "main", **versions: str) -> None:
        self.default = default
        self.versions = {default: "2.0.7.0", **versions}
        self.undecided = False

    def of(self, deployment: Deployment) -> str:
        return deployment.runtime or self.default

    def known(self, deployment: Deployment) -> str | None:
        return None if self.undecided else self.of(deployment)

    def of_automation(self, workflow: Document) -> str:
        return self.default

    def version(self, runtime: str) -> str | None:
        if runtime not in self.versions:
            raise NotFound(f"There is no runtime {runtime!r}.")
        return self.versions[runtime]


@dataclass
class ScriptedJudge:
    """A PipelineJudge that finds nothing, unless a test puts a judgement or an error in its mouth."""

    answer: Judgement | MinischedError = NOT_JUDGED
    asked: list[tuple[Document, str]] = field(default_factory=list)

    def judge(self, pipeline: Document, *, runtime: str) -> Judgement:
        self.asked.append((pipeline, runtime))
        if isinstance(self.answer, MinischedError):
            raise self.answer
        return self.answer


class MemoryAuditTrail:
    """Keeps what was noted; nothing else is recorded where no database is witnessed."""

    def __init__(self) -> None:
        self.noted: list[Action] = []

    def note(self, action: Action) -> None:
        self.noted.append(action)
        action.note_recorded(action.unrecorded())

    def entries(self, *, limit: int, before: int | None = None, user: str | None = None) -> list[AuditEntry]:
        return []

    def prune(self, *, before: datetime, limit: int) -> int:
        return 0
