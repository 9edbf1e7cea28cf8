"""From a deployed IngestionPipeline to the workflow config that this line of the package runs (contract §5.1, §5.2).

The service's connection is left out wherever the workflow fetches it itself, so that it is always the current one.
"""

from __future__ import annotations

import copy
import os
from typing import Any, Callable

from . import models
from .errors import CannotRun
from .workflows import UnsupportedKind, is_importable

# sourceConfig.config.type of pipelines that were saved without one.
_TYPE_OF_KIND = {
    "usage": "DatabaseUsage",
    "lineage": "DatabaseLineage",
    "profiler": "Profiler",
    "autoClassification": "AutoClassification",
    "TestSuite": "TestSuite",
    "dbt": "DBT",
    "elasticSearchReindex": "MetadataToElasticSearch",
    "dataInsight": "dataInsight",
    "application": "Application",
}
_TYPE_OF_SERVICE = {
    "databaseService": "DatabaseMetadata",
    "dashboardService": "DashboardMetadata",
    "messagingService": "MessagingMetadata",
    "pipelineService": "PipelineMetadata",
    "mlmodelService": "MlModelMetadata",
    "storageService": "StorageMetadata",
    "searchService": "SearchMetadata",
    "apiService": "ApiMetadata",
    "driveService": "DriveMetadata",
    "securityService": "SecurityMetadata",
    "mcpService": "McpMetadata",
}
_SINK = {"type": "metadata-rest", "config": {}}
_STEPS: dict[str, dict[str, Any]] = {
    "metadata": {"sink": _SINK},
    "lineage": {"sink": _SINK},
    "dbt": {"sink": _SINK},
    "elasticSearchReindex": {"sink": _SINK},
    "profiler": {"processor": {"type": "orm-profiler", "config": {}}, "sink": _SINK},
    "autoClassification": {"processor": {"type": "tag-pii-processor", "config": {}}, "sink": _SINK},
    "TestSuite": {"processor": {"type": "orm-test-runner", "config": {}}, "sink": _SINK},
}
# Pipelines whose workflow is always told to fail on errors, as OpenMetadata's own orchestrator does it.
_RAISE_ALWAYS = frozenset({"profiler", "autoClassification", "TestSuite", "elasticSearchReindex", "dataInsight"})
_REINDEX_MODULE = "metadata.ingestion.source.metadata.metadata_elasticsearch"

FetchService = Callable[[], "dict[str, Any]"]


class Built:
    """A workflow config, and the paths of what this line does not know and was therefore left out."""

    def __init__(self, config: dict[str, Any], dropped: list[str]) -> None:
        self.config = config
        self.dropped = dropped


def build(
    pipeline: dict[str, Any],
    connection: dict[str, Any],
    run_id: str,
    own_dir: str,
    fetch_service: FetchService,
    overrides: dict[str, Any],
) -> Built:
    """The config of a run. Raises UnsupportedKind, and what `fetch_service` raises."""
    kind = str(pipeline.get("pipelineType"))
    config = _application(pipeline, overrides) if kind == "application" else _ingestion(
        pipeline, kind, connection, own_dir, fetch_service, overrides
    )  # fmt: skip
    config["workflowConfig"] = _workflow_config(pipeline, kind, connection)
    config["pipelineRunId"] = run_id
    if pipeline.get("fullyQualifiedName"):
        config["ingestionPipelineFQN"] = pipeline["fullyQualifiedName"]
    if pipeline.get("enableStreamableLogs"):
        config["enableStreamableLogs"] = True
    return _known_to_this_line(config, kind)


def server_connection(pipeline: dict[str, Any], default: dict[str, Any] | None) -> dict[str, Any]:
    """How the run reaches OpenMetadata: as the pipeline says, else as the job says. Raises CannotRun without any."""
    connection = copy.deepcopy(pipeline.get("openMetadataServerConnection") or default or {})
    if not connection.get("hostPort"):
        raise CannotRun("the pipeline has no openMetadataServerConnection, and none is configured")
    if connection.get("secretsManagerLoader") == "airflow":
        connection["secretsManagerLoader"] = "env"  # there is no Airflow here whose configuration could be read
    return connection


def _workflow_config(pipeline: dict[str, Any], kind: str, connection: dict[str, Any]) -> dict[str, Any]:
    raise_on_error = True if kind in _RAISE_ALWAYS else pipeline.get("raiseOnError") is not False
    return {
        "loggerLevel": pipeline.get("loggerLevel") or "INFO",
        "raiseOnError": raise_on_error,
        "openMetadataServerConfig": connection,
    }


def _source_config(pipeline: dict[str, Any], kind: str, overrides: dict[str, Any]) -> dict[str, Any]:
    source_config = copy.deepcopy((pipeline.get("sourceConfig") or {}).get("config") or {})
    source_config.update(copy.deepcopy(overrides.get("sourceConfig") or {}))
    service_type = str((pipeline.get("service") or {}).get("type"))
    default_type = _TYPE_OF_KIND.get(kind) or _TYPE_OF_SERVICE.get(service_type)
    if not source_config.get("type") and default_type:
        source_config["type"] = default_type
    return dict(source_config)


def _application(pipeline: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    source_config = _source_config(pipeline, "application", overrides)
    app_config = dict(source_config.get("appConfig") or {})
    app_config.update(copy.deepcopy(overrides.get("appConfig") or {}))
    config: dict[str, Any] = {"sourcePythonClass": source_config.get("sourcePythonClass")}
    if app_config:
        config["appConfig"] = app_config
    if source_config.get("appPrivateConfig"):
        config["appPrivateConfig"] = source_config["appPrivateConfig"]
    return config


def _ingestion(
    pipeline: dict[str, Any],
    kind: str,
    connection: dict[str, Any],
    own_dir: str,
    fetch_service: FetchService,
    overrides: dict[str, Any],
) -> dict[str, Any]:
    reference = pipeline.get("service") or {}
    source_config = _source_config(pipeline, kind, overrides)
    name = reference.get("name") or reference.get("fullyQualifiedName")
    source: dict[str, Any] = {"serviceName": name, "sourceConfig": {"config": source_config}}
    steps = copy.deepcopy(_STEPS.get(kind, {}))
    if kind == "TestSuite":
        source["type"] = "testSuite"
    elif kind == "elasticSearchReindex":
        _require_reindex()
        source["type"] = "metadata_elasticsearch"
        source["serviceName"] = reference.get("fullyQualifiedName") or name
        source["serviceConnection"] = {"config": {"type": "MetadataES"}}
    else:
        service = fetch_service()
        source["type"] = _source_type(kind, str(service["serviceType"]).lower())
        if _connection_needed(reference, connection):
            source["serviceConnection"] = service.get("connection")
        if kind == "dataInsight":
            steps = _data_insight_steps(service)
    if kind == "usage":
        steps = _usage_steps(source_config, own_dir)
    return dict(steps, source=source)


def _source_type(kind: str, service_type: str) -> str:
    if kind in ("usage", "lineage"):
        return "{}-{}".format(service_type, kind)
    return kind if kind in ("dbt", "dataInsight") else service_type


def _connection_needed(reference: dict[str, Any], connection: dict[str, Any]) -> bool:
    """The workflow asks for the service by its plain name, and not at all when it may overwrite entities."""
    name, fqn = reference.get("name"), reference.get("fullyQualifiedName")
    return bool(connection.get("forceEntityOverwriting")) or bool(name and fqn and name != fqn)


def _usage_steps(source_config: dict[str, Any], own_dir: str) -> dict[str, Any]:
    """The stage directory is removed when a run starts, so each run has one of its own and nobody chooses it."""
    directory = os.path.join(own_dir, "query_log")
    source_config["stageFileLocation"] = directory
    return {
        "processor": {"type": "query-parser", "config": {}},
        "stage": {"type": "table-usage", "config": {"filename": directory}},
        "bulkSink": {"type": "metadata-usage", "config": {"filename": directory}},
    }


def _data_insight_steps(service: dict[str, Any]) -> dict[str, Any]:
    connection = (service.get("connection") or {}).get("config") or {}
    search = (connection.get("elasticsSearch") or {}).get("config") or {}
    return {
        "processor": {"type": "data-insight-processor", "config": {}},
        "sink": {"type": "elasticsearch", "config": search},
    }


def _require_reindex() -> None:
    if not is_importable(_REINDEX_MODULE):
        raise UnsupportedKind(
            "this runtime's package has no search reindexing pipeline any more; use OpenMetadata's search indexing app"
        )


def _known_to_this_line(config: dict[str, Any], kind: str) -> Built:
    """Leave out what newer servers send and this line's models would refuse (contract §4.9)."""
    dropped: list[str] = []
    path, name = models.WORKFLOW_SCHEMA, "OpenMetadataWorkflowConfig"
    if kind == "application":
        path, name = models.APPLICATION_SCHEMA, "OpenMetadataApplicationConfig"
    whole = models.model(path, name)
    if whole is None:
        return Built(config, dropped)
    source_config = config.get("source", {}).get("sourceConfig")
    inner = source_config.pop("config") if source_config else None
    known = models.drop_unknown(config, [whole], "", dropped)
    if inner is not None:
        candidates = models.source_config_models(inner.get("type"))
        inner = models.drop_unknown(inner, candidates, "sourceConfig.config", dropped)
        known["source"]["sourceConfig"] = {"config": inner}
    # Our own additions are no news to anybody.
    ours = {"workflowConfig.raiseOnError", "pipelineRunId", "enableStreamableLogs", "ingestionPipelineFQN"}
    return Built(known, [_as_sent(field) for field in dropped if field not in ours])


def _as_sent(field: str) -> str:
    """The path under which the pipeline, and not the config that is made of it, has the field."""
    return field.replace("workflowConfig.openMetadataServerConfig", "openMetadataServerConnection", 1)
