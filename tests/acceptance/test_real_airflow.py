"""A real Airflow with OpenMetadata's plugin runs what a served minisched hands to it.

Opt-in: MINISCHED_TEST_AIRFLOW is its address, such as http://127.0.0.1:8080, with MINISCHED_TEST_AIRFLOW_USERNAME
(default admin) and MINISCHED_TEST_AIRFLOW_PASSWORD. It has to reach this machine by loopback. Durations are printed:
pytest -s.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from minisched.cli.demo_documents import service
from minisched.cli.sample_database import create_sample_database
from tests.acceptance.server_process import PIPELINES, ServerProcess, pipeline_request, server_process
from tests.contract.real_airflow import PASSWORD, REAL_URL, USERNAME, plugin_url, silent_database
from tests.waiting import wait_until

ACCOUNT = (USERNAME, PASSWORD)

# How long a connection has to be held to belong to a run that waits.
HELD_S = 3.0

pytestmark = [
    pytest.mark.skipif(not REAL_URL, reason="MINISCHED_TEST_AIRFLOW names no Airflow"),
    pytest.mark.timeout(900),
]


class Airflow:
    """A server whose orchestrator it is, and the sample database as a service of the server's sandbox."""

    def __init__(self, server: ServerProcess, database: Path) -> None:
        self.server = server
        self._plugin_url = plugin_url()
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

    def move(self, pipeline: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
        return self.server.http.post(f"/api/v1/minisched/pipelines/{pipeline['id']}/move", json=body, timeout=400)

    def plugin(self, pipeline: dict[str, Any]) -> httpx.Response:
        """What Airflow itself says of the pipeline's runs."""
        url = f"{self._plugin_url}/status"
        return httpx.get(url, params={"dag_id": pipeline["name"]}, auth=ACCOUNT, timeout=60, trust_env=False)

    def knows(self, pipeline: dict[str, Any]) -> bool:
        return self.plugin(pipeline).status_code == 200

    def state_there(self, pipeline: dict[str, Any], run_id: str) -> str | None:
        rows = self.plugin(pipeline).json()
        return next((str(row["pipelineState"]) for row in rows if row["runId"] == run_id), None)

    def states(self, pipeline: dict[str, Any]) -> set[str]:
        return {row["pipelineState"] for row in self.rows(pipeline)}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    directory = tmp_path_factory.mktemp("airflow")
    settings = {
        "CLIENT": "airflow",
        "AIRFLOW__URL": str(REAL_URL),
        "AIRFLOW__USERNAME": ACCOUNT[0],
        "AIRFLOW__PASSWORD": ACCOUNT[1],
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
    # Whatever else is listed has no task: it was triggered in the second of a parse.
    [row] = [row for row in airflow.rows(pipeline) if row["runId"] == first.json()["runId"]]
    assert row["pipelineState"] == "queued"
    started = time.monotonic()
    airflow.post("kill", pipeline)
    timed("kill", started)
    assert airflow.rows(pipeline) == []
    nothing = airflow.server.http.post(f"{PIPELINES}/kill/{pipeline['id']}", timeout=200)
    assert nothing.status_code == 400
    assert "no running or pending runs" in nothing.json()["message"]
    assert airflow.server.http.delete(f"{PIPELINES}/{pipeline['id']}?hardDelete=true", timeout=200).status_code == 200


def held_connection(source: socket.socket) -> socket.socket:
    """The first one that lasts: some come only to see whether anybody is there."""
    while True:
        connection = source.accept()[0]
        connection.settimeout(HELD_S)
        try:
            said = connection.recv(4096)
        except TimeoutError:
            return connection
        print("a connection that did not last:", said)
        connection.close()


def test_a_run_that_is_running_is_killed(airflow: Airflow) -> None:
    """The connection to the source ends with the process that holds it, whoever ends that."""
    with socket.create_server(("127.0.0.1", 0)) as source:
        source.settimeout(300)
        service = silent_database(source.getsockname()[1])
        assert airflow.server.http.put("/api/v1/services/databaseServices", json=service).is_success
        pipeline = airflow.create(service={"id": service["id"], "type": "databaseService"})
        airflow.post("deploy", pipeline)
        started = time.monotonic()
        run_id = airflow.post("trigger", pipeline)["runId"]
        with closing(held_connection(source)) as held:
            timed("trigger to a run that waits for its source", started)
            assert airflow.states(pipeline) == {"running"}
            refused = airflow.move(pipeline, {"to": "local"})
            assert refused.status_code == 409
            assert "a run that is not over" in refused.json()["message"]
            started = time.monotonic()
            airflow.post("kill", pipeline)
            timed("kill, answered", started)
            print("in Airflow then:", airflow.state_there(pipeline, run_id))
            held.settimeout(300)
            while held.recv(4096):
                pass
            timed("kill to the end of the process", started)
        print("in Airflow then:", airflow.state_there(pipeline, run_id))
        print("in OpenMetadata then:", airflow.states(pipeline))
        assert airflow.state_there(pipeline, run_id) == "failed"
        nothing = airflow.server.http.post(f"{PIPELINES}/kill/{pipeline['id']}", timeout=200)
        assert "no running or pending runs" in nothing.json()["message"]
    assert airflow.server.http.delete(f"{PIPELINES}/{pipeline['id']}?hardDelete=true", timeout=200).status_code == 200


def test_a_pipeline_moves_between_it_and_this_machine(airflow: Airflow) -> None:
    pipeline = airflow.create()
    assert airflow.post("deploy", pipeline)["platform"] == "Airflow"
    airflow.server.wait_until_warm()
    for to, platform in (("local", "local"), ("airflow", "Airflow"), ("local", "local")):
        started = time.monotonic()
        moved = airflow.move(pipeline, {"to": to})
        timed(f"move to {to}", started)
        assert moved.status_code == 200, moved.text
        assert moved.json()["verdict"] == "moved", moved.text
        here = [one["id"] for one in airflow.server.http.get("/api/v1/minisched/deployments").json()["data"]]
        assert (pipeline["id"] in here) is (to == "local")
        assert airflow.knows(pipeline) is (to == "airflow")
        triggered = airflow.post("trigger", pipeline)
        assert triggered["platform"] == platform
        if to == "local":
            assert airflow.server.ended(triggered["runId"])["state"] == "success"
        else:
            wait_until(
                lambda run=triggered["runId"]: airflow.state_there(pipeline, run) == "success",  # type: ignore[misc]
                timeout_s=300,
                every_s=0.5,
            )
    entity = airflow.server.entity(pipeline)
    assert entity is not None
    assert (entity["deployed"], entity["enabled"]) == (True, True)
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
