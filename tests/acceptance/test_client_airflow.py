"""A server with `client: airflow`: what its users see of an Airflow that complies, and of one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import PIPELINES, ServerProcess, pipeline_request, server_process
from tests.credentials import ADMIN_PASSWORD
from tests.scripted_http import Asked, scripted_server
from tests.waiting import wait_until

PASSWORD = "canary-8e21-of-airflow"
PLUGIN = "/api/v1/openmetadata/"
HIDDEN = {"error": "An unexpected problem occurred"}


@dataclass
class ScriptedAirflow:
    """Knows what was deployed, has no scheduler, and fails where a test says so."""

    deployed: dict[str, Any] = field(default_factory=dict)
    enabled: dict[str, bool] = field(default_factory=dict)
    queued: dict[str, list[str]] = field(default_factory=dict)
    failing: dict[str, tuple[int, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if not asked.path.startswith(PLUGIN):
            return 404, {"detail": "Not Found"}
        url = httpx.URL(asked.path)
        route = url.path.removeprefix(PLUGIN)
        with self.lock:
            if route in self.failing:
                return self.failing[route]
            return self._answer(route, dict(url.params), asked.body or {})

    def _answer(self, route: str, arguments: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        name = arguments.get("dag_id") or body.get("dag_id")
        match route:
            case "health-auth":
                return 200, {"status": "healthy", "version": "2.0.7.0"}
            case "csrf-token":
                return 200, {"csrf_token": None}
            case "deploy":
                self.deployed[body["name"]] = body
                return 200, {"message": f"Workflow [{body['name']}] has been created"}
        if name not in self.deployed:
            return (500, HIDDEN) if route in ("trigger", "delete") else (404, {"error": f"DAG {name} not found."})
        match route:
            case "enable" | "disable":
                self.enabled[name] = route == "enable"
            case "trigger":
                self.queued.setdefault(name, []).append(arguments["run_id"])
            case "status":
                rows = [{"runId": run, "pipelineState": "queued", "timestamp": 1} for run in self.queued.get(name, [])]
                return 200, rows
            case "kill":
                self.queued.pop(name, None)
            case "delete":
                del self.deployed[name]
                self.enabled.pop(name, None)
        return 200, {"message": "ok"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ScriptedAirflow]]:
    airflow = ScriptedAirflow()
    with scripted_server(airflow.answer) as scripted:
        settings = {"CLIENT": "airflow", "AIRFLOW__URL": scripted.url, "AIRFLOW__PASSWORD": PASSWORD}
        with server_process(tmp_path_factory.mktemp("airflow"), LOGGING__LEVEL="debug", **settings) as server:
            server.start(ready=False)
            server.wait_until_live()
            server.make_service()
            yield server, airflow


@pytest.fixture
def server(world: tuple[ServerProcess, ScriptedAirflow]) -> ServerProcess:
    return world[0]


@pytest.fixture
def airflow(world: tuple[ServerProcess, ScriptedAirflow]) -> Iterator[ScriptedAirflow]:
    yield world[1]
    world[1].failing.clear()


def test_it_is_said_to_be_well_or_why_it_is_not(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    well = server.http.get(f"{PIPELINES}/status").json()
    assert (well["code"], well["platform"], well["version"]) == (200, "Airflow", "2.0.7.0")
    airflow.failing["health-auth"] = (401, {"error": "no"})
    ill = server.http.get(f"{PIPELINES}/status").json()
    assert ill["code"] == 500
    assert "airflow.password" in ill["reason"]


def test_a_pipeline_is_deployed_with_the_server_that_its_runs_report_to(
    server: ServerProcess, airflow: ScriptedAirflow
) -> None:
    pipeline = server.deployed(schedule="0 2 * * *")
    sent = airflow.deployed[pipeline["name"]]
    assert sent["openMetadataServerConnection"]["hostPort"] == f"{server.url}/api"
    entity = server.entity(pipeline)
    assert entity is not None
    assert (entity["deployed"], airflow.enabled[pipeline["name"]]) == (True, True)
    toggled = server.http.post(f"{PIPELINES}/toggleIngestion/{pipeline['id']}").json()
    assert (toggled["enabled"], airflow.enabled[pipeline["name"]]) == (False, False)


def test_a_run_is_shown_as_queued_as_long_as_airflow_says_so(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    pipeline = server.deployed()
    run_id = server.trigger(pipeline)
    statuses = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus?startTs=0"
    assert [row["runId"] for row in server.http.get(statuses).json()["data"]] == [run_id]
    airflow.queued.clear()
    assert server.http.get(statuses).json()["data"] == []
    assert server.runs() == []


def minisched(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minisched", "--url", server.url, "pipeline", *arguments]
    environment = {**os.environ, "MINISCHED_PASSWORD": ADMIN_PASSWORD}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_the_command_line_shows_what_airflow_has(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    pipeline = server.deployed()
    airflow.failing["last_dag_logs"] = (200, {"ingestion_task": "from Airflow\n", "total": 1})
    assert minisched(server, "logs", pipeline["name"]).stdout == "from Airflow\n"
    followed = minisched(server, "trigger", pipeline["name"], "--follow")
    assert followed.returncode == 1
    assert "triggered in Airflow, where it cannot be followed" in followed.stderr
    assert len(airflow.queued[pipeline["name"]]) == 1


def test_a_deploy_that_fails_leaves_the_entity_as_it_was(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    pipeline = server.create(schedule="0 2 * * *")
    before = server.entity(pipeline)
    airflow.failing["deploy"] = (500, HIDDEN)
    answer = server.http.post(f"{PIPELINES}/deploy/{pipeline['id']}")
    assert answer.status_code == 400
    assert "does not say why" in answer.json()["message"]
    assert server.entity(pipeline) == before


@pytest.mark.parametrize("failure", [(400, {"error": "Extra parameter 'x'"}), (500, HIDDEN), (503, {"error": "busy"})])
def test_a_change_that_airflow_refuses_is_not_saved(
    server: ServerProcess, airflow: ScriptedAirflow, failure: tuple[int, Any]
) -> None:
    pipeline = server.deployed(schedule="0 2 * * *")
    before = server.entity(pipeline)
    airflow.failing["deploy"] = failure
    change = [{"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 3 * * *"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = server.http.patch(f"{PIPELINES}/{pipeline['id']}", json=change, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Deployment failed: ")
    assert answer.json()["message"].endswith("Changes not saved.")
    assert server.entity(pipeline) == before


def test_what_airflow_overwrote_before_it_failed_is_put_back(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    pipeline = server.deployed(schedule="0 2 * * *")
    sent: list[str] = []

    class Overwriting(dict[str, Any]):
        def __setitem__(self, name: str, document: Any) -> None:
            sent.append(document["airflowConfig"]["scheduleInterval"])
            super().__setitem__(name, document)
            if sent == ["0 3 * * *"]:
                raise KeyError

    kept, answer_before = airflow.deployed, airflow._answer

    def failing(route: str, arguments: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        try:
            return answer_before(route, arguments, body)
        except KeyError:
            return 500, HIDDEN

    airflow.deployed, airflow._answer = Overwriting(kept), failing  # type: ignore[method-assign]
    change = [{"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 3 * * *"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert server.http.patch(f"{PIPELINES}/{pipeline['id']}", json=change, headers=headers).status_code == 400
    assert sent == ["0 3 * * *", "0 2 * * *"]
    airflow.deployed, airflow._answer = dict(airflow.deployed), answer_before  # type: ignore[method-assign]


def test_what_airflow_would_take_for_one_pipeline_is_refused(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    first = server.deployed()
    other_service = {
        **SERVICE,
        "id": "7a1b373d-a253-4639-ad54-fc17491a7d5d",
        "name": "other",
        "fullyQualifiedName": "other",
    }
    assert server.http.put("/api/v1/services/databaseServices", json=other_service).is_success
    request = pipeline_request() | {
        "name": first["name"],
        "service": {"id": other_service["id"], "type": "databaseService"},
    }
    second = server.http.post(PIPELINES, json=request).json()
    answer = server.http.post(f"{PIPELINES}/deploy/{second['id']}")
    assert answer.status_code == 409
    assert first["fullyQualifiedName"] in answer.json()["message"]
    assert airflow.deployed[first["name"]]["id"] == first["id"]
    assert server.http.delete(f"{PIPELINES}/{first['id']}?hardDelete=true").status_code == 200
    assert server.http.post(f"{PIPELINES}/deploy/{second['id']}").status_code == 200


def test_what_was_deployed_on_this_machine_stays_here_until_it_is_moved(
    world: tuple[ServerProcess, ScriptedAirflow], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("stayed")
    with server_process(directory, AIRFLOW__URL="http://127.0.0.1:1", AIRFLOW__PASSWORD=PASSWORD) as node:
        node.start(ready=False)
        node.wait_until_live()
        node.make_service()
        pipeline = node.deployed(schedule="* * * * *")
        assert node.terminate() == 0
        node.start(ready=False, CLIENT="airflow")
        node.wait_until_live()
        wait_until(lambda: node.logged("airflow.not_healthy"), timeout_s=30)
        [said] = node.logged("pipelines.still_here")
        assert said["pipelines"] == 1
        answer = node.http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()
        assert answer["platform"] == "local"
        assert "It stays in this machine" in answer["reason"]
        wait_until(lambda: [run["kind"] for run in node.runs()] == ["scheduled"], timeout_s=90, every_s=0.2)


def test_the_password_is_nowhere(server: ServerProcess, airflow: ScriptedAirflow) -> None:
    airflow.failing["health-auth"] = (403, {"error": PASSWORD})
    assert PASSWORD not in server.http.get(f"{PIPELINES}/status").text
    assert PASSWORD not in server.output()
    found = [path for path in server.data.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert found == []
