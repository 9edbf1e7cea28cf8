"""Runs outlive the server and its launcher: whatever is killed, they go on, and a new server knows all about them.

MINISCHED_LONG makes the run that is watched through a restart a minute long.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.server_process import PIPELINES, ServerProcess, server_process, write_standin_runtime
from tests.waiting import wait_until

LINES = 600 if os.environ.get("MINISCHED_LONG") else 25
EVERY_S = 0.1
HUNG_NOTICED_WITHIN_S = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """With its own sandbox as the OpenMetadata server."""
    with server_process(tmp_path, EXECUTOR__SLOTS="2") as server:
        server.start()
        server.make_service()
        yield server


def statuses(server: ServerProcess, pipeline: dict[str, Any]) -> list[dict[str, Any]]:
    """What the sandbox has heard of the pipeline's runs."""
    path = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus"
    return list(server.http.get(path, params={"limit": 10}).json()["data"])


def assert_ended_well(server: ServerProcess, run_id: str, pipeline: dict[str, Any]) -> None:
    run = server.ended(run_id, timeout_s=LINES * EVERY_S + 60)
    assert (run["state"], run["reason"]) == ("success", "completed")
    told = [line for line in server.run_log(run_id).splitlines() if line.startswith("line ")]
    assert told == [f"line {number}" for number in range(LINES)]
    wait_until(lambda: not server.outbox(), timeout_s=30)
    [row] = statuses(server, pipeline)
    assert (row["runId"], row["pipelineState"]) == (run_id, "success")
    assert row["endDate"]
    assert len([event for event in server.logged("run.finished") if event["run_id"] == run_id]) == 1


def talking(server: ServerProcess, **options: Any) -> tuple[dict[str, Any], str]:
    """A pipeline and its run, which has begun to talk."""
    pipeline = server.deployed("talk", lines=LINES, every_s=EVERY_S, **options)
    run_id = server.trigger(pipeline)
    wait_until(lambda: "line 3" in server.run_log(run_id), timeout_s=60, every_s=0.05)
    return pipeline, run_id


def hanging(server: ServerProcess, pipeline: dict[str, Any] | None = None) -> str:
    """A run that needs nothing of the server any more, and does not end."""
    run_id = server.trigger(pipeline or server.deployed("hang"))
    wait_until(lambda: "executing" in server.run_log(run_id), timeout_s=60, every_s=0.05)
    return run_id


def test_a_run_goes_on_through_a_killed_server_and_reports_itself(server: ServerProcess) -> None:
    pipeline, run_id = talking(server, reports_itself=True)
    server.kill()
    server.start()
    assert server.run(run_id)["state"] == "running"
    assert_ended_well(server, run_id, pipeline)


def test_a_run_that_ends_while_no_server_is_there_is_told_of_afterwards(server: ServerProcess) -> None:
    pipeline, run_id = talking(server)
    processes = server.started(run_id)
    server.kill()
    wait_until(lambda: not processes.living(), timeout_s=LINES * EVERY_S + 60)
    server.start()
    assert_ended_well(server, run_id, pipeline)


def test_a_new_server_knows_of_every_run_before_it_answers(server: ServerProcess) -> None:
    run_id = hanging(server)
    server.kill()
    server.start(ready=False)
    server.wait_until_live()
    assert [event["run_id"] for event in server.logged("run.adopted")] == [run_id]


def test_server_and_launcher_may_both_be_killed(server: ServerProcess) -> None:
    pipeline, run_id = talking(server)
    [launcher] = server.launchers()
    server.kill()
    launcher.kill()
    server.start()
    assert_ended_well(server, run_id, pipeline)


def test_queued_runs_survive_a_kill(server: ServerProcess) -> None:
    pipeline = server.deployed("hang")
    first, second = hanging(server, pipeline), server.trigger(pipeline)
    server.kill()
    server.start()
    assert [server.run(run_id)["state"] for run_id in (first, second)] == ["running", "queued"]
    server.http.post(f"/api/v1/minisched/runs/{first}/stop")
    server.started(second)


def test_a_stop_that_was_asked_for_is_carried_out_by_the_next_server(server: ServerProcess) -> None:
    run_id = server.trigger(server.deployed("ignore_term"))
    processes = server.started(run_id)
    wait_until(lambda: server.run(run_id).get("process"))
    os.kill(processes.guard["pid"], signal.SIGSTOP)
    answer = server.http.post(f"/api/v1/minisched/runs/{run_id}/stop", params={"wait_s": 0})
    assert answer.status_code == 202
    server.kill()
    os.kill(processes.guard["pid"], signal.SIGCONT)
    server.start()
    assert server.ended(run_id)["state"] == "stopped"
    assert processes.living() == []


def test_a_launcher_that_hangs_is_replaced_while_its_runs_go_on(server: ServerProcess) -> None:
    pipeline, run_id = talking(server)
    [launcher] = server.launchers()
    launcher.suspend()
    since = time.monotonic()
    wait_until(lambda: launcher not in server.launchers(), timeout_s=30)
    assert time.monotonic() - since < HUNG_NOTICED_WITHIN_S
    assert server.ended(server.trigger(server.deployed()))["state"] == "success"
    assert_ended_well(server, run_id, pipeline)


def test_a_launcher_that_hung_when_the_server_died_is_killed_by_the_next_server(server: ServerProcess) -> None:
    [launcher] = server.launchers()
    server.kill()
    launcher.suspend()
    server.start()
    assert launcher not in server.launchers()
    assert server.ended(server.trigger(server.deployed()))["state"] == "success"


def test_a_worn_launcher_drains_while_a_new_one_serves(tmp_path: Path) -> None:
    with server_process(tmp_path, LAUNCHER__RECYCLE_AFTER_RUNS="3") as server:
        server.start()
        server.make_service()
        [worn] = server.launchers()
        going_on = hanging(server)
        pipeline = server.deployed()
        for _ in range(4):
            assert server.ended(server.trigger(pipeline))["state"] == "success"
        wait_until(lambda: server.logged("launcher.renewed"), timeout_s=30)
        assert worn in server.launchers()
        assert server.run(going_on)["state"] == "running"
        assert server.ended(server.trigger(pipeline))["state"] == "success"
        server.http.post(f"/api/v1/minisched/runs/{going_on}/stop")
        wait_until(lambda: worn not in server.launchers(), timeout_s=10)
        assert len(server.launchers()) == 1
        assert {run["state"] for run in server.runs()} == {"success", "stopped"}


def test_a_launcher_of_another_environment_drains_after_a_restart(server: ServerProcess) -> None:
    [old] = server.launchers()
    going_on = hanging(server)
    server.kill()
    write_standin_runtime(server.data / "runtimes", version="0.0.2")
    server.start()
    assert [launcher for launcher in server.launchers() if launcher != old]
    assert server.run(going_on)["state"] == "running"
    assert server.ended(server.trigger(server.deployed()))["state"] == "success"
    server.http.post(f"/api/v1/minisched/runs/{going_on}/stop")
    wait_until(lambda: old not in server.launchers(), timeout_s=10)


def test_a_trigger_that_is_repeated_after_a_restart_is_the_same_run(server: ServerProcess) -> None:
    one, other = server.deployed(), server.deployed()
    first = server.trigger(one, key="nightly-2026-03-01")
    server.kill()
    server.start()
    assert server.trigger(one, key="nightly-2026-03-01") == first
    assert server.trigger(other, key="nightly-2026-03-01") != first
    assert server.trigger(one, key="nightly-2026-03-02") != first
