"""From a pipeline to a workflow config, where no ingestion package is installed: nothing is dropped then."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from minisched.worker import pipeline_config, workflow_file, workflows
from minisched.worker.errors import CannotRun

CONNECTION = {"hostPort": "http://om:8585/api", "securityConfig": {"jwtToken": "t"}}
RUN_ID = "11111111-1111-4111-8111-111111111111"


def pipeline(kind: str = "metadata", service_type: str = "databaseService", **config: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "fullyQualifiedName": "svc.p",
        "pipelineType": kind,
        "sourceConfig": {"config": config},
        "service": {"id": "i", "type": service_type, "name": "svc", "fullyQualifiedName": "svc"},
        "airflowConfig": {},
    }


def build(document: dict[str, Any], overrides: dict[str, Any] | None = None, **connection: Any) -> dict[str, Any]:
    def fetch() -> dict[str, Any]:
        return {"serviceType": "Postgres", "connection": {"config": {"type": "Postgres"}}}

    merged = {**CONNECTION, **connection}
    return pipeline_config.build(document, merged, RUN_ID, "/run/tmp", fetch, overrides or {}).config


@pytest.mark.parametrize(
    ("kind", "source_type", "processor", "config_type"),
    [
        ("metadata", "postgres", None, "DatabaseMetadata"),
        ("lineage", "postgres-lineage", None, "DatabaseLineage"),
        ("dbt", "dbt", None, "DBT"),
        ("profiler", "postgres", "orm-profiler", "Profiler"),
        ("autoClassification", "postgres", "tag-pii-processor", "AutoClassification"),
        ("TestSuite", "testSuite", "orm-test-runner", "TestSuite"),
    ],
)
def test_shape_per_kind(kind: str, source_type: str, processor: str | None, config_type: str) -> None:
    config = build(pipeline(kind))

    assert config["source"]["type"] == source_type
    assert config["source"]["serviceName"] == "svc"
    assert "serviceConnection" not in config["source"]
    assert config["source"]["sourceConfig"]["config"] == {"type": config_type}
    assert config.get("processor", {}).get("type") == processor
    assert config["sink"]["type"] == "metadata-rest"
    assert config["ingestionPipelineFQN"] == "svc.p"
    assert config["pipelineRunId"] == RUN_ID
    assert config["workflowConfig"]["openMetadataServerConfig"] == CONNECTION


@pytest.mark.parametrize(
    ("service_type", "config_type"),
    [("dashboardService", "DashboardMetadata"), ("mlmodelService", "MlModelMetadata"), ("apiService", "ApiMetadata")],
)
def test_metadata_type_follows_the_service(service_type: str, config_type: str) -> None:
    config = build(pipeline(service_type=service_type))

    assert config["source"]["sourceConfig"]["config"]["type"] == config_type


def test_the_type_that_was_sent_is_kept() -> None:
    assert build(pipeline(type="Other"))["source"]["sourceConfig"]["config"]["type"] == "Other"


def test_usage_stages_inside_the_run() -> None:
    config = build(pipeline("usage", stageFileLocation="/tmp/query_log"))

    assert config["source"]["type"] == "postgres-usage"
    assert config["source"]["sourceConfig"]["config"]["stageFileLocation"] == "/run/tmp/query_log"
    assert config["stage"] == {"type": "table-usage", "config": {"filename": "/run/tmp/query_log"}}
    assert config["bulkSink"] == {"type": "metadata-usage", "config": {"filename": "/run/tmp/query_log"}}
    assert "sink" not in config


def test_application_merges_its_override() -> None:
    document = pipeline("application", sourcePythonClass="a.B", appConfig={"x": 1, "y": 1}, appPrivateConfig={"z": 2})

    config = build(document, {"appConfig": {"y": 2}})

    assert config["appConfig"] == {"x": 1, "y": 2}
    assert config["appPrivateConfig"] == {"z": 2}
    assert config["sourcePythonClass"] == "a.B"
    assert "source" not in config
    assert document["sourceConfig"]["config"]["appConfig"] == {"x": 1, "y": 1}


def test_source_config_override_wins() -> None:
    config = build(pipeline(includeViews=True, threads=1), {"sourceConfig": {"threads": 4}})

    assert config["source"]["sourceConfig"]["config"] == {
        "type": "DatabaseMetadata",
        "includeViews": True,
        "threads": 4,
    }


@pytest.mark.parametrize(("kind", "passed_on"), [("metadata", False), ("usage", False), ("profiler", True)])
def test_raise_on_error(kind: str, passed_on: bool) -> None:
    assert build(pipeline(kind) | {"raiseOnError": False})["workflowConfig"]["raiseOnError"] is passed_on


def test_connection_is_passed_where_the_workflow_would_not_find_it() -> None:
    dotted = pipeline()
    dotted["service"].update(name="a.b", fullyQualifiedName='"a.b"')

    assert build(dotted)["source"]["serviceConnection"] == {"config": {"type": "Postgres"}}
    assert "serviceConnection" in build(pipeline(), forceEntityOverwriting=True)["source"]


def test_reindex_is_refused_where_the_package_has_none() -> None:
    with pytest.raises(workflows.UnsupportedKind, match="search indexing app"):
        build(pipeline("elasticSearchReindex", "metadataService"))


def test_streamable_logs_and_logger_level() -> None:
    config = build(pipeline() | {"enableStreamableLogs": True, "loggerLevel": "DEBUG"})

    assert config["enableStreamableLogs"] is True
    assert config["workflowConfig"]["loggerLevel"] == "DEBUG"


class TestServerConnection:
    def test_the_pipelines_own_wins(self) -> None:
        own = {"openMetadataServerConnection": {"hostPort": "own"}}

        assert pipeline_config.server_connection(own, CONNECTION) == {"hostPort": "own"}
        assert pipeline_config.server_connection({}, CONNECTION) == CONNECTION

    def test_none_at_all_is_an_error(self) -> None:
        with pytest.raises(CannotRun, match="no openMetadataServerConnection"):
            pipeline_config.server_connection({}, None)

    def test_nobody_reads_airflows_configuration(self) -> None:
        connection = pipeline_config.server_connection({}, {**CONNECTION, "secretsManagerLoader": "airflow"})

        assert connection["secretsManagerLoader"] == "env"


class TestWorkflowFile:
    @pytest.mark.parametrize(
        ("config", "kind"),
        [
            ({"source": {"type": "mysql"}}, "metadata"),
            ({"source": {"type": "mysql-usage"}}, "usage"),
            ({"source": {"type": "Snowflake-Lineage"}}, "lineage"),
            ({"source": {"type": "mysql"}, "processor": {"type": "orm-profiler"}}, "profiler"),
            ({"source": {"type": "mysql"}, "processor": {"type": "tag-pii-processor"}}, "autoClassification"),
            ({"source": {"type": "TestSuite"}, "processor": {"type": "orm-test-runner"}}, "TestSuite"),
            ({"source": {"type": "mysql", "sourceConfig": {"config": {"type": "Profiler"}}}}, "profiler"),
            ({"source": {"type": "dbt"}}, "dbt"),
            ({"source": {"type": "metadata_elasticsearch"}}, "elasticSearchReindex"),
            ({"sourcePythonClass": "a.B"}, "application"),
        ],
    )
    def test_kind(self, config: dict[str, Any], kind: str) -> None:
        assert workflow_file.kind_of(config) == kind

    def test_no_kind(self) -> None:
        with pytest.raises(CannotRun, match="neither a source nor"):
            workflow_file.kind_of({"workflowConfig": {}})

    def test_a_run_gets_its_id_its_stage_and_our_openmetadata(self) -> None:
        config = {
            "source": {"type": "x-usage", "sourceConfig": {"config": {"stageFileLocation": "/home"}}},
            "stage": {"type": "table-usage", "config": {"filename": "/home"}},
            "bulkSink": {"type": "metadata-usage"},
            "workflowConfig": {"loggerLevel": "INFO"},
        }

        prepared = workflow_file.prepare(config, "usage", RUN_ID, "/run/tmp", CONNECTION)

        assert prepared["pipelineRunId"] == RUN_ID
        assert prepared["workflowConfig"] == {"loggerLevel": "INFO", "openMetadataServerConfig": CONNECTION}
        assert "/home" not in str(prepared)
        assert prepared["bulkSink"]["config"]["filename"] == "/run/tmp/query_log"
        assert "/home" in str(config)


class TestWorkflowClasses:
    @pytest.mark.parametrize("kind", ["policyAgent", "dataInsight", "somethingElse"])
    def test_refusals_are_clear(self, kind: str) -> None:
        with pytest.raises(workflows.UnsupportedKind, match=r"polic|1\.4|known types"):
            workflows.workflow_class(kind, {})

    def test_a_class_may_be_named(self) -> None:
        assert workflows.workflow_class("metadata", {"metadata": "pathlib:Path"}) is Path
        assert workflows.workflow_class("pathlib:Path", {}) is Path

    def test_the_oldest_line_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "metadata" / "ingestion" / "api"
        package.mkdir(parents=True)
        (package / "workflow.py").write_text("class Workflow: ...\n")
        monkeypatch.syspath_prepend(str(tmp_path))

        try:
            assert workflows.workflow_class("lineage", {}).__module__ == "metadata.ingestion.api.workflow"
        finally:
            for name in [name for name in sys.modules if name == "metadata" or name.startswith("metadata.")]:
                del sys.modules[name]
