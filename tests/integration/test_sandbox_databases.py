"""Workflows over real PostgreSQL and MariaDB servers, against a sandbox that keeps their connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psycopg
import pymysql
import pytest

from minisched.domain.pipeline import Document
from tests.databases import EXTERNAL, Server
from tests.sandbox_servers import TOKEN, SandboxServer, serving
from tests.sandbox_workflows import METADATA, PROFILER, USAGE, Workflows
from tests.store_kinds import opened_documents

pytestmark = [pytest.mark.real_runtime, EXTERNAL, pytest.mark.timeout(900)]

PASSWORD = "p4ssw0rd-of-the-catalog"
STATEMENTS = (
    "CREATE TABLE customer (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT NOT NULL REFERENCES customer (id), total DECIMAL(10, 2))",
    "CREATE TABLE archive (id INT PRIMARY KEY, customer_id INT, total DECIMAL(10, 2))",
    "CREATE VIEW big_orders AS SELECT id, customer_id FROM orders WHERE total > 10",
    "INSERT INTO customer VALUES (1, 'Ada'), (2, 'Bob')",
    "INSERT INTO orders VALUES (1, 1, 5), (2, 1, 15), (3, 2, 25)",
)
QUERY_LOG = """query_text,database_name,schema_name,user_name,start_time,end_time
"insert into archive select id, customer_id, total from orders",catalog_source,public,etl,2026-01-01 00:00:00.0,
"""


def get(server: SandboxServer, path: str, *, by: str = "run", **query: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"} if by == "run" else {}
    answer = httpx.get(f"{server.url}/v1/{path}", params=query, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def a_source(type_: str, config: Document, connection: Document | None = None) -> Document:
    source: Document = {"type": type_, "serviceName": "source", "sourceConfig": {"config": config}}
    return source if connection is None else {**source, "serviceConnection": {"config": connection}}


def profile(workflows: Workflows, type_: str) -> None:
    """The connection with its password comes from the sandbox, which gives it to runs alone."""
    workflows.add(
        "profiler", PROFILER, a_source(type_, {"type": "Profiler"}), processor={"type": "orm-profiler", "config": {}}
    )


def check_shop(server: SandboxServer, schema: str) -> None:
    tables = get(server, "tables", databaseSchema=schema, limit=100)["data"]
    types = {table["name"]: table["tableType"] for table in tables}
    assert types == {"customer": "Regular", "orders": "Regular", "archive": "Regular", "big_orders": "View"}
    orders = get(server, f"tables/name/{schema}.orders")
    assert [column["name"] for column in orders["columns"]] == ["id", "customer_id", "total"]
    latest = get(server, f"tables/{schema}.orders/tableProfile/latest")
    assert latest["profile"]["rowCount"] == 3
    total = next(column["profile"] for column in latest["columns"] if column["name"] == "total")
    assert (total["min"], total["max"], total["mean"]) == (5, 25, 15)
    assert PASSWORD in str(get(server, "services/databaseServices/name/source")["connection"])
    assert PASSWORD not in str(get(server, "services/databaseServices/name/source", by="person")["connection"])


def test_postgresql(real_runtime: Path, postgresql_server: Server, tmp_path: Path) -> None:
    postgresql_server.create("catalog_source")
    postgresql_server.execute(f"CREATE ROLE catalog_reader LOGIN PASSWORD '{PASSWORD}'")
    with psycopg.connect(postgresql_server.url("catalog_source"), autocommit=True) as source:
        for statement in STATEMENTS:
            source.execute(statement)
        source.execute("ANALYZE")  # the profiler takes the row count from the planner's statistics
        source.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO catalog_reader")
    connection = {
        "type": "Postgres",
        "username": "catalog_reader",
        "authType": {"password": PASSWORD},
        "hostPort": f"127.0.0.1:{postgresql_server.port}",
        "database": "catalog_source",
    }
    log = tmp_path / "queries.csv"
    log.write_text(QUERY_LOG)
    stage = {"filename": str(tmp_path / "stage")}
    with opened_documents("sqlite", tmp_path) as documents, serving(documents) as server:
        workflows = Workflows(real_runtime, server, tmp_path)
        metadata = {"type": "DatabaseMetadata", "schemaFilterPattern": {"includes": ["^public$"]}}
        workflows.add("metadata", METADATA, a_source("postgres", metadata, connection))
        profile(workflows, "postgres")
        lineage = {"type": "DatabaseLineage", "queryLogFilePath": str(log)}
        workflows.add("lineage", METADATA, a_source("postgres-lineage", lineage))
        usage = {"type": "DatabaseUsage", "queryLogFilePath": str(log)}
        workflows.add(
            "usage",
            USAGE,
            a_source("postgres-usage", usage),
            processor={"type": "query-parser", "config": {}},
            stage={"type": "table-usage", "config": stage},
            bulkSink={"type": "metadata-usage", "config": stage},
        )
        outcomes = workflows.run()
        assert {name: outcome.error for name, outcome in outcomes.items()} == dict.fromkeys(outcomes)

        schema = "source.catalog_source.public"
        check_shop(server, schema)
        graph = get(server, f"lineage/table/name/{schema}.orders", downstreamDepth=1)
        assert {node["name"] for node in graph["nodes"]} == {"archive", "big_orders"}
        archive = get(server, f"tables/name/{schema}.archive", fields="usageSummary")
        assert archive["usageSummary"]["dailyStats"]["count"] == 1
        assert PASSWORD not in (tmp_path / "workflows.log").read_text(encoding="utf-8")


def test_mariadb(real_runtime: Path, mariadb_server: Server, tmp_path: Path) -> None:
    mariadb_server.create("catalog_source")
    mariadb_server.execute(f"CREATE USER catalog_reader@'%' IDENTIFIED BY '{PASSWORD}'")
    mariadb_server.execute("GRANT SELECT, SHOW VIEW ON catalog_source.* TO catalog_reader@'%'")
    with pymysql.connect(unix_socket=str(mariadb_server.socket), user="root", database="catalog_source") as source:
        with source.cursor() as cursor:
            for statement in STATEMENTS:
                cursor.execute(statement)
        source.commit()
    connection = {
        "type": "MariaDB",
        "username": "catalog_reader",
        "password": PASSWORD,
        "hostPort": f"127.0.0.1:{mariadb_server.port}",
        "databaseSchema": "catalog_source",
    }
    with opened_documents("sqlite", tmp_path) as documents, serving(documents) as server:
        workflows = Workflows(real_runtime, server, tmp_path)
        workflows.add("metadata", METADATA, a_source("mariadb", {"type": "DatabaseMetadata"}, connection))
        profile(workflows, "mariadb")
        workflows.add("lineage", METADATA, a_source("mariadb-lineage", {"type": "DatabaseLineage"}))
        outcomes = workflows.run()
        assert {name: outcome.error for name, outcome in outcomes.items()} == dict.fromkeys(outcomes)

        schema = "source.default.catalog_source"
        check_shop(server, schema)
        graph = get(server, f"lineage/table/name/{schema}.orders", downstreamDepth=1)
        assert {node["name"] for node in graph["nodes"]} == {"big_orders"}
