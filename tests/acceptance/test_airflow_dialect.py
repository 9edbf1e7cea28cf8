"""The real ingestion package over a real PostgreSQL, driven as an OpenMetadata server drives its Airflow."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest

from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document
from minisched.domain.versions import same_line
from tests.acceptance.catalog_server import CatalogServer
from tests.acceptance.sources import Source, postgresql_shop
from tests.airflow_java_client import JavaClient, deploy_payload
from tests.databases import Server
from tests.scripted_http import Asked, scripted_server
from tests.waiting import wait_until

pytestmark = [pytest.mark.real_runtime, pytest.mark.external_service, pytest.mark.timeout(300)]

PASSWORD = "a-password-of-its-own"
AUTOMATION_LIMIT_S = 8.0


class OpenMetadata:
    """The sandbox in the part of the OpenMetadata server, and its client for what it takes to be an Airflow."""

    def __init__(self, process: ServerProcess, java: JavaClient, catalog: CatalogServer) -> None:
        self.url = f"{process.url}/api"
        self.token = (process.data_dir / "sandbox.token").read_text()
        self.java = java
        self.catalog = catalog

    def connection(self, token: str | None = None) -> Document:
        found: Document = self.payload({"id": "", "name": ""}, token=token)["openMetadataServerConnection"]
        return found

    def payload(self, service: Document, *, token: str | None = None, **changes: Any) -> Document:
        return deploy_payload(self.url, service=service, token=token or self.token, **changes)

    def pipeline_of(self, source: Source) -> Document:
        """An entity of the server's, deployed by nobody yet, as the server sends it to be deployed."""
        service = self.catalog.database_service(source.request) | {"name": source.service}
        request = {
            "name": f"pg_metadata_{uuid4().hex[:8]}",
            "pipelineType": "metadata",
            "service": {"id": service["id"], "type": "databaseService"},
            "sourceConfig": {"config": {"type": "DatabaseMetadata", "includeTables": True}},
            "airflowConfig": {},
        }
        made = self.catalog.http.post("/services/ingestionPipelines", json=request)
        assert made.status_code == 201, made.text
        entity = made.json()
        return self.payload(
            service, name=entity["name"], id=entity["id"], fullyQualifiedName=entity["fullyQualifiedName"]
        )

    def trigger(self, payload: Document) -> str:
        answer = self.java.post("trigger", {"dag_id": payload["name"]})
        assert answer.status_code == 200, answer.text
        return str(UUID(answer.json()["message"].rpartition(" ")[2].strip(">")))

    def rows(self, payload: Document) -> list[Document]:
        fqn = quote(payload["fullyQualifiedName"], safe="")
        found: list[Document] = self.catalog.get(f"/services/ingestionPipelines/{fqn}/pipelineStatus")["data"]
        return found

    def tested(self, connection: Document) -> Document:
        """The automation that tests this connection, as the server has it when the plugin has answered."""
        body = {
            "name": f"test-connection-{connection['type']}-{uuid4().hex[:8]}",
            "workflowType": "TEST_CONNECTION",
            "request": {
                "connection": {"config": connection},
                "serviceType": "Database",
                "connectionType": connection["type"],
                "secretsManagerProvider": "db",
            },
        }
        made = self.catalog.http.post("/automations/workflows", json=body)
        assert made.is_success, made.text
        workflow = {**body, "id": made.json()["id"], "openMetadataServerConnection": self.connection()}
        answer = self.java.post("run_automation", workflow)
        assert answer.status_code == 200, answer.text
        found: Document = self.catalog.get(f"/automations/workflows/{workflow['id']}")
        return found


@pytest.fixture(scope="module")
def openmetadata(tmp_path_factory: pytest.TempPathFactory, real_runtime: Path) -> Iterator[OpenMetadata]:
    variables = {
        "MINISCHED_RUNTIME__DEFAULT": str(real_runtime),
        "MINISCHED_AIRFLOW_PLUGIN__PASSWORD": PASSWORD,
        "MINISCHED_EXECUTOR__AUTOMATION_TIMEOUT_S": str(AUTOMATION_LIMIT_S),
        "MINISCHED_EXECUTOR__STOP_GRACE_S": "1",
    }
    with ServerProcess(tmp_path_factory.mktemp("server"), variables) as process:
        process.wait_until_live()
        process.wait_until_warm(120)
        catalog = CatalogServer(process)
        with httpx.Client(trust_env=False, timeout=120) as http:
            yield OpenMetadata(process, JavaClient(http, process.url, password=PASSWORD), catalog)
        catalog.close()


@pytest.fixture(scope="module")
def shop(postgresql_server: Server) -> Source:
    return postgresql_shop(postgresql_server, f"shop_{uuid4().hex[:8]}")


def test_the_version_is_that_of_the_package_which_runs(openmetadata: OpenMetadata) -> None:
    version = openmetadata.java.get("health-auth").json()["version"]
    server = openmetadata.catalog.get("/system/version")["version"]
    assert same_line(server, version)


def test_a_metadata_pipeline_completes_and_its_rows_carry_our_run_id(openmetadata: OpenMetadata, shop: Source) -> None:
    payload = openmetadata.pipeline_of(shop)
    assert openmetadata.java.post("deploy", payload).status_code == 200
    run = openmetadata.catalog.ended(run_id := openmetadata.trigger(payload))
    assert run["state"] == "success", (run["message"], openmetadata.catalog.log(run_id)[-4000:])
    tables = openmetadata.catalog.get("/tables", databaseSchema=shop.schema_fqn, limit="50")["data"]
    assert {table["name"] for table in tables} == {"customer", "orders", "big_orders"}
    [row] = wait_until(lambda: [row for row in openmetadata.rows(payload) if row.get("endDate")], timeout_s=10)
    assert (row["runId"], row["pipelineState"]) == (run_id, "success")
    assert row["startDate"] <= row["endDate"]
    assert {step["name"] for step in row["status"]} >= {"Postgres", "OpenMetadata"}
    page = openmetadata.java.get(f"last_dag_logs?after=&dag_id={payload['name']}&task_id=ingestion_task").json()
    assert "Postgres" in page["ingestion_task"]
    assert shop.request["connection"]["config"]["authType"]["password"] not in page["ingestion_task"]
    assert openmetadata.token not in page["ingestion_task"]


def test_the_packages_own_models_judge_at_deploy_without_a_network(openmetadata: OpenMetadata) -> None:
    connection = openmetadata.connection() | {"hostPort": "http://192.0.2.1:8585/api"}
    config = {"type": "DatabaseMetadata", "includeTables": "hunter22", "threads": "hunter22"}
    payload = openmetadata.payload({"id": str(uuid4()), "name": "nowhere"}, openMetadataServerConnection=connection)
    payload |= {"sourceConfig": {"config": config}, "loggerLevel": "hunter22"}
    started = time.monotonic()
    refused = openmetadata.java.post("deploy", payload)
    assert time.monotonic() - started < 5
    assert refused.status_code == 400
    assert "hunter22" not in refused.text
    assert [line.partition(":")[0] for line in refused.json()["error"].splitlines()] == [
        "Invalid parameter value for 'includeTables' in 'sourceConfig.config'",
        "Invalid parameter value for 'threads' in 'sourceConfig.config'",
        "Invalid parameter value for 'loggerLevel'",
    ]


def test_what_a_newer_server_sends_is_left_out_named_and_kept(openmetadata: OpenMetadata, shop: Source) -> None:
    payload = openmetadata.pipeline_of(shop) | {"fieldOfTomorrow": 1}
    payload["sourceConfig"]["config"]["knobOfTomorrow"] = True
    said = openmetadata.java.post("deploy", payload)
    assert said.status_code == 200
    assert said.json()["message"].endswith("does not know it: fieldOfTomorrow, sourceConfig.config.knobOfTomorrow")
    run = openmetadata.catalog.ended(run_id := openmetadata.trigger(payload))
    log = openmetadata.catalog.log(run_id)
    assert run["state"] == "success", (run["message"], log[-4000:])
    assert "sourceConfig.config.knobOfTomorrow" in log
    listed = openmetadata.catalog.get("/minisched/deployments")["data"]
    [kept] = [deployment for deployment in listed if deployment["id"] == payload["id"]]
    assert kept["leftOut"] == ["fieldOfTomorrow", "sourceConfig.config.knobOfTomorrow"]


def test_a_rotated_token_is_named_and_deploying_again_helps(openmetadata: OpenMetadata, shop: Source) -> None:
    def refuse(asked: Asked) -> tuple[int, Document]:
        known = asked.path.endswith("/system/version")
        return (200, {"version": "2.0.7"}) if known else (401, {"code": 401, "message": "Expired token!"})

    payload = openmetadata.pipeline_of(shop)
    with scripted_server(refuse) as rotated:
        stale = payload["openMetadataServerConnection"] | {"hostPort": f"{rotated.url}/api"}
        assert openmetadata.java.post("deploy", payload | {"openMetadataServerConnection": stale}).status_code == 200
        run = openmetadata.catalog.ended(openmetadata.trigger(payload))
    assert run["state"] == "failed"
    assert run["message"].startswith("the bot token was rejected by OpenMetadata at ")
    assert run["hint"].startswith("Deploy the pipeline again")
    assert openmetadata.java.post("deploy", payload).status_code == 200
    assert openmetadata.catalog.ended(openmetadata.trigger(payload))["state"] == "success"


def test_a_good_connection_is_successful(openmetadata: OpenMetadata, shop: Source) -> None:
    found = openmetadata.tested(shop.request["connection"]["config"])
    assert (found["status"], found["response"]["status"]) == ("Successful", "Successful")


@pytest.mark.parametrize(
    ("connector", "status"),
    [
        # Most connectors, and all of older lines: the test was a success, what it found was not.
        ("Greenplum", "Successful"),
        # Connectors that the package has rewritten for its newest line say it twice.
        ("Postgres", "Failed"),
    ],
)
def test_a_connection_that_fails_is_told_in_the_words_of_the_package(
    openmetadata: OpenMetadata, shop: Source, connector: str, status: str
) -> None:
    config = {**shop.request["connection"]["config"], "type": connector, "hostPort": "127.0.0.1:1"}
    found = openmetadata.tested(config)
    assert (found["status"], found["response"]["status"]) == (status, "Failed")
    failed = [step for step in found["response"]["steps"] if not step["passed"]]
    assert failed[0]["name"] == "CheckAccess"


def test_a_connection_that_hangs_is_ended_by_the_limit_and_reported(openmetadata: OpenMetadata, shop: Source) -> None:
    with silent_server() as address:
        started = time.monotonic()
        found = openmetadata.tested({**shop.request["connection"]["config"], "hostPort": address})
    assert AUTOMATION_LIMIT_S - 0.5 < time.monotonic() - started < AUTOMATION_LIMIT_S + 10
    assert (found["status"], found["response"]["status"]) == ("Failed", "Failed")
    assert found["response"]["steps"][0]["message"]


@contextmanager
def silent_server() -> Iterator[str]:
    """Lets everybody connect, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
