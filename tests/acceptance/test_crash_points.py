"""The server dies at each place where it could, at each call that comes there: nothing is lost, doubled or left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.history import History, Intention, violations
from tests.acceptance.openmetadata_double import OpenMetadataDouble, openmetadata_double
from tests.acceptance.server_process import PIPELINES, TERMINAL, ServerProcess, pipeline_request, server_process
from tests.waiting import wait_until

# Promise R6: so long after a start everything is accounted for.
ACCOUNTED_WITHIN_S = 10.0

RUN_POINTS = [
    "before_claim_commit",
    "before_spawn",
    "after_spawn",
    "after_exit_before_finish",
    "before_finish_commit",
    "after_finish",
    "before_outbox_put",
    "before_outbox_ack",
]
STOP_POINTS = ["before_stop_commit", "after_stop_commit"]
POINTS = {
    "create": ["before_create_commit", "after_commit_before_200"],
    "deploy": ["before_deploy_commit", "after_deploy_commit", "after_commit_before_200"],
    "trigger": ["before_insert_run", "after_insert_run", "after_commit_before_200", *RUN_POINTS],
    "toggle": ["after_toggle_commit", "before_deploy_commit", "after_deploy_commit", "after_commit_before_200"],
    "kill": [*STOP_POINTS, *RUN_POINTS[3:], "after_commit_before_200"],
    "delete": [*STOP_POINTS, "after_finish", "after_undeploy_commit", "after_commit_before_200"],
}
# How often a place is passed on the way to the call: each call that changes something is answered once.
PASSED_BEFORE = {
    "deploy": {"after_commit_before_200": 1},
    "trigger": {"after_commit_before_200": 2},
    "toggle": {"after_commit_before_200": 2, "before_deploy_commit": 1, "after_deploy_commit": 1},
    "kill": {"after_commit_before_200": 4},
    "delete": {"after_commit_before_200": 3},
}


@dataclass
class Scene:
    """One server with one OpenMetadata, and what was asked of it."""

    server: ServerProcess
    heard: OpenMetadataDouble
    history: History = field(default_factory=History)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response | None:
        """None when the server died before it answered."""
        return self._ask(lambda: self.server.http.post(path, json=body, headers=headers))

    def delete(self, path: str) -> httpx.Response | None:
        return self._ask(lambda: self.server.http.delete(path, params={"hardDelete": True}))

    def _ask(self, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        try:
            answer = ask()
        except httpx.TransportError:
            self.server.wait_for_death()
            return None
        assert answer.is_success, answer.text
        return answer

    def intend(self, pipeline: dict[str, Any]) -> Intention:
        return self.history.intend(f"key-{uuid4().hex}", pipeline["id"])

    def trigger(self, intention: Intention) -> str | None:
        headers = {"Idempotency-Key": intention.key}
        answer = self.post(f"{PIPELINES}/trigger/{intention.pipeline_id}", **headers)
        if answer is None:
            return None
        intention.answered.add(answer.json()["runId"])
        return str(answer.json()["runId"])

    def running(self, pipeline: dict[str, Any]) -> str:
        """A run of the pipeline that has its processes."""
        run_id = self.trigger(self.intend(pipeline))
        assert run_id is not None
        self.server.started(run_id)
        wait_until(lambda: self.server.run(run_id).get("process"))
        return run_id

    def crash(self, act: Callable[[], object]) -> None:
        """Do that because of which the server dies, then start it again."""
        assert not self.server.has_died()
        act()
        self.server.wait_for_death()
        self.server.start()

    def settled(self) -> None:
        """Every run has ended and OpenMetadata has been told, soon after the start."""
        wait_until(
            lambda: {run["state"] for run in self.server.runs()} <= TERMINAL, timeout_s=ACCOUNTED_WITHIN_S, every_s=0.05
        )
        wait_until(lambda: not self.server.outbox(), timeout_s=ACCOUNTED_WITHIN_S, every_s=0.05)

    def deployment(self, pipeline: dict[str, Any]) -> bool | None:
        """Whether the orchestrator lets its schedule fire; None when it does not know the pipeline."""
        with closing(sqlite3.connect(f"file:{self.server.data}/minisched.db?mode=ro", uri=True)) as database:
            row = database.execute("SELECT enabled FROM deployments WHERE id = ?", (pipeline["id"],)).fetchone()
        return None if row is None else bool(row[0])

    def assert_halves_agree(self, pipeline: dict[str, Any]) -> None:
        """What people see of a pipeline is what the orchestrator does with it."""
        entity, enabled = self.server.entity(pipeline), self.deployment(pipeline)
        seen = None if entity is None or not entity["deployed"] else entity["enabled"]
        assert seen == enabled, f"the entity says {seen}, the orchestrator {enabled}"


def created_once(scene: Scene, point: str) -> None:
    request = pipeline_request()
    scene.crash(lambda: scene.post(PIPELINES, request))
    listed = scene.server.http.get(PIPELINES, params={"limit": 100}).json()["data"]
    names = [pipeline["name"] for pipeline in listed]
    assert names == ([request["name"]] if point == "after_commit_before_200" else [])
    answer = scene.server.http.put(PIPELINES, json=request)
    assert answer.is_success, answer.text


def deployed_once(scene: Scene, point: str) -> None:
    pipeline = scene.server.create()
    key = f"deploy-{pipeline['id']}"
    path = f"{PIPELINES}/deploy/{pipeline['id']}"
    scene.crash(lambda: scene.post(path, **{"Idempotency-Key": key}))
    wait_until(lambda: _agree(scene, pipeline), timeout_s=ACCOUNTED_WITHIN_S)
    answer = scene.post(path, **{"Idempotency-Key": key})
    assert answer is not None
    assert answer.json()["code"] == 200
    scene.assert_halves_agree(pipeline)
    scene.trigger(scene.intend(pipeline))


def triggered_once(scene: Scene, point: str) -> None:
    pipeline = scene.server.deployed()
    intention = scene.intend(pipeline)
    scene.crash(lambda: scene.trigger(intention))
    scene.trigger(intention)
    assert len(scene.server.runs()) == 1


def toggled_whole(scene: Scene, point: str) -> None:
    pipeline = scene.server.deployed(schedule="0 3 1 1 *")
    path = f"{PIPELINES}/toggleIngestion/{pipeline['id']}"
    scene.crash(lambda: scene.post(path))
    wait_until(lambda: _agree(scene, pipeline), timeout_s=ACCOUNTED_WITHIN_S)
    before = (scene.server.entity(pipeline) or {})["enabled"]
    if point == "after_commit_before_200":
        assert before is False
    scene.post(path)
    assert (scene.server.entity(pipeline) or {})["enabled"] is not before
    scene.assert_halves_agree(pipeline)


def killed_for_good(scene: Scene, point: str) -> None:
    pipeline = scene.server.deployed("hang")
    runs = [scene.running(pipeline)]
    queued = scene.trigger(scene.intend(pipeline))
    assert queued is not None
    scene.history.stopped |= {*runs, queued}
    path = f"{PIPELINES}/kill/{pipeline['id']}"
    scene.crash(lambda: scene.post(path))
    if point == "before_stop_commit":
        assert scene.server.run(runs[0])["state"] == "running"
        scene.post(path)
    scene.settled()
    assert {scene.server.run(run_id)["state"] for run_id in (*runs, queued)} == {"stopped"}


def deleted_for_good(scene: Scene, point: str) -> None:
    pipeline = scene.server.deployed("hang")
    scene.history.stopped.add(scene.running(pipeline))
    path = f"{PIPELINES}/{pipeline['id']}"
    scene.crash(lambda: scene.delete(path))
    if point == "after_commit_before_200":
        assert scene.server.entity(pipeline) is None
    else:
        wait_until(lambda: _agree(scene, pipeline), timeout_s=ACCOUNTED_WITHIN_S)
        scene.delete(path)
    assert scene.deployment(pipeline) is None


def _agree(scene: Scene, pipeline: dict[str, Any]) -> bool:
    try:
        scene.assert_halves_agree(pipeline)
    except AssertionError:
        return False
    return True


STORIES: dict[str, Callable[[Scene, str], None]] = {
    "create": created_once,
    "deploy": deployed_once,
    "trigger": triggered_once,
    "toggle": toggled_whole,
    "kill": killed_for_good,
    "delete": deleted_for_good,
}


def play(call: str, point: str, directory: Path) -> list[str]:
    """What went wrong when the server died at this point of this call; empty when nothing did."""
    directory.mkdir()
    with (
        openmetadata_double() as heard,
        server_process(directory, OPENMETADATA__HOST_PORT=heard.url, OPENMETADATA__JWT_TOKEN="a-token") as server,
    ):
        scene = Scene(server, heard)
        server.start(failpoint=f"{point}:{PASSED_BEFORE.get(call, {}).get(point, 0) + 1}")
        try:
            STORIES[call](scene, point)
            scene.settled()
        except AssertionError as error:
            return [f"{call} at {point}: {error}"]
        found = violations(scene.history, server, None if call == "delete" else heard)
        found += [f"told {ends}" for run_id in heard.heard if len(ends := heard.ends_of(run_id)) != 1]
        found += [f"left {left}" for left in server.started_runs_left()]
        return [f"{call} at {point}: {problem}" for problem in found]


@pytest.mark.parametrize("call", POINTS)
def test_a_crash_anywhere_loses_nothing_and_does_nothing_twice(call: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        played = pool.map(lambda point: play(call, point, tmp_path / point), POINTS[call])
    problems = [problem for found in played for problem in found]
    assert problems == []
