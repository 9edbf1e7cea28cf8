"""Queued runs become processes, and every end is written once and true: real store, real launcher, real signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from minisched.domain.errors import StoreUnavailable
from minisched.domain.outcome import stopped_in_queue
from minisched.domain.run import Outcome, Run, RunReason, RunState, StopRequest
from minisched.executor.run_directory import RunDirectories
from minisched.executor.watched import outcome_of as understood
from minisched.worker import protocol
from tests.integration.launcher_process import alive, pids_with
from tests.integration.supervised_node import SupervisedNode
from tests.waiting import wait_until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SupervisedNode]:
    node = SupervisedNode(tmp_path)
    node.start()
    yield node
    for run_id in node.directories_of_runs():
        kill_guard(node, run_id)
    node.close()


def kill_guard(node: SupervisedNode, run_id: str) -> None:
    """Whatever a test left running goes, with everything below it."""
    record = node.directories.record(run_id, protocol.STARTED_FILE)
    if record and alive(record["process"]["pid"]):
        os.kill(record["process"]["pid"], signal.SIGTERM)
        wait_until(lambda: not alive(record["process"]["pid"]), timeout_s=20)


def stop(node: SupervisedNode, run: Run) -> None:
    wish = StopRequest(at=datetime.now(UTC), by="ada", why="enough")
    node.runs.request_stop([run.id], wish, stopped_in_queue(wish))
    node.supervisor.heed_stops()


def running(node: SupervisedNode, run: Run) -> dict[str, int]:
    """Wait until the run's processes exist; pids of guard and runner."""
    record = wait_until(lambda: node.directories.record(run.id, protocol.STARTED_FILE), timeout_s=20) or {}
    return {"guard": record["process"]["pid"], "runner": record["runner"]["pid"]}


def test_a_run_that_ends_well_is_success_with_its_steps_and_its_log(node: SupervisedNode) -> None:
    run = node.ended(node.enqueue())
    assert (run.state, run.reason) == (RunState.SUCCESS, RunReason.COMPLETED)
    assert [step["name"] for step in run.steps] == ["Source", "Sink"]
    assert b"executing at" in node.directories.read(run.id, offset=0, limit=10_000)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.enqueued_at <= run.started_at <= run.ended_at
    assert node.finished == [run]


def test_a_run_that_fails_says_so_in_the_words_of_the_workflow(node: SupervisedNode) -> None:
    run = node.ended(node.enqueue("wrong_password"))
    assert (run.state, run.reason) == (RunState.FAILED, RunReason.ERROR)
    assert "password authentication failed for user hugo" in (run.message or "")


def test_a_stop_leaves_no_process_and_says_who_asked(node: SupervisedNode) -> None:
    run = node.enqueue("hang")
    pids = running(node, run)
    stop(node, run)
    ended = node.ended(run)
    assert (ended.state, ended.reason) == (RunState.STOPPED, RunReason.STOP_REQUESTED)
    assert "ada" in (ended.message or "")
    assert not any(alive(pid) for pid in pids.values())
    assert ended.evidence["exit"]["pids_left"] == 0


def test_a_queued_run_is_stopped_without_ever_starting(tmp_path: Path) -> None:
    node = SupervisedNode(tmp_path, slots=1)
    node.start()
    first = node.enqueue("hang")
    running(node, first)
    second = node.enqueue()
    stop(node, second)
    assert node.runs.get(second.id).state is RunState.STOPPED
    assert node.directories.find(second.id) is None
    stop(node, first)
    node.ended(first)
    node.close()


def test_the_time_limit_ends_a_run_that_ignores_sigterm(tmp_path: Path) -> None:
    node = SupervisedNode(tmp_path, grace_s=0.5)
    node.start()
    run = node.enqueue("ignore_term", timeout_s=1)
    ended = node.ended(run)
    assert (ended.state, ended.reason) == (RunState.FAILED, RunReason.TIMED_OUT)
    assert "SIGKILL" in [sent["signal"] for sent in ended.evidence["exit"]["signals"]]
    node.close()


def test_a_killed_runner_is_failed_by_signal(node: SupervisedNode) -> None:
    run = node.enqueue("hang")
    os.kill(running(node, run)["runner"], signal.SIGKILL)
    ended = node.ended(run)
    assert (ended.state, ended.reason) == (RunState.FAILED, RunReason.SIGNAL)
    assert "signal 9" in (ended.message or "")


def test_a_killed_guard_takes_the_run_with_it_and_is_accounted_for(node: SupervisedNode) -> None:
    run = node.enqueue("hang")
    pids = running(node, run)
    os.kill(pids["guard"], signal.SIGKILL)
    ended = node.ended(run)
    assert (ended.state, ended.reason) == (RunState.FAILED, RunReason.ABANDONED)
    wait_until(lambda: not alive(pids["runner"]))
    assert pids_with(run.id) == []


def test_a_stopped_guard_does_not_keep_a_run_from_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.executor.watched._GUARD_PATIENCE_S", 0.5)
    node = SupervisedNode(tmp_path, grace_s=0.2)
    node.start()
    run = node.enqueue("ignore_term")
    pids = running(node, run)
    os.kill(pids["guard"], signal.SIGSTOP)
    stop(node, run)
    ended = node.ended(run)
    assert ended.state is RunState.STOPPED
    assert not any(alive(pid) for pid in pids.values())
    node.close()


def test_a_dead_launcher_is_replaced_and_its_runs_go_on(node: SupervisedNode) -> None:
    run = node.enqueue("hang")
    running(node, run)
    first = node.supervisor._launchers.of("default").client
    assert first is not None
    os.kill(first.process.pid, signal.SIGKILL)
    # The next run needs a launcher that does not exist any more.
    assert node.ended(node.enqueue()).state is RunState.SUCCESS
    assert node.runs.get(run.id).state is RunState.RUNNING
    stop(node, run)
    assert node.ended(run).state is RunState.STOPPED


def test_runs_survive_the_server_and_are_adopted(node: SupervisedNode) -> None:
    going_on = node.enqueue("hang")
    may_end = node.data / "go"
    ends_meanwhile = node.enqueue("count_slowly", until=str(may_end))
    running(node, going_on)
    guard = running(node, ends_meanwhile)["guard"]
    node.supervisor.close()
    may_end.touch()
    wait_until(lambda: not alive(guard))
    assert node.runs.get(ends_meanwhile.id).state is RunState.RUNNING
    node.restart()
    assert node.ended(ends_meanwhile).state is RunState.SUCCESS
    assert node.runs.get(going_on.id).state is RunState.RUNNING
    stop(node, going_on)
    assert node.ended(going_on).state is RunState.STOPPED


def test_a_run_that_was_claimed_and_never_handed_over_is_started_after_the_restart(tmp_path: Path) -> None:
    node = SupervisedNode(tmp_path)
    run = node.enqueue()
    assert node.runs.claim(slots=2, runtimes=["default"]) is not None
    node.start()
    assert node.ended(run).state is RunState.SUCCESS
    node.close()


def test_nothing_is_claimed_and_nothing_answers_before_every_run_is_known(node: SupervisedNode) -> None:
    run = node.enqueue("hang")
    running(node, run)
    wait_until(lambda: node.runs.get(run.id).process)
    node.supervisor.close()
    node.supervisor = node._supervisor()
    node.supervisor._thread = threading.Thread(target=lambda: None)
    node.supervisor.start()
    assert node.supervisor.running() == 1


def test_what_nobody_told_it_is_found_in_the_table(node: SupervisedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.executor.supervisor._LOOK_AGAIN_S", 0.1)
    node.supervisor.drain()
    # A claim whose answer was lost on its way, and a wish whose messenger died.
    run = node.enqueue("hang", wake=False)
    assert node.runs.claim(slots=10, runtimes=["default"]) is not None
    running(node, run)
    wish = StopRequest(at=datetime.now(UTC), by="ada", why="enough")
    node.runs.request_stop([run.id], wish, stopped_in_queue(wish))
    assert node.ended(run).state is RunState.STOPPED


def test_a_database_that_goes_away_while_a_run_is_handed_over_costs_it_nothing(node: SupervisedNode) -> None:
    build, failures = node.job_of, iter(range(3))

    def unavailable(run: Run) -> dict[str, object]:
        if next(failures, None) is not None:
            raise StoreUnavailable("The database does not answer.")
        return build(run)

    node.job_of = unavailable
    assert node.ended(node.enqueue()).state is RunState.SUCCESS


def test_a_run_whose_end_nobody_understands_does_not_keep_others_from_theirs(
    node: SupervisedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = node.enqueue("hang")
    pids = running(node, odd)

    def outcome_of(run: Run, directories: RunDirectories) -> Outcome:
        if run.id == odd.id:
            raise ValueError("this is not a record")
        return understood(run, directories)

    monkeypatch.setattr("minisched.executor.watched._GUARD_PATIENCE_S", 0.3)
    monkeypatch.setattr("minisched.executor.supervisor.outcome_of", outcome_of)
    os.kill(pids["guard"], signal.SIGKILL)
    assert node.ended(node.enqueue()).state is RunState.SUCCESS
    monkeypatch.setattr("minisched.executor.supervisor.outcome_of", understood)
    assert node.ended(odd).reason is RunReason.ABANDONED


def test_more_runs_than_slots_wait_their_turn(node: SupervisedNode) -> None:
    runs = [node.enqueue() for _ in range(12)]
    assert {node.ended(run).state for run in runs} == {RunState.SUCCESS}


def test_a_runtime_that_cannot_be_imported_fails_its_runs_with_the_reason(tmp_path: Path) -> None:
    node = SupervisedNode(tmp_path, python=Path("/bin/false"))
    node.start()
    run = node.ended(node.enqueue())
    assert (run.state, run.reason) == (RunState.FAILED, RunReason.IMPORT_FAILED)
    assert "the launcher left with code 1" in (run.message or "")
    assert node.supervisor.statuses()[0].state == "failed"
    node.close()


def test_a_job_that_cannot_be_made_is_the_end_of_its_run(node: SupervisedNode) -> None:
    from minisched.domain.errors import PipelineNotFound

    def gone(run: Run) -> dict[str, object]:
        raise PipelineNotFound("deleted meanwhile")

    node.job_of = gone
    run = node.ended(node.enqueue())
    assert (run.state, run.reason) == (RunState.FAILED, RunReason.INVALID_CONFIG)
    assert "deleted meanwhile" in (run.message or "")
