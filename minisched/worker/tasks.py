"""The four things that a job can ask of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from . import automation, models, outages, pipeline_config, source_type, validation, workflow_file, workflows
from .errors import CannotRun
from .execution import execute
from .progress import Progress
from .redaction import Redactor
from .result import Result
from .run_log import say
from .service_lookup import fetch_service
from .stopping import StopSwitch


@dataclass
class Context:
    """What a task works with. `own_dir` is the run's directory for temporary files."""

    job: dict[str, Any]
    own_dir: str
    result: Result
    switch: StopSwitch
    progress: Progress
    redactor: Redactor


def perform(context: Context) -> None:
    """Do what the job asks and fill in the result. Raises whatever went wrong."""
    task = str(context.job.get("task"))
    if task not in _TASKS:
        raise CannotRun("unknown task {!r}".format(task))
    _TASKS[task](context)


def _run_pipeline(context: Context) -> None:
    job, pipeline = context.job, context.job["pipeline"]
    connection = pipeline_config.server_connection(pipeline, job.get("connection"))
    outages.wait_out(connection.get("hostPort"))

    def fetch() -> dict[str, Any]:
        service = fetch_service(connection, pipeline.get("service") or {})
        context.redactor.learn(service)
        return service

    workflow_class = workflows.workflow_class(
        job.get("workflow") or str(pipeline.get("pipelineType")), job.get("workflow_classes") or {}
    )
    overrides = job.get("overrides") or {}
    built = pipeline_config.build(pipeline, connection, context.result.run_id, context.own_dir, fetch, overrides)
    context.result.dropped_fields = built.dropped
    if built.dropped:
        say("left out, because this version of the package does not know them: %s", ", ".join(built.dropped))
    execute(workflow_class, built.config, context.result, context.switch, context.progress)


def _run_workflow(context: Context) -> None:
    job, config = context.job, context.job["config"]
    kind = job.get("workflow") or workflow_file.kind_of(config)
    workflow_class = workflows.workflow_class(kind, job.get("workflow_classes") or {})
    if ":" not in kind:
        if kind not in (job.get("workflow_classes") or {}):
            source_type.refuse_unknown(config, kind)
        config = workflow_file.prepare(config, kind, context.result.run_id, context.own_dir, job.get("connection"))
    outages.wait_out(_host_of(config))
    execute(workflow_class, config, context.result, context.switch, context.progress)


def _host_of(config: Any) -> object:
    """Where a workflow file sends to."""
    for key in ("workflowConfig", "openMetadataServerConfig", "hostPort"):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _run_automation(context: Context) -> None:
    document = dict(context.job["config"])
    connection = pipeline_config.server_connection(document, context.job.get("connection"))
    document["openMetadataServerConnection"] = models.known_connection(connection)
    automation.run(document, context.result)


def _validate(context: Context) -> None:
    validation.validate(context.job["pipeline"], context.job, context.result)


_TASKS: dict[str, Callable[[Context], None]] = {
    "pipeline": _run_pipeline,
    "workflow": _run_workflow,
    "automation": _run_automation,
    "validate": _validate,
}
