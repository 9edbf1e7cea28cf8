"""A real Airflow with OpenMetadata's plugin runs what a served minisched hands to it.

Opt-in: MINISCHED_TEST_AIRFLOW is its address, such as http://127.0.0.1:8080, with MINISCHED_TEST_AIRFLOW_USERNAME
(default admin) and MINISCHED_TEST_AIRFLOW_PASSWORD. It has to reach this machine by loopback. Durations are printed:
pytest -s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.cli.demo_documents import service
from minisched.cli.sample_database import create_sample_database
from tests.acceptance.server_process import PIPELINES, ServerProcess, pipeline_request, server_process
from tests.waiting import wait_until

URL = os.environ.get("MINISCHED_TEST_AIRFLOW")

pytestmark = [
    pytest.mark.skipif(not URL, reason="MINISCHED_TEST_AIRFLOW names no Airflow"),
    pytest.mark.timeout(900),
]


class Airflow:
    """A server whose orchestrator it is, and the sample database as a service of the server's sandbox."""

    def __init__(self, server: ServerProcess, database: Path) -> None:
        self.server = server
        create_sample_database(database)
        self.service = service(database)
        answer = server.http.put("/api/v1/services/databaseServices", json=self.service)
        assert answer.is_success, answer.text

    def post(self, route: str, pipeline: dict[str, Any]) -> Any:
        answer = self.server.http.post(f"{PIPELINES}/{route}/{pipeline['id']}", timeout=200)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, **changes: Any) -> dict[str, Any]:
        request = pipeline_request(schedule="0 2 * * *")
        request |= {"service": {"id": self.service["id"], "type": "databaseService"}, **changes}
        answer = self.server.http.post(PIPELINES, json=request)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def rows(self, pipeline: dict[str, Any]) -> list[dict[str, Any]]:
        fqn = pipeline["fullyQualifiedName"]
        return list(self.server.http.get(f"{PIPELINES}/{fqn}/pipelineStatus?startTs=0").json()["data"])

    def states(self, pipeline: dict[str, Any]) -> set[str]:
        return {row["pipelineState"] for row in self.rows(pipeline)}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    directory = tmp_path_factory.mktemp("airflow")
    settings = {
        "CLIENT": "airflow",
        "AIRFLOW__URL": str(URL),
        "AIRFLOW__USERNAME": os.environ.get("MINISCHED_TEST_AIRFLOW_USERNAME", "admin"),
        "AIRFLOW__PASSWORD": os.environ.get("MINISCHED_TEST_AIRFLOW_PASSWORD", "admin"),
    }
    with server_process(directory, **settings) as server:
        server.start(ready=False)
        server.wait_until_live()
        server.http.timeout = 60
        yield Airflow(server, directory / "shop.db")


def timed(what: str, started: float) -> None:
    print(f"{what}: {time.monotonic() - started:.2f} s")


def test_a_pipeline_lives_in_it_from_the_deployment_to_the_deletion(airflow: Airflow) -> None:
    status = airflow.server.http.get(f"{PIPELINES}/status").json()
    assert (status["code"], status["platform"]) == (200, "Airflow"), status
    print(f"ingestion package in Airflow: {status['version']}")
    pipeline = airflow.create(airflowConfig={"scheduleInterval": "0 2 * * *", "workflowTimeout": 3600})

    started = time.monotonic()
    answer = airflow.post("deploy", pipeline)
    timed("deploy", started)
    assert (answer["code"], answer["platform"]) == (200, "Airflow")
    assert "workflowTimeout" in answer["reason"]
    started = time.monotonic()
    airflow.post("deploy", pipeline)
    timed("deploy again", started)

    started = time.monotonic()
    triggered = airflow.post("trigger", pipeline)
    timed("trigger", started)
    assert triggered["runId"]
    wait_until(lambda: airflow.states(pipeline) - {"queued"}, timeout_s=300, every_s=0.2)
    timed("trigger to running", started)
    wait_until(lambda: airflow.states(pipeline) & {"success"}, timeout_s=300, every_s=0.5)
    timed("trigger to success", started)

    log = airflow.server.http.get(f"{PIPELINES}/logs/{pipeline['id']}/last").json()
    assert "Workflow" in log["ingestion_task"]
    tables = airflow.server.http.get("/api/v1/tables?limit=100").json()["data"]
    assert any(table["name"] == "customer" for table in tables), [table["name"] for table in tables]

    for enabled in (False, True):
        assert airflow.post("toggleIngestion", pipeline)["enabled"] is enabled
    started = time.monotonic()
    gone = airflow.server.http.delete(f"{PIPELINES}/{pipeline['id']}?hardDelete=true", timeout=200)
    timed("delete", started)
    assert gone.status_code == 200, gone.text
    assert airflow.server.entity(pipeline) is None


def test_runs_that_wait_are_listed_and_killed_and_keys_mean_one_run(airflow: Airflow) -> None:
    pipeline = airflow.create()
    airflow.post("deploy", pipeline)
    assert airflow.post("toggleIngestion", pipeline)["enabled"] is False
    # A run of a paused DAG waits until it is enabled.
    headers = {"Idempotency-Key": str(uuid4())}
    trigger = f"{PIPELINES}/trigger/{pipeline['id']}"
    first, again = (airflow.server.http.post(trigger, headers=headers, timeout=200) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert first.json()["runId"] == again.json()["runId"]
    [row] = airflow.rows(pipeline)
    assert (row["runId"], row["pipelineState"]) == (first.json()["runId"], "queued")
    started = time.monotonic()
    airflow.post("kill", pipeline)
    timed("kill", started)
    assert airflow.rows(pipeline) == []
    nothing = airflow.server.http.post(f"{PIPELINES}/kill/{pipeline['id']}", timeout=200)
    assert nothing.status_code == 400
    assert "no running or pending runs" in nothing.json()["message"]
    assert airflow.server.http.delete(f"{PIPELINES}/{pipeline['id']}?hardDelete=true", timeout=200).status_code == 200


def test_what_it_refuses_changes_nothing_here(airflow: Airflow) -> None:
    # Nothing has a builder for it, so the plugin fails without a word.
    pipeline = airflow.create(pipelineType="policyAgent")
    answer = airflow.server.http.post(f"{PIPELINES}/deploy/{pipeline['id']}", timeout=200)
    assert answer.status_code == 400
    print(answer.json()["message"])
    entity = airflow.server.entity(pipeline)
    assert entity is not None
    assert entity["deployed"] is False
    never = airflow.server.http.post(f"{PIPELINES}/trigger/{pipeline['id']}", timeout=200)
    assert never.status_code == 400
    assert "is not deployed" in never.json()["message"]
