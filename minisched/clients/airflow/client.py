"""PipelineServiceClient over the plugin's routes: every answer becomes a result or an error of ours (contract §1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID, uuid4, uuid5

import structlog

from minisched.clients.airflow.answer import Answer
from minisched.clients.airflow.log_tasks import LogTasks
from minisched.clients.airflow.payload import differences, for_the_plugin
from minisched.clients.airflow.plugin import Plugin
from minisched.clients.airflow.refusals import refusal
from minisched.clients.airflow.server import AirflowServer
from minisched.domain.errors import (
    DuplicateRun,
    InvalidInput,
    InvalidPipelineConfig,
    MinischedError,
    NameCollision,
    OrchestratorError,
    OrchestratorRejected,
    OrchestratorUnavailable,
    PipelineNotFound,
    RunNotFound,
)
from minisched.domain.pipeline import Document, PipelineRef, clean_name
from minisched.domain.secrets import secret_values
from minisched.domain.versions import Line, is_version, line_of, same_line
from minisched.observability import remember_secrets
from minisched.ports import ClientResponse, LogPage, RunOptions

_log = structlog.get_logger(__name__)

# What a key and a pipeline's name make together is the id of the one run that they stand for.
_KEYS = UUID("0b9e2f5c-8a57-4a35-9a0c-5d0f6f2f4b1e")
_PARSE_POLL_S = 0.5
# The plugin for Airflow 2 forks out of a web worker after a deploy, and some of these then hang; the next look is
# answered by another worker.
_PARSE_LOOK_S = 5.0
# What the plugin says of the log of a run that has no task, and how often that may be so in a row.
_NO_TASK = "Cannot find any task instance"
_EMPTY_RUNS = 3
_SECOND_S = 1.0


class AirflowClient:
    """Implements `ports.PipelineServiceClient`.

    `complete` gives a document the OpenMetadata server that its runs talk to, `server_version` tells that server's
    version when it is known, and `holder_of` the FQN of another pipeline that is deployed under the same workflow id:
    Airflow would overwrite it. A `host_ip` is told as it is, without asking Airflow.

    Airflow knows pipelines by name only, lets only whole runs of a pipeline be ended together, and keeps its answer to
    a kill shorter than the death of a process. Runs get ids of ours, but report to OpenMetadata under others. Some runs
    it makes without a task and takes for a success: they are triggered again (see `_is_empty`).
    """

    platform = "Airflow"

    def __init__(
        self,
        server: AirflowServer,
        *,
        complete: Callable[[Document], Document],
        server_version: Callable[[], str | None] = lambda: None,
        holder_of: Callable[[Document], str | None] = lambda _: None,
        host_ip: str | None = None,
    ) -> None:
        self._server = server
        self._plugin = Plugin(server)
        self._impatient = Plugin(replace(server, read_timeout_s=min(server.read_timeout_s, _PARSE_LOOK_S)))
        self._tasks = LogTasks()
        self._complete = complete
        self._server_version = server_version
        self._holder_of = holder_of
        self._host_ip = host_ip

    @property
    def version(self) -> str | None:
        """Of the ingestion package in Airflow, as it was told last."""
        return self._plugin.version

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        try:
            _refuse_runtime(runtime)
            answer = self._done(self._plugin.ask("health-auth"), "tell its state")
            version = answer.body.get("version")
            self._refuse_version(version)
        except MinischedError as error:
            return ClientResponse(500, str(error), self.platform)
        return ClientResponse(200, None, self.platform, version=version)

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        _refuse_runtime(runtime)
        remember_secrets(secret_values(workflow))
        name = workflow.get("name")
        answer = self._plugin.post("run_automation", self._complete(workflow))
        if answer.status == HTTPStatus.BAD_REQUEST and answer.reason:
            raise InvalidInput(answer.reason)
        return self._said(answer, f"run the automation {name!r}")

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        """Airflow keeps the paused state by itself; what `enabled` says is told to it after the deployment."""
        _refuse_runtime(runtime)
        remember_secrets(secret_values(pipeline))
        name = str(pipeline.get("name"))
        self._refuse_collision(pipeline)
        line = self._line()
        answer = self._plugin.post("deploy", for_the_plugin(self._complete(pipeline), line))
        if answer.status == HTTPStatus.BAD_REQUEST and answer.reason:
            raise InvalidPipelineConfig(answer.reason)
        if not answer.ok:
            self._sweep(PipelineRef(name))
        done = self._said(answer, f"deploy {name!r}")
        self._tasks.note(clean_name(name), str(pipeline.get("pipelineType")))
        notes = differences(pipeline, line)
        if not self._is_parsed(PipelineRef(name)):
            notes += ("Airflow has not parsed it yet: it can be triggered when it has.",)
        elif not keep_toggled and pipeline.get("enabled") is not None:
            # One that is not parsed was created as it should be.
            self.toggle_ingestion(PipelineRef(name), enabled=bool(pipeline["enabled"]))
        return replace(done, reason=" ".join([done.reason or "", *notes]).strip(), notes=notes)

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        """The run's id is ours; with a key, it is always the same one. Its workflow reports under another id."""
        if options.source_config_override:
            raise OrchestratorRejected(
                f"Airflow's plugin cannot narrow a run: it would run all of {pipeline.name}.",
                hint="Trigger the whole pipeline, or run it on this machine.",
            )
        run_id = _run_id(pipeline, options)
        body: Document = {"dag_id": pipeline.name}
        if options.app_config_override:
            body["conf"] = {"appConfigOverride": options.app_config_override}
        answer = self._plugin.post("trigger", body, run_id=run_id)
        if not answer.ok:
            if (known := self._look_for_run(pipeline, run_id, options, answer)) is not None:
                return ClientResponse(200, None, self.platform, self.version, known)
            # It has no two runs of one second.
            answer = self._trigger_later(pipeline, run_id, body)
        if self._is_empty(pipeline):
            run_id = self._run_in_place_of(run_id, pipeline, body)
        return ClientResponse(200, answer.text, self.platform, self.version, run_id)

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        """The plugin's delete leaves processes alone, and fails when anything of the pipeline is missing."""
        killed = self._plugin.post("kill", {"dag_id": pipeline.name})
        if not killed.ok and killed.status != HTTPStatus.NOT_FOUND:
            _log.warning("airflow.not_killed", pipeline=pipeline.name, status=killed.status)
        answer = self._plugin.delete("delete", dag_id=pipeline.name)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and self._is_known(pipeline):
            # On Airflow 3 it cannot delete what has had a run: its files are gone, its records are not.
            self._plugin.delete_records(clean_name(pipeline.name))
        if not answer.ok and not self._is_known(pipeline):
            return ClientResponse(200, f"Workflow [{pipeline.name}] is not deployed", self.platform)
        return self._said(answer, f"delete {pipeline.name!r}")

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        route = "enable" if enabled else "disable"
        answer = self._plugin.post(route, {"dag_id": pipeline.name})
        if _names_nothing(answer):
            return ClientResponse(404, answer.error, self.platform)
        return self._said(answer, f"{route} {pipeline.name!r}")

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        return self._statuses(pipeline, **({"only_queued": "true"} if only_queued else {}))

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        """The plugin has the log of the latest run only."""
        if run_id is not None:
            self._require_latest(pipeline, run_id)
        name = clean_name(pipeline.name)
        arguments = {"dag_id": pipeline.name} | ({} if after is None else {"after": str(after)})
        for task in self._tasks.of(name):
            answer = self._plugin.ask("last_dag_logs", task_id=task, **arguments)
            if not _is_other_task(answer):
                self._tasks.found(name, task)
                return self._page(pipeline, task, after, answer)
        raise RunNotFound(f"Airflow has no log of {pipeline.name}")

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        """Airflow's records are terminal when it returns; it ends the processes when it next looks at them."""
        if run_id is not None:
            raise OrchestratorRejected(
                "Airflow's plugin cannot end one run, only all runs of a pipeline.",
                hint="Kill the pipeline, or end the run in Airflow.",
            )
        answer = self._plugin.post("kill", {"dag_id": pipeline.name})
        if _names_nothing(answer):
            self._statuses(pipeline)
            return ClientResponse(404, answer.error, self.platform)
        done = self._said(answer, f"kill {pipeline.name!r}")
        _log.info("airflow.killed", pipeline=pipeline.name, by=by)
        return done

    def request_get_host_ip(self) -> str:
        if self._host_ip is not None:
            return self._host_ip
        answer = self._done(self._plugin.ask("ip"), "tell its address")
        ip = answer.body.get("ip") if isinstance(answer.body, dict) else None
        if not isinstance(ip, str) or ip == "unknown":
            raise OrchestratorUnavailable("Airflow does not know its address.", hint="Set host_ip.")
        return ip

    # --- parts ------------------------------------------------------------------------------------------------------

    def _done(self, answer: Answer, what: str) -> Answer:
        if not answer.ok:
            raise refusal(answer, self._server, what)
        return answer

    def _said(self, answer: Answer, what: str) -> ClientResponse:
        return ClientResponse(200, self._done(answer, what).text, self.platform, self.version)

    def _line(self) -> Line | None:
        """Of the ingestion package in Airflow, asked anew: it may have been replaced since."""
        version = self._plugin.ask_version()
        return line_of(version) if version and is_version(version) else None

    def _refuse_version(self, version: object) -> None:
        """Servers want the ingestion package of their own line (contract §1.3)."""
        if not isinstance(version, str):
            raise OrchestratorUnavailable(
                f"Airflow at {self._server.url} does not tell its ingestion package's version."
            )
        line_of(version)
        server = self._server_version()
        if server is not None and not same_line(server, version):
            raise OrchestratorRejected(
                f"Airflow has openmetadata-ingestion {version}, and OpenMetadata is {server}: they have to be of one "
                "major.minor.",
                hint=f"Install openmetadata-ingestion and openmetadata-managed-apis {'.'.join(server.split('.')[:2])} "
                "in Airflow, or correct airflow.url.",
            )

    def _refuse_collision(self, pipeline: Document) -> None:
        holder = self._holder_of(pipeline)
        if holder is not None:
            raise NameCollision(
                f"{pipeline.get('fullyQualifiedName')} cannot be deployed: Airflow knows pipelines by workflow id, and "
                f"its id {clean_name(str(pipeline.get('name')))!r} belongs to {holder} already.",
                hint="Rename one of the two, or delete the other one first.",
            )

    def _is_parsed(self, pipeline: PipelineRef) -> bool:
        """Airflow answers a first deploy before its scheduler knows the pipeline; waits for that within limits, and for
        the end of the second in which it was parsed: a run of that second would be empty."""
        deadline = time.monotonic() + self._server.parse_wait_s
        pause = threading.Event()
        just_now = False
        while True:
            with suppress(OrchestratorError):
                if self._is_known(pipeline, self._impatient):
                    pause.wait(_SECOND_S if just_now else 0)
                    return True
            just_now = True
            if time.monotonic() >= deadline:
                return False
            pause.wait(_PARSE_POLL_S)

    def _sweep(self, pipeline: PipelineRef) -> None:
        """Of a first deploy that failed, the plugin keeps the files, secrets included, and Airflow parses them.

        Of a later one it keeps the new files in the place of the old; deploying the old again is up to the caller.
        """
        try:
            if not self._is_known(pipeline):
                self._plugin.delete("delete", dag_id=pipeline.name)
        except OrchestratorError as error:
            _log.warning("airflow.not_swept", pipeline=pipeline.name, error=str(error))

    def _is_empty(self, pipeline: PipelineRef) -> bool:
        """On Airflow 3 a DAG of the plugin begins when its file was parsed last, and a run at the full second before
        its trigger. A run that so begins before its DAG has no task, and Airflow calls it a success."""
        with suppress(OrchestratorError):
            answer = self._plugin.ask("last_dag_logs", dag_id=pipeline.name, task_id="ingestion_task")
            return answer.status == HTTPStatus.NOT_FOUND and _NO_TASK in (answer.error or "")
        return False

    def _trigger_later(self, pipeline: PipelineRef, run_id: str, body: Document) -> Answer:
        """As before, in another second."""
        threading.Event().wait(_SECOND_S)
        return self._done(self._plugin.post("trigger", body, run_id=run_id), f"trigger {pipeline.name!r}")

    def _run_in_place_of(self, run_id: str, pipeline: PipelineRef, body: Document) -> str:
        """The id of the run that was triggered because this one is empty."""
        for _ in range(_EMPTY_RUNS):
            _log.warning("airflow.empty_run", pipeline=pipeline.name, run_id=run_id)
            run_id = _in_place_of(run_id)
            self._trigger_later(pipeline, run_id, body)
            if not self._is_empty(pipeline):
                return run_id
        raise OrchestratorUnavailable(
            f"Airflow takes runs of {pipeline.name} for done that have no task.", hint="Trigger it again in a moment."
        )

    def _look_for_run(self, pipeline: PipelineRef, run_id: str, options: RunOptions, answer: Answer) -> str | None:
        """The id of the run that is there all the same, if the caller's key means it; None when nothing explains why
        the trigger failed.

        For a pipeline that is not known, for a run that exists, and for one that began in the same second, the plugin
        has one answer, 500 without words.
        """
        if not answer.is_the_plugins:
            raise refusal(answer, self._server, f"trigger {pipeline.name!r}")
        known = {status["runId"] for status in self._statuses(pipeline)}
        if run_id not in known:
            return None
        if options.run_id or not options.idempotency_key:
            raise DuplicateRun(f"Pipeline {pipeline.name} has a run {run_id} already")
        while _in_place_of(run_id) in known:
            run_id = _in_place_of(run_id)
        return run_id

    def _is_known(self, pipeline: PipelineRef, plugin: Plugin | None = None) -> bool:
        try:
            self._told_by(plugin or self._plugin, pipeline)
        except PipelineNotFound:
            return False
        return True

    def _statuses(self, pipeline: PipelineRef, **arguments: str) -> list[Document]:
        return self._told_by(self._plugin, pipeline, **arguments)

    def _told_by(self, plugin: Plugin, pipeline: PipelineRef, **arguments: str) -> list[Document]:
        answer = plugin.ask("status", dag_id=pipeline.name, **arguments)
        if _names_nothing(answer):
            raise PipelineNotFound(f"Pipeline {pipeline.name} is not deployed in Airflow", hint="Deploy it first.")
        rows = self._done(answer, f"tell the runs of {pipeline.name!r}").body
        if not isinstance(rows, list):
            raise OrchestratorUnavailable(f"Airflow at {self._server.url} told something else than a list of runs.")
        return [_without_nulls(row) for row in rows if isinstance(row, dict) and row.get("runId")]

    def _require_latest(self, pipeline: PipelineRef, run_id: str) -> None:
        known = [status["runId"] for status in self._statuses(pipeline)]
        if run_id not in known:
            raise RunNotFound(f"Airflow does not know a run {run_id[:100]} of {pipeline.name}")
        if run_id != known[0]:
            raise OrchestratorRejected("Airflow's plugin gives the log of the latest run only.")

    def _page(self, pipeline: PipelineRef, task: str, after: int | None, answer: Answer) -> LogPage:
        if answer.ok and isinstance(answer.body, dict):
            following = answer.body.get("after")
            return LogPage(
                task_id=task,
                text=str(answer.body.get(task) or ""),
                total=_number(answer.body.get("total"), 1),
                after=None if following is None else _number(following, 0),
            )
        if _names_nothing(answer):
            self._statuses(pipeline)
            raise RunNotFound(f"Pipeline {pipeline.name} has no run yet")
        if answer.status == HTTPStatus.BAD_REQUEST and answer.reason:
            if not after:
                # There is a run, and it has not written anything.
                return LogPage(task_id=task, text="", total=1, after=None)
            raise InvalidInput(answer.reason)
        raise refusal(answer, self._server, f"give the log of {pipeline.name!r}")


def _refuse_runtime(runtime: str | None) -> None:
    if runtime is not None:
        raise OrchestratorRejected(
            f"There is no runtime {runtime!r}: Airflow runs everything with its own ingestion package.",
            hint="Use an endpoint without /runtimes/, or set client: local.",
        )


def _run_id(pipeline: PipelineRef, options: RunOptions) -> str:
    if options.run_id:
        return options.run_id
    if options.idempotency_key:
        return str(uuid5(_KEYS, f"{clean_name(pipeline.name)}:{options.idempotency_key}"))
    return str(uuid4())


def _in_place_of(run_id: str) -> str:
    """The id of the run that is triggered because this one is empty: a repeated trigger finds it by that."""
    return str(uuid5(_KEYS, run_id))


def _names_nothing(answer: Answer) -> bool:
    """The plugin knows no such pipeline, or has nothing of it."""
    return answer.status == HTTPStatus.NOT_FOUND and answer.error is not None


def _is_other_task(answer: Answer) -> bool:
    return answer.status == HTTPStatus.BAD_REQUEST and "not found in DAG" in (answer.reason or "")


def _without_nulls(status: Document) -> Document:
    return {key: value for key, value in status.items() if value is not None}


def _number(value: object, otherwise: int) -> int:
    """Numbers arrive as numbers or as strings."""
    try:
        return int(str(value))
    except ValueError:
        return otherwise
