"""Runs for one table or one test case, over HTTP (contract §3.10)."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import Api, document, refused

TABLE = "shop.public.orders"


@pytest.fixture
def service(api: Api) -> Document:
    """A service of its own with a table and a test case."""
    return api.new_service(f"db_{uuid4().hex[:8]}")


def table_of(api: Api, service: Document) -> str:
    fqn = f"{service['name']}.{TABLE}"
    api.new_table(fqn)
    return fqn


def run(api: Api, kind: str, fqn: str, pipeline_type: str) -> Any:
    return api.post("/run", {"entityLink": f"<#E::{kind}::{fqn}>", "pipelineType": pipeline_type})


def deployed(api: Api, service: Document, pipeline_type: str, config: Document) -> Document:
    reference = {"id": service["id"], "type": service["type"]}
    return api.deployed(service=reference, pipelineType=pipeline_type, sourceConfig={"config": config})


def overrides(api: Api, answer: Any) -> Document:
    assert answer.status_code == 200, answer.text
    assert answer.json()["code"] == 200
    found: Document = document(api.http.get(f"/api/v1/minisched/runs/{answer.json()['runId']}"))
    return dict(found["overrides"]["sourceConfig"]) | {"pipelineId": found["pipelineId"]}


@pytest.mark.parametrize(
    ("pipeline_type", "config"),
    [
        ("profiler", {"type": "Profiler"}),
        ("autoClassification", {"type": "AutoClassification"}),
        ("metadata", {"type": "DatabaseMetadata"}),
    ],
)
def test_a_pipeline_runs_for_one_table(api: Api, service: Document, pipeline_type: str, config: Document) -> None:
    fqn = table_of(api, service)
    pipelines = [deployed(api, service, pipeline_type, config) for _ in range(2)]
    found = overrides(api, run(api, "table", fqn, pipeline_type))
    assert found["pipelineId"] == min(pipeline["id"] for pipeline in pipelines)
    assert found["useFqnForFiltering"] is True
    (pattern,) = found["tableFilterPattern"]["includes"]
    assert re.match(pattern, fqn)
    assert not re.match(pattern, fqn.replace(".", "x"))
    assert not re.match(pattern, fqn + "_2")
    assert re.match(found["schemaFilterPattern"]["includes"][0], f"{service['name']}.shop.public")
    assert re.match(found["databaseFilterPattern"]["includes"][0], f"{service['name']}.shop")
    assert ("markDeletedTables" in found) == (pipeline_type == "metadata")
    if pipeline_type == "metadata":
        assert not any(found[field] for field in found if field.startswith("markDeleted"))
    assert api.current(pipelines[0])["sourceConfig"] == pipelines[0]["sourceConfig"]


def test_only_what_is_enabled_and_deployed_runs(api: Api, service: Document) -> None:
    fqn = table_of(api, service)
    words = f"'{fqn}' has no enabled, deployed profiler ingestion pipeline to run."
    refused(run(api, "table", fqn, "profiler"), 404, words)
    pipeline = deployed(api, service, "profiler", {"type": "Profiler"})
    api.post(f"/toggleIngestion/{pipeline['id']}")
    refused(run(api, "table", fqn, "profiler"), 404, words)
    api.post(f"/toggleIngestion/{pipeline['id']}")
    assert run(api, "table", fqn, "profiler").status_code == 200


def test_a_pipeline_of_another_service_is_not_taken(api: Api, service: Document) -> None:
    fqn = table_of(api, service)
    deployed(api, api.service, "profiler", {"type": "Profiler"})
    refused(run(api, "table", fqn, "profiler"), 404, "has no enabled")


def test_a_run_for_one_table_would_spoil_an_incremental_pipeline(api: Api, service: Document) -> None:
    fqn = table_of(api, service)
    deployed(api, service, "metadata", {"type": "DatabaseMetadata", "incremental": {"enabled": True}})
    refused(run(api, "table", fqn, "metadata"), 400, "extracts metadata incrementally")


def test_a_suite_runs_for_one_test_case(api: Api, service: Document) -> None:
    table = table_of(api, service)
    suite, case = api.new_test_case(table, "row count.1")
    refused(run(api, "testCase", case, "TestSuite"), 404, "has no enabled")
    pipeline = deployed(api, suite, "TestSuite", {"type": "TestSuite"})
    found = overrides(api, run(api, "testCase", case, "TestSuite"))
    assert found == {"testCases": ["row count.1"], "pipelineId": pipeline["id"]}


@pytest.mark.parametrize(
    ("link", "pipeline_type", "words"),
    [
        ("", "profiler", "entityLink: "),
        ("mysql.shop.public.orders", "profiler", "entityLink: is not a link"),
        ("<#E::table>", "profiler", "entityLink: is not a link"),
        ("<#E::table::a.b.c.d::columns::x>", "profiler", "cannot be run scoped to"),
        ("<#E::table::a.b.c.d::description>", "profiler", "cannot be run scoped to"),
        ("<#E::table::a.b.c.d>", "usage", "A usage pipeline cannot be run scoped to"),
        ("<#E::table::a.b.c.d>", "TestSuite", "cannot be run scoped to"),
        ("<#E::testCase::a.b.c.d.e>", "profiler", "cannot be run scoped to"),
        ("<#E::dashboard::a.b>", "metadata", "cannot be run scoped to"),
        ("<#E::table::a.b>", "profiler", "is not the name of a table"),
        ("<#E::table::a.b.c.d>", "nonsense", "pipelineType: "),
    ],
)
def test_a_bad_pairing_is_refused(api: Api, link: str, pipeline_type: str, words: str) -> None:
    refused(api.post("/run", {"entityLink": link, "pipelineType": pipeline_type}), 400, words)


def test_an_unknown_entity_is_named(api: Api) -> None:
    refused(run(api, "table", "a.b.c.d", "profiler"), 404, "table instance for a.b.c.d not found")
    refused(run(api, "testCase", "a.b.c.d.e", "TestSuite"), 404, "testCase instance for a.b.c.d.e not found")
    refused(api.post("/run", {"entityLink": "<#E::table::a.b.c.d>", "pipelineType": "profiler", "x": 1}), 400, "x: ")
    refused(api.send("POST", "/run", b"{"), 400, "Malformed JSON")
