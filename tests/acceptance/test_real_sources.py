"""Pipelines of the real openmetadata-ingestion over real databases, through a real server: what arrives is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document
from tests.acceptance.catalog_server import CONNECTORS, CatalogServer
from tests.acceptance.sources import Source, mariadb_shop, postgresql_shop
from tests.databases import SERVERS, Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.real_runtime, pytest.mark.timeout(600)]

METADATA = {"type": "DatabaseMetadata", "markDeletedTables": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, real_runtime: Path) -> Iterator[CatalogServer]:
    variables = {
        "MINISCHED_RUNTIME__DEFAULT": str(real_runtime),
        "MINISCHED_RUNTIME__PYTHON_PATH": str(CONNECTORS),
        "MINISCHED_EXECUTOR__STOP_GRACE_S": "3",
    }
    with ServerProcess(tmp_path_factory.mktemp("server"), variables) as process:
        process.wait_until_live()
        process.wait_until_warm(120)
        server = CatalogServer(process)
        yield server
        server.close()


@pytest.fixture(scope="module")
def postgresql_source(postgresql_server: Server) -> Source:
    return postgresql_shop(postgresql_server, "shop")


@pytest.fixture(scope="module")
def mariadb_source(mariadb_server: Server) -> Source:
    return mariadb_shop(mariadb_server)


@pytest.fixture(params=SERVERS)
def source(request: pytest.FixtureRequest) -> Source:
    found: Source = request.getfixturevalue(f"{request.param}_source")
    return found


@pytest.fixture
def ingested(server: CatalogServer, source: Source) -> Document:
    """A reference to the source's service, whose metadata are in the catalog."""
    service = server.database_service(source.request)
    server.completed("metadata", service, METADATA)
    return service


def test_metadata_arrives_with_columns_keys_and_views(
    server: CatalogServer, source: Source, ingested: Document
) -> None:
    tables = server.get("/tables", databaseSchema=source.schema_fqn, limit="50", fields="columns,tableConstraints")
    by_name = {table["name"]: table for table in tables["data"]}
    assert set(by_name) == {"customer", "orders", "big_orders"}
    assert [column["name"] for column in by_name["customer"]["columns"]] == ["id", "name", "email"]
    assert by_name["big_orders"]["tableType"] == "View"
    foreign = [c for c in by_name["orders"].get("tableConstraints") or [] if c["constraintType"] == "FOREIGN_KEY"]
    assert foreign[0]["columns"] == ["customer_id"]


def test_the_profiler_counts_rows_and_measures_columns(
    server: CatalogServer, source: Source, ingested: Document
) -> None:
    server.completed("profiler", ingested, {"type": "Profiler"})
    table = server.named("tables", f"{source.schema_fqn}.orders", fields="profile,columns")
    assert table["profile"]["rowCount"] == 4
    latest = server.get(f"/tables/{source.schema_fqn}.orders/tableProfile/latest")
    total = next(column for column in latest["columns"] if column["name"] == "total")
    assert (float(total["profile"]["min"]), float(total["profile"]["max"])) == (5, 35)


def test_lineage_of_views_is_drawn(server: CatalogServer, source: Source, ingested: Document) -> None:
    server.completed("lineage", ingested, {"type": "DatabaseLineage", "processQueryLineage": False})
    view = server.named("tables", f"{source.schema_fqn}.big_orders")
    lineage = server.get(f"/lineage/table/{view['id']}", upstreamDepth="1", downstreamDepth="0")
    above = {node["fullyQualifiedName"] for node in lineage["nodes"]}
    assert {f"{source.schema_fqn}.orders", f"{source.schema_fqn}.customer"} <= above


def test_test_cases_get_their_results(server: CatalogServer, source: Source, ingested: Document) -> None:
    table = f"{source.schema_fqn}.customer"
    suite = server.put("/dataQuality/testSuites/basic", {"name": f"{table}.testSuite", "basicEntityReference": table})
    expected = {"three": ("3", "Success"), "four": ("4", "Failed")}
    for name, (value, _) in expected.items():
        case = {
            "name": name,
            "entityLink": f"<#E::table::{table}>",
            "testDefinition": "tableRowCountToEqual",
            "parameterValues": [{"name": "value", "value": value}],
        }
        server.put("/dataQuality/testCases", case)
    config = {"type": "TestSuite", "entityFullyQualifiedName": table}
    server.completed("TestSuite", {"id": suite["id"], "type": "testSuite"}, config)
    for name, (_, status) in expected.items():
        result = server.named("dataQuality/testCases", f"{table}.{name}", fields="testCaseResult")["testCaseResult"]
        assert result["testCaseStatus"] == status


def test_a_wrong_password_is_named_in_the_record_of_the_run(server: CatalogServer, source: Source) -> None:
    config = source.request["connection"]["config"]
    wrong = {"password": "wr0ng"} if "password" in config else {"authType": {"password": "wr0ng"}}
    service = server.database_service(source.with_connection(f"{source.service}_wrong", **wrong))
    run = server.ended(server.trigger(server.pipeline("metadata", service, METADATA)))
    assert run["state"] == "failed"
    assert "password" in run["message"].lower()
    assert "wr0ng" not in str(run) + server.log(run["id"])


def test_a_source_that_is_down_is_named_in_the_record_of_the_run(server: CatalogServer, source: Source) -> None:
    service = server.database_service(source.with_connection(f"{source.service}_down", hostPort="127.0.0.1:1"))
    run = server.ended(server.trigger(server.pipeline("metadata", service, METADATA)))
    assert run["state"] == "failed"
    assert "connect" in run["message"].lower()


def test_an_application_runs_with_its_own_class_and_the_override_of_one_run(server: CatalogServer) -> None:
    service = server.put(
        "/services/metadataServices",
        {"name": "apps", "serviceType": "OpenMetadata", "connection": {"config": {"type": "OpenMetadata"}}},
    )
    reference = {"id": service["id"], "type": "metadataService"}
    config = {
        "type": "Application",
        "sourcePythonClass": "acceptance_app.Marker",
        "appConfig": {"words": "AsDeployed"},
    }
    server.completed("application", reference, config)
    server.completed("application", reference, config, {"appConfigOverride": {"words": "ThisOnce"}})
    names = {found["name"] for found in server.get("/classifications", limit="50")["data"]}
    assert {"AsDeployed", "ThisOnce"} <= names


def test_every_run_is_told_to_openmetadata_under_its_own_id(
    server: CatalogServer, source: Source, ingested: Document
) -> None:
    pipeline_id = server.pipeline("metadata", ingested, METADATA)
    run = server.ended(server.trigger(pipeline_id))
    fqn = server.get(f"/services/ingestionPipelines/{pipeline_id}")["fullyQualifiedName"]

    def statuses() -> list[Document]:
        found: list[Document] = server.get(f"/services/ingestionPipelines/{fqn}/pipelineStatus")["data"]
        return found

    told = wait_until(lambda: [row for row in statuses() if row.get("endDate")], timeout_s=10)
    assert [(row["runId"], row["pipelineState"]) for row in told] == [(run["id"], "success")]


def test_an_unknown_connector_is_a_failed_run_with_a_cause(server: CatalogServer) -> None:
    request = {"name": "odd", "serviceType": "CustomDatabase", "connection": {"config": {"type": "CustomDatabase"}}}
    service = server.database_service(request)
    run = server.ended(server.trigger(server.pipeline("metadata", service, METADATA)))
    assert run["state"] == "failed"
    assert run["message"]
    assert run["hint"]
