"""A workflow config as the connector documentation has it: which kind it is, and what a run of ours adds to it."""

from __future__ import annotations

import copy
import os
from typing import Any

from .errors import CannotRun

_KIND_OF_PROCESSOR = {
    "orm-profiler": "profiler",
    "tag-pii-processor": "autoClassification",
    "orm-test-runner": "TestSuite",
    "query-parser": "usage",
    "data-insight-processor": "dataInsight",
}
_KIND_OF_SOURCE_CONFIG = {
    "DatabaseUsage": "usage",
    "DatabaseLineage": "lineage",
    "Profiler": "profiler",
    "AutoClassification": "autoClassification",
    "TestSuite": "TestSuite",
    "DBT": "dbt",
    "dataInsight": "dataInsight",
    "MetadataToElasticSearch": "elasticSearchReindex",
    "Application": "application",
}


def kind_of(config: dict[str, Any]) -> str:
    """The kind of pipeline that such a config describes. Raises CannotRun when it describes none."""
    source = config.get("source")
    if not isinstance(source, dict):
        if config.get("sourcePythonClass"):
            return "application"
        raise CannotRun("the workflow has neither a source nor a sourcePythonClass")
    source_type = str(source.get("type") or "").lower()
    for suffix in ("usage", "lineage"):
        if source_type.endswith("-" + suffix):
            return suffix
    processor = (config.get("processor") or {}).get("type")
    source_config = ((source.get("sourceConfig") or {}).get("config") or {}).get("type")
    by_source = {"dbt": "dbt", "testsuite": "TestSuite", "metadata_elasticsearch": "elasticSearchReindex"}
    return (
        _KIND_OF_PROCESSOR.get(str(processor))
        or _KIND_OF_SOURCE_CONFIG.get(str(source_config))
        or by_source.get(source_type)
        or "metadata"
    )


def prepare(config: dict[str, Any], kind: str, run_id: str, own_dir: str, connection: Any) -> dict[str, Any]:
    """The config of a run: our run id, our staging directory, and our OpenMetadata where it names none."""
    prepared = copy.deepcopy(config)
    prepared["pipelineRunId"] = run_id
    workflow_config = prepared.setdefault("workflowConfig", {})
    if connection and not workflow_config.get("openMetadataServerConfig"):
        workflow_config["openMetadataServerConfig"] = connection
    if kind == "usage":
        _stage_inside(prepared, os.path.join(own_dir, "query_log"))
    return prepared


def _stage_inside(config: dict[str, Any], directory: str) -> None:
    """A run removes its staging directory at start: it must never be one that somebody else chose."""
    source_config = config["source"].get("sourceConfig") or {}
    if isinstance(source_config.get("config"), dict):
        source_config["config"]["stageFileLocation"] = directory
    for step in ("stage", "bulkSink"):
        if isinstance(config.get(step), dict):
            config[step].setdefault("config", {})["filename"] = directory
