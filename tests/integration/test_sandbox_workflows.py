"""Workflows of the real ingestion package over the sample database, against a sandbox: what arrived is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from minisched.cli.sample_database import TABLES, VIEWS, create_sample_database
from minisched.domain.pipeline import Document
from minisched.sandbox.tree import tree
from tests.sandbox_dbt import dbt_parser, write_dbt_files
from tests.sandbox_servers import TOKEN, SandboxServer, serving
from tests.sandbox_workflows import (
    APPLICATION,
    CLASSIFICATION,
    METADATA,
    PROFILER,
    TEST_SUITE,
    USAGE,
    Outcome,
    Workflows,
    blank_language_model,
)
from tests.store_kinds import opened_documents

pytestmark = [pytest.mark.real_runtime, pytest.mark.timeout(900)]

SCHEMA = "shop.default.main"
RUN_ID = "6f1c0c1e-0c68-4e5f-9df1-0a0f2f1c3c11"

QUERY_LOG = """query_text,database_name,schema_name,user_name,start_time,end_time
"select c.full_name from customer c join sales_order o on o.customer_id = c.id",default,main,ann,2026-01-01 00:00:00.0,
"insert into payment select * from order_line",default,main,ann,2026-01-01 00:00:00.0,
"""

APP = """
from metadata.generated.schema.entity.teams.user import User
from metadata.workflow.application import AppRunner


class Greeter(AppRunner):
    def run(self):
        user = self.metadata.get_by_name(entity=User, fqn="admin", nullable=False)
        self.metadata.patch_description(User, user, "greeted by an app", force=True, skip_on_failure=False)
        self.status.scanned(user)

    def close(self):
        pass
"""


@dataclass
class World:
    """What was there after the runs."""

    server: SandboxServer
    outcomes: Mapping[str, Outcome]

    def get(self, path: str, **query: Any) -> Any:
        return answered(self.server, "GET", path, **query)

    def table(self, name: str, **query: Any) -> Document:
        found: Document = self.get(f"tables/name/{quote(f'{SCHEMA}.{name}', safe='')}", **query)
        return found

    def completed(self, *names: str) -> None:
        assert {name: self.outcomes[name].error for name in names} == dict.fromkeys(names)


def answered(server: SandboxServer, method: str, path: str, body: Any = None, **query: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.request(
        method, f"{server.url}/v1/{path}", json=body, params=query, headers=headers, timeout=30, trust_env=False
    )
    assert answer.status_code < 300, answer.text
    return answer.json()


@contextmanager
def a_sandbox(directory: Path) -> Iterator[SandboxServer]:
    with opened_documents("sqlite", directory) as documents, serving(documents) as server:
        yield server


def sqlite_source(directory: Path, type_: str, config: Document, *, connected: bool = False) -> Document:
    """A workflow's source; without a connection it is the sandbox that knows it."""
    source: Document = {"type": type_, "serviceName": "shop", "sourceConfig": {"config": config}}
    if connected:
        connection = {"type": "SQLite", "databaseMode": str(directory / "shop.db"), "database": "default"}
        source["serviceConnection"] = {"config": connection}
    return source


def metadata_source(directory: Path) -> Document:
    config = {"type": "DatabaseMetadata", "includeViews": True, "includeDDL": True}
    return sqlite_source(directory, "sqlite", config, connected=True)


@pytest.fixture(scope="module")
def world(real_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything that needs nothing but the package itself, run once, in the order in which people do it."""
    directory = tmp_path_factory.mktemp("workflows")
    create_sample_database(directory / "shop.db")
    (directory / "queries.csv").write_text(QUERY_LOG)
    (directory / "greeting.py").write_text(APP)
    with a_sandbox(directory) as server:
        workflows = Workflows(real_runtime, server, directory)
        metadata = metadata_source(directory)
        workflows.add("metadata", METADATA, metadata, ingestionPipelineFQN="shop.nightly", pipelineRunId=RUN_ID)
        workflows.add("metadata again", METADATA, metadata)
        workflows.add("lineage", METADATA, sqlite_source(directory, "sqlite-lineage", {"type": "DatabaseLineage"}))
        add_usage(workflows, directory)
        profile = {"type": "Profiler", "tableFilterPattern": {"includes": ["customer", "sales_order"]}}
        processor = {"type": "orm-profiler", "config": {}}
        workflows.add("profiler", PROFILER, sqlite_source(directory, "sqlite", profile), processor=processor)
        add_test_suite(workflows, "test suite")
        add_test_suite(workflows, "test suite again")
        workflows.add("application", APPLICATION, sourcePythonClass="greeting.Greeter")
        add_automations(workflows, server, directory)
        reindex = {"type": "MetadataToElasticSearch"}
        connection = {"serviceConnection": {"config": {"type": "MetadataES"}}}
        source = sqlite_source(directory, "metadata_elasticsearch", reindex) | connection
        workflows.add("reindex", METADATA, source)
        yield World(server, workflows.run([directory]))


def add_usage(workflows: Workflows, directory: Path) -> None:
    config = {"type": "DatabaseUsage", "queryLogFilePath": str(directory / "queries.csv")}
    stage = {"filename": str(directory / "stage")}
    workflows.add(
        "usage",
        USAGE,
        sqlite_source(directory, "query-log-usage", config, connected=True),
        processor={"type": "query-parser", "config": {}},
        stage={"type": "table-usage", "config": stage},
        bulkSink={"type": "metadata-usage", "config": stage},
    )


def add_test_suite(workflows: Workflows, name: str) -> None:
    between = [{"name": "minValue", "value": "1"}, {"name": "maxValue", "value": "100000"}]
    regex = [{"name": "regex", "value": "no such address"}]
    cases = [
        {"name": "rows", "testDefinitionName": "tableRowCountToBeBetween", "parameterValues": between},
        {
            "name": "emails",
            "columnName": "email",
            "testDefinitionName": "columnValuesToMatchRegex",
            "parameterValues": regex,
        },
    ]
    config = {"type": "TestSuite", "entityFullyQualifiedName": f"{SCHEMA}.customer"}
    source = {"type": "TestSuite", "serviceName": "customer tests", "sourceConfig": {"config": config}}
    processor = {"type": "orm-test-runner", "config": {"testCases": cases}}
    workflows.add(name, TEST_SUITE, source, processor=processor)


def add_automations(workflows: Workflows, server: SandboxServer, directory: Path) -> None:
    for name, file in (("good", directory / "shop.db"), ("bad", directory / "no" / "such.db")):
        connection = {"config": {"type": "SQLite", "databaseMode": str(file), "database": "default"}}
        request = {"connection": connection, "serviceType": "Database", "connectionType": "SQLite"}
        body = {"name": f"{name} connection", "workflowType": "TEST_CONNECTION", "request": request}
        made = answered(server, "POST", "automations/workflows", body)
        workflows.add_automation(f"{name} connection", made)


# --- what arrived -----------------------------------------------------------------------------------------------------


def test_metadata_arrives_with_every_table_view_column_and_key(world: World) -> None:
    world.completed("metadata", "metadata again")
    listed = world.get("tables", service="shop", limit=100, fields="columns,tableConstraints")["data"]
    by_type = [table["tableType"] for table in listed]
    assert (by_type.count("Regular"), by_type.count("View")) == (TABLES, VIEWS)
    customer = world.table("customer")
    assert [(column["name"], column["dataType"]) for column in customer["columns"]] == [
        ("id", "INT"),
        ("full_name", "VARCHAR"),
        ("email", "VARCHAR"),
        ("phone", "VARCHAR"),
        ("born_on", "DATE"),
        ("address_id", "INT"),
        ("created_at", "TIMESTAMP"),
    ]
    assert customer["columns"][1]["constraint"] == "NOT_NULL"
    assert customer["schemaDefinition"].startswith("CREATE TABLE main.customer")
    foreign = [key for key in customer["tableConstraints"] if key["constraintType"] == "FOREIGN_KEY"]
    assert foreign[0]["referredColumns"] == [f"{SCHEMA}.address.id"]
    assert "JOIN order_line" in world.table("order_total")["schemaDefinition"]


def test_the_service_keeps_the_connection_that_the_other_runs_use(world: World) -> None:
    config = world.get("services/databaseServices/name/shop")["connection"]["config"]
    assert config["databaseMode"].endswith("shop.db")


def test_a_second_run_over_the_same_source_changes_no_table(world: World) -> None:
    # One more version came from the foreign keys, which are patched in once all tables are there.
    assert world.table("country")["version"] <= 0.2
    assert world.server.documents.count("table") == TABLES + VIEWS


def test_a_pipeline_hears_that_its_run_began_and_ended(world: World) -> None:
    states = [status["pipelineState"] for status in world.server.statuses if status["runId"] == RUN_ID]
    assert states[-1] == "success"


def test_lineage_connects_views_and_columns(world: World) -> None:
    world.completed("lineage")
    graph = world.get(f"lineage/table/name/{SCHEMA}.order_total", upstreamDepth=1, downstreamDepth=1)
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    assert {names[edge["fromEntity"]] for edge in graph["upstreamEdges"]} == {"sales_order", "order_line"}
    assert "customer_value" in {names[edge["toEntity"]] for edge in graph["downstreamEdges"]}
    (lines,) = [edge for edge in graph["upstreamEdges"] if names[edge["fromEntity"]] == "order_line"]
    columns = {column["toColumn"] for column in lines["lineageDetails"]["columnsLineage"]}
    assert columns == {f"{SCHEMA}.order_total.total"}


def test_usage_arrives_with_counts_queries_and_joins(world: World) -> None:
    world.completed("usage")
    for name in ("customer", "sales_order", "payment", "order_line"):
        summary = world.table(name, fields="usageSummary")["usageSummary"]
        assert (summary["date"], summary["dailyStats"]["count"]) == ("2026-01-01", 1)
    assert "usageSummary" not in world.table("product", fields="usageSummary")
    customer = world.table("customer")
    queries = world.get("queries", entityId=customer["id"], fields="queryUsedIn")["data"]
    assert [query["usedBy"] for query in queries] == [["ann"]]
    assert {used["name"] for used in queries[0]["queryUsedIn"]} == {"customer", "sales_order"}
    joins = world.table("sales_order", fields="joins")["joins"]["columnJoins"]
    assert joins[0]["columnName"] == "customer_id"
    assert joins[0]["joinedWith"][0]["fullyQualifiedName"] == f"{SCHEMA}.customer.id"


def test_the_profiler_measures_tables_and_columns(world: World) -> None:
    world.completed("profiler")
    profiled = world.get(f"tables/{SCHEMA}.customer/tableProfile/latest")
    assert profiled["profile"]["rowCount"] > 0
    assert profiled["profile"]["columnCount"] == 7
    by_name = {column["name"]: column["profile"] for column in profiled["columns"]}
    assert by_name["id"]["valuesCount"] == profiled["profile"]["rowCount"]
    assert by_name["id"]["min"] == 1
    assert "profile" not in world.table("product", fields="profile")


def test_test_cases_and_their_results_arrive(world: World) -> None:
    world.completed("test suite", "test suite again")
    suite = world.table("customer", fields="testSuite")["testSuite"]
    cases = world.get("dataQuality/testCases", testSuiteId=suite["id"], limit=10)["data"]
    assert {case["name"]: case["testCaseStatus"] for case in cases} == {"rows": "Success", "emails": "Failed"}
    results = world.get(f"dataQuality/testCases/testCaseResults/{SCHEMA}.customer.rows")["data"]
    assert len(results) == 2
    assert results[0]["testResultValue"][0]["value"] == str(
        int(world.table("customer", fields="profile")["profile"]["rowCount"])
    )
    assert world.server.documents.count("testCase") == 2


def test_an_application_runs_with_a_client_of_the_sandbox(world: World) -> None:
    world.completed("application")
    assert world.outcomes["application"].records("AppRunner") == 1
    assert world.get("users/name/admin")["description"] == "greeted by an app"


def test_a_connection_test_tells_its_steps(world: World) -> None:
    world.completed("good connection", "bad connection")
    good = world.get("automations/workflows/name/good connection")
    assert (good["status"], good["response"]["status"]) == ("Successful", "Successful")
    assert [step["name"] for step in good["response"]["steps"] if step["passed"]] == [
        "CheckAccess",
        "GetSchemas",
        "GetTables",
        "GetViews",
    ]
    bad = world.get("automations/workflows/name/bad connection")["response"]
    assert bad["status"] == "Failed"
    assert [step["name"] for step in bad["steps"]] == ["CheckAccess"]
    assert "unable to open database file" in bad["steps"][0]["errorLog"]


def test_reindexing_has_no_source_in_the_package(world: World) -> None:
    """Since 1.3 at least; whoever adds one will find that this test fails, and what to check instead."""
    assert "metadata_elasticsearch" in str(world.outcomes["reindex"].error)


def test_no_request_of_a_run_failed_on_the_server(world: World) -> None:
    unexpected = [request for request in world.server.refused() if request[2] != 404]
    assert unexpected == []


def test_the_tree_tells_what_the_runs_left(world: World) -> None:
    (service,) = tree(world.server.documents)["services"]
    schema = service["children"][0]["children"][0]
    customer = next(table for table in schema["children"] if table["name"] == "customer")
    assert len(customer["columns"]) == 7
    assert customer["rowCount"] > 0
    assert {test["status"] for test in customer["tests"]} == {"Success", "Failed"}
    assert customer["downstream"] >= 1


# --- what needs more than the package ---------------------------------------------------------------------------------


def test_classification_tags_columns_and_keeps_samples(real_runtime: Path, tmp_path: Path) -> None:
    model = blank_language_model(real_runtime, tmp_path / "model")
    create_sample_database(tmp_path / "shop.db")
    with a_sandbox(tmp_path) as server:
        workflows = Workflows(real_runtime, server, tmp_path)
        workflows.add("metadata", METADATA, metadata_source(tmp_path))
        config = {
            "type": "AutoClassification",
            "storeSampleData": True,
            "tableFilterPattern": {"includes": ["customer$"]},
        }
        processor = {"type": "tag-pii-processor", "config": {}}
        workflows.add("classify", CLASSIFICATION, sqlite_source(tmp_path, "sqlite", config), processor=processor)
        world = World(server, workflows.run([model]))
        world.completed("metadata", "classify")
        customer = world.table("customer", fields="columns,tags,sampleData")
        tags = {column["name"]: [tag["tagFQN"] for tag in column["tags"]] for column in customer["columns"]}
        assert tags["email"] == ["PII.Sensitive"]
        assert tags["born_on"] == ["PII.NonSensitive"]
        assert tags["address_id"] == []
        assert customer["sampleData"]["columns"][:3] == ["id", "full_name", "email"]
        assert customer["sampleData"]["rows"][0][2] == "customer1@example.com"
        assert server.documents.count("sampleData") == 1


def test_dbt_describes_tags_tests_and_connects_what_is_there(real_runtime: Path, tmp_path: Path) -> None:
    parser = dbt_parser(real_runtime, tmp_path / "parser")
    create_sample_database(tmp_path / "shop.db")
    with a_sandbox(tmp_path) as server:
        workflows = Workflows(real_runtime, server, tmp_path)
        workflows.add("metadata", METADATA, metadata_source(tmp_path))
        config = {"type": "DBT", "dbtUpdateDescriptions": True, "dbtConfigSource": write_dbt_files(tmp_path)}
        workflows.add("dbt", METADATA, sqlite_source(tmp_path, "dbt", config))
        world = World(server, workflows.run([parser]))
        world.completed("metadata", "dbt")
        table = world.table("order_total", fields="tags,columns,dataModel")
        assert table["description"] == "Totals of orders, from dbt."
        assert table["columns"][0]["description"] == "The order."
        assert table["dataModel"]["modelType"] == "DBT"
        assert [tag["tagFQN"] for tag in table["tags"]] == ["dbtTags.finance"]
        assert world.get("tags/name/dbtTags.finance")["classification"]["name"] == "dbtTags"
        case = world.get(f"dataQuality/testCases/name/{SCHEMA}.order_total.order_id.not_null_order_total_order_id")
        assert (case["testCaseStatus"], case["testDefinition"]["name"]) == ("Success", "not_null")
        graph = world.get(f"lineage/table/name/{SCHEMA}.order_total")
        assert "sales_order" in {node["name"] for node in graph["nodes"]}


def test_the_client_understands_every_answer(real_runtime: Path, tmp_path: Path) -> None:
    with a_sandbox(tmp_path) as server:
        said = Workflows(real_runtime, server, tmp_path).tour()
    assert len(said) > 50
    assert {name: error for name, error in said.items() if error not in (None, "absent")} == {}
    assert json.dumps(said).count("absent") < 5
