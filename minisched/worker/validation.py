"""What is wrong with a pipeline, found without any network: the line's own models are the judges."""

from __future__ import annotations

from typing import Any, Iterator

from . import models, pipeline_config
from .errors import CannotRun
from .problems import invalid, missing, problems_of
from .result import Result
from .workflows import workflow_class

_PROBLEMS_SHOWN = 50
_SOURCE = ("sourceConfig", "config")
_APPLICATION = ("sourcePythonClass", "appConfig", "appPrivateConfig")
# The address does not matter here, and our own connection is one that every line understands.
_SOME_CONNECTION = {"hostPort": "http://openmetadata/api"}


def validate(pipeline: dict[str, Any], job: dict[str, Any], result: Result) -> None:
    """Fill in the result's problems, one readable line each; no value of the pipeline is repeated in them."""
    problems = list(dict.fromkeys(_problems(pipeline, job, result)))
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
        yield invalid("pipelineType", why=str(error))
        return
    connection = pipeline_config.server_connection(pipeline, job.get("connection") or _SOME_CONNECTION)
    try:
        built = pipeline_config.build(
            pipeline, connection, result.run_id, "/", _some_service, job.get("overrides") or {}
        )
    except CannotRun as error:
        yield str(error)
        return
    result.dropped_fields = [*_unknown_fields(pipeline), *built.dropped]
    yield from _problems_of_source(pipeline, kind, built.config)
    yield from _problems_of_workflow(built.config["workflowConfig"])
    yield from _problems_of_schedule(pipeline, result)


def _some_service() -> dict[str, Any]:
    return {"serviceType": "unknown"}  # its type is a question to OpenMetadata, not to the pipeline


def _unknown_fields(pipeline: dict[str, Any]) -> list[str]:
    """Of the pipeline itself; no run of this line ever looks at them."""
    model = models.pipeline_model("IngestionPipeline")
    known = models.fields(model) if model is not None else pipeline
    return [name for name, value in pipeline.items() if value is not None and name not in known]


def _problems_of_source(pipeline: dict[str, Any], kind: str, config: dict[str, Any]) -> Iterator[str]:
    if kind == "application":
        if not config.get("sourcePythonClass"):
            yield missing("sourcePythonClass", *_SOURCE)
        own = {name: value for name, value in config.items() if name in _APPLICATION}
        own["workflowConfig"] = {"openMetadataServerConfig": _SOME_CONNECTION}
        yield from _judged(models.model(models.APPLICATION_SCHEMA, "OpenMetadataApplicationConfig"), own, _SOURCE)
        return
    if not (pipeline.get("service") or {}).get("name"):
        yield missing("name", "service")
    source_config = config["source"]["sourceConfig"]["config"]
    candidates = models.source_config_models(source_config.get("type"))
    if not candidates and models.source_config_models(None):
        yield invalid("type", *_SOURCE, why="this runtime has no pipeline of that type")
    found = [list(_judged(model, source_config, _SOURCE)) for model in candidates]
    if found:
        yield from min(found, key=len)


def _problems_of_workflow(workflow_config: dict[str, Any]) -> Iterator[str]:
    """What the pipeline says under other names: the level of its log, and its connection to OpenMetadata."""
    connection = workflow_config["openMetadataServerConfig"]
    yield from _judged(models.server_connection_model(), connection, ("openMetadataServerConnection",))
    rest = dict(workflow_config, openMetadataServerConfig=_SOME_CONNECTION)
    yield from _judged(models.model(models.WORKFLOW_SCHEMA, "WorkflowConfig"), rest, ())


def _problems_of_schedule(pipeline: dict[str, Any], result: Result) -> Iterator[str]:
    model = models.pipeline_model("AirflowConfig")
    if model is not None:
        schedule = models.drop_unknown(
            pipeline.get("airflowConfig") or {}, [model], "airflowConfig", result.dropped_fields
        )
        yield from _judged(model, schedule, ("airflowConfig",))


def _judged(model: Any, document: Any, within: tuple[str, ...]) -> Iterator[str]:
    if model is None:
        return
    try:
        models.parse(model, document)
    except Exception as error:
        if getattr(error, "errors", None) is None:
            yield "{}: {}".format(".".join(within) or "The document is not valid", type(error).__name__)
            return
        yield from problems_of(error, document, within)
