"""The kinds of pipelines that need more than a database, through a real server: what arrives is checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.cli.sample_database import create_sample_database
from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document
from tests.acceptance.catalog_server import CatalogServer
from tests.acceptance.sources import Source, postgresql_shop
from tests.databases import Server
from tests.sandbox_dbt import dbt_parser, write_dbt_files
from tests.sandbox_workflows import blank_language_model

pytestmark = [pytest.mark.real_runtime, pytest.mark.external_service, pytest.mark.timeout(600)]

QUERY_LOG = """query_text,database_name,schema_name,user_name,start_time,end_time
"select c.name from customer c join orders o on o.customer_id = c.id",{database},public,ann,2026-01-01 00:00:00.0,
"select total from orders",{database},public,ann,2026-01-01 00:00:00.0,
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, real_runtime: Path) -> Iterator[CatalogServer]:
    parser = dbt_parser(real_runtime, tmp_path_factory.mktemp("parser"))
    language = blank_language_model(real_runtime, tmp_path_factory.mktemp("language"))
    variables = {
        "MINISCHED_RUNTIME__DEFAULT": str(real_runtime),
        "MINISCHED_RUNTIME__PYTHON_PATH": f"{parser},{language}",
    }
    with ServerProcess(tmp_path_factory.mktemp("server"), variables) as process:
        process.wait_until_live()
        process.wait_until_warm(120)
        server = CatalogServer(process)
        yield server
        server.close()


@pytest.fixture(scope="module")
def source(postgresql_server: Server) -> Iterator[Source]:
    database = f"shop_{os.urandom(4).hex()}"
    yield postgresql_shop(postgresql_server, database)
    postgresql_server.drop(database)


@pytest.fixture(scope="module")
def ingested(server: CatalogServer, source: Source) -> Document:
    service = server.database_service(source.request)
    server.completed("metadata", service, {"type": "DatabaseMetadata"})
    return service


def test_usage_counts_the_queries_of_a_log(
    server: CatalogServer, source: Source, ingested: Document, tmp_path: Path
) -> None:
    log = tmp_path / "queries.csv"
    log.write_text(QUERY_LOG.format(database=source.database))
    server.completed("usage", ingested, {"type": "DatabaseUsage", "queryLogFilePath": str(log)})
    counts = {
        name: server.named("tables", f"{source.schema_fqn}.{name}", fields="usageSummary")["usageSummary"]
        for name in ("orders", "customer")
    }
    assert {name: summary["dailyStats"]["count"] for name, summary in counts.items()} == {"orders": 2, "customer": 1}


def test_classification_tags_what_looks_personal(server: CatalogServer, source: Source, ingested: Document) -> None:
    config = {
        "type": "AutoClassification",
        "storeSampleData": True,
        "schemaFilterPattern": {"includes": ["^public$"]},
    }
    server.completed("autoClassification", ingested, config)
    customer = server.named("tables", f"{source.schema_fqn}.customer", fields="columns,tags")
    tags = {column["name"]: [tag["tagFQN"] for tag in column.get("tags") or []] for column in customer["columns"]}
    assert "PII.Sensitive" in tags["email"]
    assert tags["id"] == []


def test_dbt_describes_what_is_there(server: CatalogServer, tmp_path: Path) -> None:
    create_sample_database(tmp_path / "shop.db")
    connection = {"type": "SQLite", "databaseMode": str(tmp_path / "shop.db"), "database": "default"}
    service = server.database_service({"name": "shop", "serviceType": "SQLite", "connection": {"config": connection}})
    server.completed("metadata", service, {"type": "DatabaseMetadata"})
    config = {"type": "DBT", "dbtUpdateDescriptions": True, "dbtConfigSource": write_dbt_files(tmp_path)}
    server.completed("dbt", service, config)
    view = server.named("tables", "shop.default.main.order_total", fields="columns,dataModel,tags")
    assert view["description"] == "Totals of orders, from dbt."
    assert view["dataModel"]["modelType"] == "DBT"
    assert [tag["tagFQN"] for tag in view["tags"]] == ["dbtTags.finance"]


def test_a_type_that_this_release_does_not_have_is_refused_when_it_is_deployed(
    server: CatalogServer, ingested: Document
) -> None:
    request = {"name": "insight", "pipelineType": "dataInsight", "service": ingested, "airflowConfig": {}}
    created = server.http.post(
        "/services/ingestionPipelines", json={**request, "sourceConfig": {"config": {"type": "dataInsight"}}}
    )
    refused = server.http.post(f"/services/ingestionPipelines/deploy/{created.json()['id']}")
    assert refused.status_code == 400
    assert "dataInsight pipelines ended with OpenMetadata 1.4" in refused.json()["message"]


def test_a_type_whose_source_is_gone_is_refused_when_it_is_deployed(server: CatalogServer, ingested: Document) -> None:
    request = {"name": "reindex", "pipelineType": "elasticSearchReindex", "service": ingested, "airflowConfig": {}}
    created = server.http.post(
        "/services/ingestionPipelines",
        json={**request, "sourceConfig": {"config": {"type": "MetadataToElasticSearch"}}},
    )
    refused = server.http.post(f"/services/ingestionPipelines/deploy/{created.json()['id']}")
    assert refused.status_code == 400
    assert "has no search reindexing pipeline any more" in refused.json()["message"]
