"""The orchestrator that is this machine: PipelineServiceClient over our own tables, queue and processes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from minisched.clients.log_pages import read_page
from minisched.domain import pipeline_status
from minisched.domain import schedule as schedules
from minisched.domain.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidPipelineConfig,
    MinischedError,
    NameCollision,
    OrchestratorUnavailable,
    PipelineNotFound,
    RunNotFound,
)
from minisched.domain.outcome import stopped_in_queue
from minisched.domain.pipeline import (
    PIPELINE_TYPES,
    Deployment,
    Document,
    Judgement,
    PipelineRef,
    clean_name,
    task_id,
)
from minisched.domain.placement import name_collision
from minisched.domain.run import ACTIVE_STATES, DEFAULT_RETRY_DELAY_S, Run, RunKind, RunState, StopRequest
from minisched.domain.secrets import secret_values
from minisched.domain.versions import Line, is_version, line_of
from minisched.observability import remember_secrets
from minisched.ports import (
    Alarm,
    AutomationRunner,
    ClientResponse,
    Clock,
    DeploymentStore,
    Executor,
    LogPage,
    PipelineJudge,
    RunLogs,
    RunOptions,
    RunQuery,
    RunStore,
    RuntimeChooser,
    RuntimeHealth,
)

_log = structlog.get_logger(__name__)

_STATUS_LIMIT = 10
# Named in OpenMetadata's enum, but without a workflow in any current line (contract §1.19).
_REFUSED_TYPES = {
    "policyAgent": "policyAgent pipelines have no workflow in openmetadata-ingestion.",
}
# The last line that has a workflow for the type.
_LAST_LINES: dict[str, Line] = {"dataInsight": (1, 4)}


class LocalClient:
    """Implements `ports.PipelineServiceClient`."""

    platform = "local"

    def __init__(
        self,
        *,
        deployments: DeploymentStore,
        runs: RunStore,
        logs: RunLogs,
        executor: Executor,
        health: RuntimeHealth,
        alarm: Alarm,
        automations: AutomationRunner,
        clock: Clock,
        chooser: RuntimeChooser,
        judge: PipelineJudge,
        host_ip: Callable[[], str],
        kill_patience_s: float,
    ) -> None:
        self._deployments = deployments
        self._runs = runs
        self._logs = logs
        self._executor = executor
        self._health = health
        self._alarm = alarm
        self._automations = automations
        self._clock = clock
        self._chooser = chooser
        self._judge = judge
        self._host_ip = host_ip
        self._kill_patience_s = kill_patience_s
        # A deployment that keeps what a toggle decided reads and writes; no toggle may come between.
        self._changing_enabled = threading.Lock()

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        name = self._chooser.default if runtime is None else runtime
        statuses = [status for status in self._health.statuses() if status.name == name]
        for status in statuses:
            if status.state == "ready":
                return ClientResponse(200, None, self.platform, version=status.version)
            # While the modules are being imported, runs are queued and nothing is lost: that is healthy.
            if status.state in ("starting", "stopped") and status.version:
                return ClientResponse(200, f"The runtime {name} is starting.", self.platform, status.version)
        if statuses or runtime is None:
            problems = "; ".join(f"{status.name}: {status.problem or status.state}" for status in statuses)
            return ClientResponse(500, f"No runtime can run anything. {problems}".strip(), self.platform)
        return self._status_of_unstarted(runtime)

    def _status_of_unstarted(self, runtime: str) -> ClientResponse:
        try:
            version = self._chooser.version(runtime)
        except MinischedError as error:
            return ClientResponse(500, str(error), self.platform)
        return ClientResponse(200, f"The runtime {runtime} starts when it is needed.", self.platform, version)

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        name = self._chooser.of_automation(workflow) if runtime is None else self._existing(runtime)
        return self._automations.run(workflow, runtime=name)

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        remember_secrets(secret_values(pipeline))
        wanted = None if runtime is None else self._existing(runtime)
        checked = replace(self._checked(pipeline), runtime=wanted)
        self._check_line(checked)
        deployment, notes = self._judged(checked)
        with self._changing_enabled:
            enabled = self._enabled(deployment, keep_toggled=keep_toggled)
            # Judging takes a while: what came meanwhile is the former schedule's.
            deployment = replace(deployment, enabled=enabled, deployed_at=self._clock.now())
            self._alarm.settle(deployment.id, deployment.deployed_at)
            changed = self._upserted(deployment)
            self._alarm.set(deployment)
        word = "has been created" if changed else "is deployed already, unchanged"
        if changed:
            _log.info("pipeline.deployed", pipeline=deployment.fqn, runtime=deployment.runtime, notes=list(notes))
        return replace(self._said(" ".join([f"Workflow [{deployment.name}] {word}", *notes])), notes=notes)

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        deployment = self._deployed(pipeline)
        # A key is the caller's for this pipeline; for another one it means another run.
        key = options.idempotency_key and f"{deployment.id}:{options.idempotency_key}"
        run = self._runs.enqueue(self._manual_run(deployment, options), idempotency_key=key)
        self._executor.wake()
        return self._said(f"Workflow [{deployment.name}] has been triggered as run {run.id}", run_id=run.id)

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        deployment = self._find(pipeline)
        if deployment is None:
            return self._said(f"Workflow [{pipeline.name}] is not deployed")
        deleted_at = self._clock.now()
        self._alarm.settle(deployment.id, deleted_at)
        self._alarm.remove(deployment.id)
        self._stop_all(deployment, None, by="minisched", why="the pipeline was deleted")
        self._deployments.delete(deployment.id, at=deleted_at)
        return self._said(f"Workflow [{deployment.name}] has been deleted")

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        with self._changing_enabled:
            deployment = self._find(pipeline)
            if deployment is None or not self._toggled(deployment, enabled=enabled):
                return ClientResponse(404, f"Workflow [{pipeline.name}] is not deployed", self.platform)
            self._alarm.set(self._deployed(pipeline))
        return self._said(f"Workflow [{deployment.name}] has been {'enabled' if enabled else 'disabled'}")

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        states = (RunState.QUEUED,) if only_queued else ()
        query = RunQuery(pipeline_id=self._deployed(pipeline).id, states=states, limit=_STATUS_LIMIT)
        return [pipeline_status.of_run(run) for run in self._runs.search(query)]

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        deployment = self._deployed(pipeline)
        if run_id is None:
            run_id = self._latest(deployment)
        return read_page(self._logs, run_id, task_id(deployment.pipeline_type), after)

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        deployment = self._deployed(pipeline)
        ended = self._stop_all(deployment, run_id, by=by, why="a person asked for it")
        if not ended:
            return ClientResponse(404, f"Workflow [{deployment.name}] has no running or pending runs", self.platform)
        return self._said(f"Workflow [{deployment.name}] has been killed: {len(ended)} ended")

    def request_get_host_ip(self) -> str:
        return self._host_ip()

    # --- parts ------------------------------------------------------------------------------------------------------

    def _existing(self, runtime: str) -> str:
        self._chooser.version(runtime)
        return runtime

    def _judged(self, deployment: Deployment) -> tuple[Deployment, tuple[str, ...]]:
        """With what the models of its runtime say about it, and what the caller has to be told of that."""
        runtime = self._chooser.known(deployment)
        try:
            if runtime is None:
                raise OrchestratorUnavailable("Its runtime depends on the version of a server that was not asked yet.")
            judgement = self._judge.judge(deployment.document, runtime=runtime)
        except OrchestratorUnavailable as error:
            return deployment, (f"It was not checked by the models that will run it. {error.message}",)
        return replace(deployment, judgement=judgement), _notes(judgement)

    def _checked(self, pipeline: Document) -> Deployment:
        pipeline_type = str(pipeline.get("pipelineType"))
        if pipeline_type not in PIPELINE_TYPES:
            hint = f"It is one of {', '.join(PIPELINE_TYPES)}."
            raise InvalidPipelineConfig(f"unknown type {pipeline_type!r}", field="pipelineType", hint=hint)
        if pipeline_type in _REFUSED_TYPES:
            raise InvalidPipelineConfig(_REFUSED_TYPES[pipeline_type], field="pipelineType")
        for field in ("id", "name", "sourceConfig"):
            if not pipeline.get(field):
                raise InvalidPipelineConfig(f"Missing parameter '{field}'", field=field)
        schedules.validate(dict(pipeline.get("airflowConfig") or {}))
        return Deployment(
            id=str(pipeline["id"]),
            name=str(pipeline["name"]),
            fqn=str(pipeline.get("fullyQualifiedName") or pipeline["name"]),
            pipeline_type=pipeline_type,
            document=pipeline,
            enabled=bool(pipeline.get("enabled", True)),
            deployed_at=self._clock.now(),
        )

    def _check_line(self, deployment: Deployment) -> None:
        """Whether its runtime still has a workflow of this type, as far as its version is known."""
        last = _LAST_LINES.get(deployment.pipeline_type)
        version = self._version_of(self._chooser.known(deployment)) if last else None
        if last and version and is_version(version) and line_of(version) > last:
            kind = deployment.pipeline_type
            text = f"{kind} pipelines ended with OpenMetadata {last[0]}.{last[1]}; here is {version}."
            raise InvalidPipelineConfig(text, field="pipelineType", hint="Use the application of that name instead.")

    def _version_of(self, runtime: str | None) -> str | None:
        return next((status.version for status in self._health.statuses() if status.name == runtime), None)

    def _enabled(self, deployment: Deployment, *, keep_toggled: bool) -> bool:
        asked = deployment.document.get("enabled")
        if asked is not None and not keep_toggled:
            return bool(asked)
        stored = self._stored(deployment.id)
        if stored is None:
            return deployment.enabled
        last_asked = stored.document.get("enabled", True)
        return stored.enabled if asked is None or bool(asked) == bool(last_asked) else bool(asked)

    def _stored(self, pipeline_id: str) -> Deployment | None:
        try:
            return self._deployments.get(pipeline_id)
        except ConfigurationError:
            return None  # sealed with a key that was lost: what is deployed now replaces it

    def _upserted(self, deployment: Deployment) -> bool:
        try:
            return self._deployments.upsert(deployment)
        except NameCollision:
            other = self._deployments.find(deployment.clean_name)
            raise name_collision(deployment.fqn, deployment.name, other.fqn if other else None) from None

    def _manual_run(self, deployment: Deployment, options: RunOptions) -> Run:
        overrides: Document = {}
        if options.app_config_override:
            overrides["appConfig"] = options.app_config_override
        if options.source_config_override:
            overrides["sourceConfig"] = options.source_config_override
        return new_run(
            deployment,
            run_id=_uuid(options.run_id) if options.run_id else str(uuid4()),
            kind=RunKind.MANUAL,
            clock=self._clock,
            runtime=self._chooser.of(deployment),
            requested_by=options.requested_by,
            overrides=overrides,
        )

    def _toggled(self, deployment: Deployment, *, enabled: bool) -> bool:
        now = self._clock.now()
        self._alarm.settle(deployment.id, now)
        return self._deployments.set_enabled(deployment.id, enabled=enabled, at=now)

    def _find(self, pipeline: PipelineRef) -> Deployment | None:
        if pipeline.id is not None:
            return self._deployments.get(pipeline.id)
        return self._deployments.find(clean_name(pipeline.name))

    def _deployed(self, pipeline: PipelineRef) -> Deployment:
        deployment = self._find(pipeline)
        if deployment is None:
            raise PipelineNotFound(f"Pipeline {pipeline.name} is not deployed", hint="Deploy it first.")
        return deployment

    def _stop_all(self, deployment: Deployment, run_id: str | None, *, by: str, why: str) -> list[Run]:
        """The runs that were ended, with the next attempts of those that failed in this very moment."""
        ended: dict[str, Run] = {}
        while active := [run.id for run in self._active(deployment) if _is_meant(run, run_id, ended)]:
            stop = StopRequest(at=self._clock.now(), by=by, why=why)
            runs = self._runs.request_stop(active, stop, stopped_in_queue(stop))
            self._executor.heed_stops()
            if not self._executor.await_end([run.id for run in runs], timeout_s=self._kill_patience_s):
                raise OrchestratorUnavailable(
                    f"Runs of {deployment.name} are being ended, but not all their processes are gone yet.",
                    hint="The wish is recorded; ask again for the state of the runs.",
                )
            ended |= {run.id: run for run in runs}
        return list(ended.values())

    def _latest(self, deployment: Deployment) -> str:
        """The run whose log is of interest: of an attempt that still waits, the one before. Raises RunNotFound."""
        latest = self._runs.search(RunQuery(pipeline_id=deployment.id, limit=1))
        if not latest:
            raise RunNotFound(f"Pipeline {deployment.name} has no run yet")
        [run] = latest
        return run.retry_of if run.retry_of is not None and run.state is RunState.QUEUED else run.id

    def _active(self, deployment: Deployment) -> list[Run]:
        query = RunQuery(pipeline_id=deployment.id, states=tuple(ACTIVE_STATES), limit=10_000)
        return self._runs.search(query)

    def _said(self, message: str, *, run_id: str | None = None) -> ClientResponse:
        version = next((status.version for status in self._health.statuses() if status.version), None)
        text = json.dumps({"message": message})
        return ClientResponse(200, text, self.platform, version=version, run_id=run_id, recorded=run_id is not None)


def _notes(judgement: Judgement) -> tuple[str, ...]:
    if not judgement.left_out:
        return ()
    fields = ", ".join(judgement.left_out)
    return (f"Left out when it runs, because openmetadata-ingestion {judgement.by} does not know it: {fields}",)


def new_run(
    deployment: Deployment,
    *,
    run_id: str,
    kind: RunKind,
    clock: Clock,
    runtime: str,
    requested_by: str,
    overrides: Document | None = None,
    scheduled_for: datetime | None = None,
    not_before: datetime | None = None,
) -> Run:
    """A queued run of the deployment, with the limits that its airflowConfig asks for (contract §4.2)."""
    limits = deployment.airflow_config
    return Run(
        id=run_id,
        pipeline_id=deployment.id,
        pipeline_fqn=deployment.fqn,
        pipeline_name=deployment.name,
        pipeline_type=deployment.pipeline_type,
        service_fqn=deployment.service_fqn,
        kind=kind,
        enqueued_at=clock.now(),
        scheduled_for=scheduled_for,
        not_before=not_before,
        retries=_count(limits.get("retries"), 0),
        retry_delay_s=_count(limits.get("retryDelay"), DEFAULT_RETRY_DELAY_S),
        max_active_runs=max(1, int(limits.get("maxActiveRuns") or 1)),
        timeout_s=limits.get("workflowTimeout") or None,
        requested_by=requested_by,
        runtime=runtime,
        overrides=overrides or {},
    )


def _is_meant(run: Run, run_id: str | None, ended: Collection[str]) -> bool:
    """Whether a kill of all runs, or of this one, means this run: what is triggered after it began is left alone."""
    return run.retry_of in ended if ended else run_id in (None, run.id)


def _count(value: object, default: int) -> int:
    """What a document says, which may be anything that a caller of the plugin's dialect has sent."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _uuid(text: str) -> str:
    """The caller's run id as a UUID: itself, or one derived from it, because OpenMetadata accepts nothing else."""
    try:
        return str(UUID(text))
    except ValueError:
        if not text.strip():
            raise InvalidInput("must not be blank", field="run_id") from None
        return str(UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5))
