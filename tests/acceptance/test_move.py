"""A served node that keeps some pipelines and hands others to an Airflow, and the command that moves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.server_process import PIPELINES, ServerProcess, pipeline_request, server_process
from tests.acceptance.test_client_airflow import HIDDEN, PASSWORD, ScriptedAirflow
from tests.credentials import ADMIN_PASSWORD
from tests.scripted_http import scripted_server
from tests.waiting import wait_until

OURS = "/api/v1/minisched"
RULES = "client_rules:\n  - {client: airflow, pipeline: big_*}\n"
STEPS = ("intended", "disabled", "deployed", "placed", "enabled", "forgotten")


@dataclass
class Node:
    server: ServerProcess
    airflow: ScriptedAirflow

    def deployed(self, name: str, behaviour: str | None = None) -> dict[str, Any]:
        request = pipeline_request(behaviour, schedule="0 2 * * *") | {"name": name}
        pipeline = self.server.http.post(PIPELINES, json=request).json()
        self.server.deploy(pipeline)
        return dict(pipeline)

    def here(self) -> dict[str, bool]:
        """What this machine has, and whether it fires it."""
        listed = self.server.http.get(f"{OURS}/deployments").json()["data"]
        return {one["name"]: one["enabled"] for one in listed}

    def there(self) -> dict[str, bool]:
        """What Airflow has, and whether it fires it."""
        created = {name: not body["airflowConfig"].get("pausePipeline") for name, body in self.airflow.deployed.items()}
        return {name: self.airflow.enabled.get(name, enabled) for name, enabled in created.items()}

    def placement(self, pipeline: dict[str, Any]) -> dict[str, Any]:
        return dict(self.server.http.get(f"{OURS}/pipelines/{pipeline['id']}/placement").json())

    def minisched(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "minisched", "--url", self.server.url, "pipeline", *arguments]
        environment = {**os.environ, "MINISCHED_PASSWORD": ADMIN_PASSWORD}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    config = tmp_path / "config.yaml"
    config.write_text(RULES)
    airflow = ScriptedAirflow()
    with scripted_server(airflow.answer) as scripted:
        settings = {"CONFIG": str(config), "AIRFLOW__URL": scripted.url, "AIRFLOW__PASSWORD": PASSWORD}
        with server_process(tmp_path, **settings) as server:
            server.start()
            server.make_service()
            yield Node(server, airflow)


def test_small_ones_stay_and_big_ones_go_to_airflow(node: Node) -> None:
    small, big = node.deployed("small"), node.deployed("big_one")
    assert (node.here(), node.there()) == ({"small": True}, {"big_one": True})
    run_id = node.server.trigger(small)
    assert node.server.ended(run_id)["state"] == "success"
    answer = node.server.http.post(f"{PIPELINES}/trigger/{big['id']}").json()
    assert answer["platform"] == "Airflow"
    assert node.airflow.queued["big_one"] == [answer["runId"]]
    status = node.server.http.get(f"{PIPELINES}/status").json()
    assert (status["code"], status["platform"]) == (200, "local")
    assert node.server.http.post(f"{PIPELINES}/toggleIngestion/{big['id']}").json()["enabled"] is False
    assert node.there() == {"big_one": False}
    assert node.server.http.delete(f"{PIPELINES}/{big['id']}?hardDelete=true").status_code == 200
    assert node.there() == {}


def test_one_is_moved_and_moved_back_from_the_command_line(node: Node) -> None:
    pipeline = node.deployed("small")
    node.server.ended(node.server.trigger(pipeline))
    tried = node.minisched("move", "small", "--to", "airflow", "--dry-run")
    assert "would move (local → airflow)" in tried.stdout
    assert node.there() == {}
    moved = node.minisched("move", "small", "--to", "airflow")
    assert (moved.returncode, "moved (local → airflow)" in moved.stdout) == (0, True), moved.stderr
    assert (node.here(), node.there()) == ({}, {"small": True})
    entity = node.server.entity(pipeline)
    assert entity is not None
    assert (entity["deployed"], entity["enabled"]) == (True, True)
    # Its log is that of Airflow now, though runs of before are here.
    node.airflow.failing["last_dag_logs"] = (200, {"ingestion_task": "from Airflow\n", "total": 1})
    assert node.minisched("logs", "small").stdout == "from Airflow\n"
    undone = json.loads(node.minisched("move", "small", "--undo", "--json").stdout)
    assert (undone["from"], undone["to"], undone["verdict"]) == ("airflow", "local", "moved")
    assert (node.here(), node.there()) == ({"small": True}, {})
    assert "executing at" in node.minisched("logs", "small").stdout


def test_many_are_moved_and_one_that_cannot_be_stops_nobody(node: Node) -> None:
    node.deployed("a")
    busy = node.deployed("busy", behaviour="hang")
    node.deployed("c")
    run_id = node.server.trigger(busy)
    node.server.started(run_id)
    tried = node.minisched("move", "--all", "--to", "airflow", "--dry-run", "--json")
    assert tried.returncode == 1
    assert {one["fullyQualifiedName"]: one["verdict"] for one in json.loads(tried.stdout)} == {
        "shop.a": "would_move",
        "shop.busy": "refused",
        "shop.c": "would_move",
    }
    assert node.there() == {}
    done = node.minisched("move", "--all", "--to", "airflow")
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["PIPELINE", "FROM", "TO", "VERDICT"]
    assert [row[:4] for row in rows[1:]] == [
        ["shop.a", "local", "airflow", "moved"],
        ["shop.busy", "local", "airflow", "refused"],
        ["shop.c", "local", "airflow", "moved"],
    ]
    assert "has a run that is not over" in done.stdout
    assert (node.here(), set(node.there())) == ({"busy": True}, {"a", "c"})
    nothing = node.minisched("move", "--all", "--service", "other", "--to", "local", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (0, [])
    forced = node.minisched("move", "--all", "--type", "metadata", "--to", "airflow", "--force")
    assert forced.returncode == 0, forced.stdout
    assert node.server.run(run_id)["state"] == "stopped"
    assert node.minisched("move", "--all", "--undo").returncode == 0
    assert (set(node.here()), node.there()) == ({"a", "busy", "c"}, {})


def test_an_airflow_that_fails_leaves_it_where_it_was(node: Node) -> None:
    node.deployed("small")
    node.airflow.failing["deploy"] = (500, HIDDEN)
    refused = node.minisched("move", "small", "--to", "airflow")
    assert refused.returncode == 1
    assert "does not say why" in refused.stderr
    assert (node.here(), node.there()) == ({"small": True}, {})
    node.airflow.failing["health-auth"] = (401, {})
    assert "Nothing can be moved to Airflow" in node.minisched("move", "small", "--to", "airflow").stderr


@pytest.mark.parametrize("origin", ["local", "airflow"])
@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_dies_on_the_way_leaves_it_in_one_place(node: Node, step: str, origin: str) -> None:
    pipeline = node.deployed("small" if origin == "local" else "big_one")
    target = "airflow" if origin == "local" else "local"
    assert node.server.terminate() == 0
    node.server.start(failpoint=f"after_move_{step}")
    with pytest.raises(httpx.TransportError):
        node.server.http.post(f"{OURS}/pipelines/{pipeline['id']}/move", json={"to": target})
    node.server.wait_for_death()
    node.server.start()
    wait_until(lambda: "alsoIn" not in node.placement(pipeline), timeout_s=20)
    place = origin if STEPS.index(step) < STEPS.index("placed") else target
    assert node.placement(pipeline)["client"] == place
    name = pipeline["name"]
    expected = ({name: True}, {}) if place == "local" else ({}, {name: True})
    assert (node.here(), node.there()) == expected
    entity = node.server.entity(pipeline)
    assert entity is not None
    assert (entity["deployed"], entity["enabled"]) == (True, True)
