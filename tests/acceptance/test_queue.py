"""What waits and why, and attempts that follow failed ones, of a real server.

MINISCHED_LONG also waits for a schedule, to see its run spread.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served_runs import ServedRuns
from tests.acceptance.server_process import PIPELINES, RUNS
from tests.waiting import wait_until

QUEUE = "/api/v1/minisched/queue"


@contextmanager
def served(directory: Path, **settings: str) -> Iterator[ServedRuns]:
    server = ServedRuns(directory, {"EXECUTOR__POLL_S": "0.2", **settings})
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServedRuns]:
    with served(tmp_path) as server:
        server.start()
        server.make_service()
        yield server


def attempts(server: ServedRuns) -> list[dict[str, Any]]:
    """All runs, the first attempt first."""
    return sorted(server.runs(), key=lambda run: int(run["attempt"]))


def why(server: ServedRuns, run_id: str) -> str | None:
    """The reason why the run waits."""
    waiting = server.run(run_id).get("waiting")
    return None if waiting is None else str(waiting["reason"])


def failing(server: ServedRuns, *, retries: int, delay_s: int, behaviour: str = "raise_error") -> dict[str, Any]:
    return server.deployed_with({"retries": retries, "retryDelay": delay_s}, behaviour)


def test_a_failed_run_is_tried_again_and_each_attempt_is_a_run(server: ServedRuns) -> None:
    pipeline = failing(server, retries=2, delay_s=1)
    first = server.trigger(pipeline)
    wait_until(lambda: [run["state"] for run in attempts(server)] == ["failed"] * 3, timeout_s=60, every_s=0.1)
    runs = attempts(server)
    assert [run["attempt"] for run in runs] == [1, 2, 3]
    assert [run.get("retryOf") for run in runs] == [None, first, runs[1]["id"]]
    assert all(later["startedAt"] >= earlier["endedAt"] + 1000 for earlier, later in itertools.pairwise(runs))
    assert all("executing" in server.run_log(run["id"]) for run in runs)
    wait_until(lambda: not server.outbox(), timeout_s=30)
    path = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus"
    told = server.http.get(path, params={"limit": 10}).json()["data"]
    assert {(row["runId"], row["pipelineState"]) for row in told} == {(run["id"], "failed") for run in runs}


def test_a_kill_also_ends_an_attempt_that_waits(server: ServedRuns) -> None:
    pipeline = failing(server, retries=5, delay_s=600)
    first = server.trigger(pipeline)
    server.ended(first)
    [_, second] = attempts(server)
    assert why(server, second["id"]) == "not_before"
    assert server.http.post(f"{PIPELINES}/kill/{pipeline['id']}").status_code == 200
    assert [run["state"] for run in attempts(server)] == ["failed", "stopped"]


def test_what_a_person_stopped_is_not_tried_again(server: ServedRuns) -> None:
    run_id = server.trigger(failing(server, retries=5, delay_s=0, behaviour="hang"))
    server.started(run_id)
    server.stop_run(run_id)
    assert [run["state"] for run in attempts(server)] == ["stopped"]


@pytest.mark.parametrize("point", ["before_finish_commit", "after_finish"])
def test_no_attempt_is_lost_or_doubled_by_a_crash(tmp_path: Path, point: str) -> None:
    with served(tmp_path) as server:
        server.start(failpoint=point)
        server.make_service()
        first = server.trigger(failing(server, retries=1, delay_s=1))
        server.wait_for_death()
        server.start()
        wait_until(lambda: [run["state"] for run in attempts(server)] == ["failed"] * 2, timeout_s=60, every_s=0.1)
        assert [(run["attempt"], run.get("retryOf")) for run in attempts(server)] == [(1, None), (2, first)]
        assert server.started_runs_left() == []


def test_no_more_runs_of_a_service_than_its_limit(tmp_path: Path) -> None:
    with served(tmp_path, EXECUTOR__SLOTS="3", EXECUTOR__MAX_RUNS_PER_SERVICE="1") as server:
        server.start()
        server.make_service()
        pipelines = [server.deployed("hang") for _ in range(2)]
        first = server.trigger(pipelines[0])
        server.started(first)
        second = server.trigger(pipelines[1])
        queue = server.http.get(QUEUE).json()
        assert [(run["id"], run["waiting"]["reason"]) for run in queue["data"]] == [(second, "service_limit")]
        assert (queue["running"], queue["slots"], queue["services"]["most"]) == (1, 3, 1)
        assert server.run(second)["state"] == "queued"
        server.stop_run(first)
        server.started(second)
        assert server.http.get(QUEUE).json()["data"] == []
        server.stop_run(second)


def test_runs_by_hand_wait_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, EXECUTOR__SLOTS="1") as server:
        server.start()
        server.make_service()
        hanging, pipeline = server.deployed("hang"), server.deployed()
        first = server.trigger(hanging)
        server.started(first)
        waiting = [server.trigger(pipeline if n % 2 else hanging) for n in range(4)]
        queue = server.http.get(QUEUE).json()["data"]
        assert [(run["id"], run["waiting"]["position"]) for run in queue] == list(
            zip(waiting, range(1, 5), strict=True)
        )
        assert [run["waiting"]["reason"] for run in queue] == ["pipeline_limit", "slots", "pipeline_limit", "slots"]
        server.http.post(f"{PIPELINES}/kill/{hanging['id']}")
        assert [server.ended(run_id)["state"] for run_id in waiting] == ["stopped", "success"] * 2
        started = [server.run(waiting[n])["startedAt"] for n in (1, 3)]
        assert started == sorted(started)


def test_a_server_that_drains_says_so(tmp_path: Path) -> None:
    with served(tmp_path, EXECUTOR__SLOTS="1", EXECUTOR__DRAIN="wait") as server:
        server.start()
        server.make_service()
        pipeline = server.deployed("hang")
        first, second = server.trigger(pipeline), server.trigger(pipeline)
        server.started(first)
        server.process.terminate()
        wait_until(lambda: why(server, second) == "draining", timeout_s=20)
        server.http.post(f"{RUNS}/{first}/stop", params={"wait_s": 0})
        assert server.wait_for_death() == 0


@pytest.mark.skipif(not os.environ.get("MINISCHED_LONG"), reason="waits for a schedule, which takes up to a minute")
def test_runs_of_a_schedule_are_spread_and_keep_their_instant(tmp_path: Path) -> None:
    with served(tmp_path, SCHEDULER__SPREAD_S="40") as server:
        server.start()
        server.make_service()
        server.deployed(schedule="* * * * *")
        [run] = wait_until(lambda: [run for run in server.runs() if run["kind"] == "scheduled"], timeout_s=70)
        assert run["scheduledFor"] % 60_000 == 0
        ended = server.ended(run["id"], timeout_s=60)
        assert 0 <= ended["notBefore"] - ended["scheduledFor"] <= 40_000
        assert 0 <= ended["startedAt"] - ended["notBefore"] < 5_000
