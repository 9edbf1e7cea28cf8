"""What is wrong with a pipeline, found without any network: the line's own models are the judges."""

from __future__ import annotations

from typing import Any, Iterator

from . import models, pipeline_config
from .errors import CannotRun
from .result import Result
from .workflows import workflow_class

_PROBLEMS_SHOWN = 50


def validate(pipeline: dict[str, Any], job: dict[str, Any], result: Result) -> None:
    """Fill in the result's problems, one readable line each; no value of the pipeline is repeated in them."""
    problems = list(_problems(pipeline, job, result))
    result.stage = "done"
    result.problems = problems[:_PROBLEMS_SHOWN]
    result.verdict = "failed" if problems else "success"
    if problems:
        more = " (and {} more)".format(len(problems) - 1) if len(problems) > 1 else ""
        result.fail("InvalidPipelineConfig", problems[0] + more)


def _problems(pipeline: dict[str, Any], job: dict[str, Any], result: Result) -> Iterator[str]:
    kind = str(pipeline.get("pipelineType"))
    try:
        workflow_class(kind, job.get("workflow_classes") or {})
    except (CannotRun, ImportError, AttributeError) as error:
        yield "pipelineType: {}".format(error)
        return
    try:
        connection = pipeline_config.server_connection(pipeline, job.get("connection"))
        built = pipeline_config.build(
            pipeline, connection, result.run_id, "/", _some_service, job.get("overrides") or {}
        )
    except CannotRun as error:
        yield str(error)
        return
    result.dropped_fields = built.dropped
    yield from _problems_of_source(pipeline, kind, built.config)
    yield from _judged(
        models.model(models.WORKFLOW_SCHEMA, "WorkflowConfig"), built.config.get("workflowConfig"), "workflowConfig"
    )
    yield from _problems_of_schedule(pipeline, result)


def _some_service() -> dict[str, Any]:
    return {"serviceType": "unknown"}  # its type is a question to OpenMetadata, not to the pipeline


def _problems_of_source(pipeline: dict[str, Any], kind: str, config: dict[str, Any]) -> Iterator[str]:
    if kind == "application":
        model = models.model(models.APPLICATION_SCHEMA, "OpenMetadataApplicationConfig")
        yield from _judged(model, config, "sourceConfig.config")
        if not config.get("sourcePythonClass"):
            yield "sourceConfig.config.sourcePythonClass: required for an application"
        return
    if not (pipeline.get("service") or {}).get("name"):
        yield "service.name: required"
    source_config = config["source"]["sourceConfig"]["config"]
    candidates = models.source_config_models(source_config.get("type"))
    if not candidates and models.source_config_models(None):
        yield "sourceConfig.config.type: this runtime has no pipeline of that type"
    found = [list(_judged(model, source_config, "sourceConfig.config")) for model in candidates]
    if found:
        yield from min(found, key=len)


def _problems_of_schedule(pipeline: dict[str, Any], result: Result) -> Iterator[str]:
    model = models.pipeline_model("AirflowConfig")
    if model is not None:
        schedule = models.drop_unknown(
            pipeline.get("airflowConfig") or {}, [model], "airflowConfig", result.dropped_fields
        )
        yield from _judged(model, schedule, "airflowConfig")


def _judged(model: Any, document: Any, path: str) -> Iterator[str]:
    """One line per error of the model: where and what, never the value."""
    if model is None:
        return
    try:
        models.parse(model, document)
    except Exception as error:
        errors = getattr(error, "errors", None)
        if errors is None:
            yield "{}: {}".format(path, type(error).__name__)
            return
        for detail in errors():
            where = ".".join([path] + [str(part) for part in detail.get("loc", ()) if part != "root"])
            yield "{}: {}".format(where, detail.get("msg"))
