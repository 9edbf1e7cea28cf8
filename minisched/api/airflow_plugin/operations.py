"""What each route of the plugin does, in terms of the PipelineServiceClient port (contract §1.3 - §1.17)."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from minisched.api.airflow_plugin.call import Call
from minisched.api.airflow_plugin.payloads import check_automation, check_pipeline
from minisched.domain.errors import InvalidInput, PipelineNotFound
from minisched.domain.pipeline import Document, PipelineRef, clean_name
from minisched.ports import ClientResponse, PipelineServiceClient, RunOptions

Answer = tuple[int, Any]

_STATUS_KEYS = ("runId", "pipelineState", "startDate", "timestamp", "endDate", "status", "config", "metadata")
_PAGE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
# OpenMetadata refuses a version without three numbers.
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Operations:
    """One method per route. Each raises MinischedError or answers with a code and a JSON body.

    `runtime` is the one that the caller belongs to, None when it leaves the choice to the settings.
    """

    def __init__(self, client: PipelineServiceClient, caller: str, runtime: str | None = None) -> None:
        self._client = client
        self._caller = caller
        self._runtime = runtime
        self._table: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "health"): self._health,
            ("GET", "health-auth"): self._health,
            ("GET", "csrf-token"): self._csrf_token,
            ("GET", "ip"): self._ip,
            ("GET", "status"): self._status,
            ("GET", "last_dag_logs"): self._last_dag_logs,
            ("POST", "deploy"): self._deploy,
            ("POST", "trigger"): self._trigger,
            ("POST", "enable"): lambda call: self._toggle(call, enabled=True),
            ("POST", "disable"): lambda call: self._toggle(call, enabled=False),
            ("POST", "kill"): self._kill,
            ("POST", "run_automation"): self._run_automation,
            ("POST", "run_application"): self._run_application,
            ("DELETE", "delete"): self._delete,
        }

    def find(self, method: str, name: str) -> Callable[[Call], Answer] | None:
        return self._table.get((method, name))

    def _health(self, _: Call) -> Answer:
        status = self._client.get_service_status(runtime=self._runtime)
        if status.code == HTTPStatus.OK and _VERSION.search(status.version or ""):
            return 200, {"status": "healthy", "version": status.version}
        return 400, {"error": status.reason or "The state of the runtimes is not known yet."}

    def _csrf_token(self, _: Call) -> Answer:
        """No cookie authenticates anybody here, so there is nothing that a token could protect."""
        return 200, {"csrf_token": None, "message": "No token is needed."}

    def _ip(self, _: Call) -> Answer:
        return 200, {"ip": self._client.request_get_host_ip()}

    def _deploy(self, call: Call) -> Answer:
        document = call.document("deploy")
        check_pipeline(document)
        done = self._client.deploy_pipeline(document, keep_toggled=True, runtime=self._runtime)
        return _said(done, ". ".join([f"Workflow [{document['name']}] has been created", *done.notes]))

    def _trigger(self, call: Call) -> Answer:
        name = call.required("dag_id")
        conf = call.object_of("conf") or {}
        options = RunOptions(
            app_config_override=call.object_of("appConfigOverride", conf),
            source_config_override=call.object_of("sourceConfigOverride", conf),
            run_id=call.argument("run_id"),
            requested_by=self._caller,
        )
        return self._run(name, options)

    def _run(self, name: str, options: RunOptions) -> Answer:
        try:
            done = self._client.run_pipeline(PipelineRef(name), options)
        except PipelineNotFound:
            # The plugin's code for this; 404 would be kinder, but not what servers have been tested with.
            return 500, {"error": f"DAG {name} not found. Deploy the pipeline first."}
        return _said(done, f"Workflow [{name}] has been triggered <Run {done.run_id}>")

    def _toggle(self, call: Call, *, enabled: bool) -> Answer:
        name = call.required("dag_id")
        done = self._client.toggle_ingestion(PipelineRef(name), enabled=enabled)
        if done.code == HTTPStatus.NOT_FOUND:
            raise PipelineNotFound
        return _said(done, f"DAG {name} has been {'enabled' if enabled else 'disabled'}")

    def _kill(self, call: Call) -> Answer:
        name = call.required("dag_id")
        done = self._client.kill_ingestion(PipelineRef(name), by=self._caller)
        if done.code == HTTPStatus.NOT_FOUND:
            return 404, {"error": f"Workflow [{name}] has no running or pending runs nor tasks"}
        return _said(done, f"Workflow [{name}] has been killed")

    def _delete(self, call: Call) -> Answer:
        name = call.required("dag_id")
        return _said(self._client.delete_pipeline(PipelineRef(name)), f"DAG [{name}] has been deleted")

    def _status(self, call: Call) -> Answer:
        name = PipelineRef(call.required("dag_id"))
        statuses = self._client.get_pipeline_status(name, only_queued=call.argument("only_queued") is not None)
        return 200, [dict.fromkeys(_STATUS_KEYS) | status for status in statuses]

    def _last_dag_logs(self, call: Call) -> Answer:
        name, task_id = call.required("dag_id"), call.argument("task_id")
        page = self._client.get_last_ingestion_logs(PipelineRef(name), _page_index(call.argument("after")))
        if task_id is not None and clean_name(task_id) != page.task_id:
            raise InvalidInput(f"Task {task_id} not found in DAG {name}. Its task is {page.task_id}.")
        body: Document = {page.task_id: page.text, "total": page.total}
        return 200, body if page.after is None else {**body, "after": page.after}

    def _run_automation(self, call: Call) -> Answer:
        """Answers when it has ended. Code 200 says that its outcome, whichever it is, is in OpenMetadata."""
        workflow = call.document("run an automation")
        check_automation(workflow)
        done = self._client.run_automation(workflow, runtime=self._runtime)
        return _said(done, f"Workflow [{workflow['name']}] has been triggered.")

    def _run_application(self, call: Call) -> Answer:
        """An App: its first pipeline that is deployed, else the pipeline that has its name."""
        application = call.document("run an application")
        listed = application.get("pipelines")
        for reference in [*(listed if isinstance(listed, list) else []), application]:
            name = reference.get("name") if isinstance(reference, dict) else None
            if not isinstance(name, str) or not name:
                continue
            code, body = self._run(name, RunOptions(requested_by=self._caller))
            if code == HTTPStatus.OK:
                return code, body
        return 404, {"error": "No pipeline of this application is deployed."}


def _said(done: ClientResponse, message: str) -> Answer:
    """The plugin's own sentence for what was done; the orchestrator's for what was not."""
    if done.code == HTTPStatus.OK:
        return 200, {"message": message}
    return done.code, {"error": done.reason or "It could not be done."}


def _page_index(after: str | None) -> int | None:
    if after is None:
        return None
    if not _PAGE_NUMBER.fullmatch(after):
        raise InvalidInput("Invalid parameter value for 'after'")
    return int(after)
