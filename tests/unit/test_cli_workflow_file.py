"""Workflow files: what is refused and where, which variables are put in, and which kind a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minisched.cli.workflow_file import expand, kind_of, read_mapping, read_workflow
from minisched.domain.errors import InvalidInput

WORKFLOW = """
source:
  type: mysql
  serviceName: shop
  serviceConnection:
    config: {type: Mysql, username: root, hostPort: localhost:3306}
  sourceConfig:
    config: {type: DatabaseMetadata}
sink: {type: metadata-rest, config: {}}
workflowConfig:
  openMetadataServerConfig: {hostPort: http://localhost:8585/api, authProvider: openmetadata}
"""


def _file(directory: Path, text: str) -> str:
    path = directory / "workflow.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_workflow_file_of_the_connector_docs_is_read_whole(tmp_path: Path) -> None:
    config = read_workflow(_file(tmp_path, WORKFLOW), {})
    assert config["source"]["serviceConnection"]["config"]["hostPort"] == "localhost:3306"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source:\n  type: mysql\n bad: indent\n", "line 3"),
        ("a: [1, 2\nb: 3\n", "line 2"),
        ("password: 'opened\n", "line 2"),
        ("- a\n- b\n", "found a list"),
        ("", "found nothing"),
        ("just text", "found a str"),
        ("a: !!python/object:os.system x", "line 1"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_mapping(_file(tmp_path, text), {})


def test_an_error_of_the_file_does_not_repeat_its_lines(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_mapping(_file(tmp_path, "password: hunter2: x\n"), {})
    assert "hunter2" not in str(refusal.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        read_mapping(str(tmp_path / "absent.yaml"), {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_mapping(str(tmp_path / "binary.yaml"), {})


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"source": {"type": "mysql"}}, "workflowConfig"),
        ({"workflowConfig": {}}, "source"),
        ({"workflowConfig": {}, "source": []}, "source"),
        ({"workflowConfig": {}, "source": {}}, "source.type"),
        ({"workflowConfig": "x", "source": {"type": "mysql"}}, "workflowConfig"),
    ],
)
def test_a_missing_section_is_named(tmp_path: Path, document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_workflow(_file(tmp_path, str(document)), {})
    assert refusal.value.field == field


def test_the_document_of_a_pipeline_is_sent_to_the_right_command(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="pipeline create"):
        read_workflow(_file(tmp_path, "{name: x, pipelineType: metadata}"), {})


def test_an_application_needs_no_source(tmp_path: Path) -> None:
    config = read_workflow(_file(tmp_path, "{sourcePythonClass: a.B, workflowConfig: {}}"), {})
    assert kind_of(config) == "application"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$SECRET", "s3cret"),
        ("${SECRET}", "s3cret"),
        ("$ABSENT", "$ABSENT"),
        ("pa$SECRET", "pa$SECRET"),
        ("${SECRET}x", "${SECRET}x"),
        ("$", "$"),
        ("$$SECRET", "$$SECRET"),
        (7, 7),
        (None, None),
        (["$SECRET", {"$SECRET": "$SECRET"}], ["s3cret", {"$SECRET": "s3cret"}]),
    ],
)
def test_only_values_that_are_a_variable_of_the_environment_are_replaced(value: Any, expected: Any) -> None:
    assert expand(value, {"SECRET": "s3cret"}) == expected


def test_a_variable_in_braces_that_is_not_there_is_named_with_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"^source\.1\.password: the environment has no variable ABSENT\."):
        expand({"source": [{}, {"password": "${ABSENT}"}]}, {"SECRET": "s3cret"})


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"source": {"type": "mysql", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}}}, "metadata"),
        ({"source": {"type": "looker", "sourceConfig": {"config": {"type": "DashboardMetadata"}}}}, "metadata"),
        ({"source": {"type": "mysql", "sourceConfig": {"config": {"type": "Profiler"}}}}, "profiler"),
        ({"source": {"type": "mysql-usage"}}, "usage"),
        ({"source": {"type": "mysql-lineage", "sourceConfig": {"config": {}}}}, "lineage"),
        ({"source": {"type": "mysql"}, "processor": {"type": "orm-profiler"}}, "profiler"),
        ({"source": {"type": "mysql"}, "processor": {"type": "tag-pii-processor"}}, "autoClassification"),
        ({"source": {"type": "testSuite"}, "processor": {"type": "orm-test-runner"}}, "TestSuite"),
        ({"source": {"type": "dbt", "sourceConfig": {"config": {"type": "DBT"}}}}, "dbt"),
        ({"source": {"type": "dbt"}}, "dbt"),
        (
            {"source": {"type": "x", "sourceConfig": {"config": {"type": "MetadataToElasticSearch"}}}},
            "elasticSearchReindex",
        ),
        ({"appConfig": {"type": "Custom"}}, "application"),
        ({"source": {"type": "mysql", "sourceConfig": None}}, "metadata"),
    ],
)
def test_the_kind_is_told_by_the_markers_of_the_config(config: dict[str, Any], kind: str) -> None:
    assert kind_of(config) == kind
