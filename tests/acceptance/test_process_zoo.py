"""Runs that misbehave, through a whole server: each gets its true end in time, and nothing of it is left (R5, R9, R10).

The oracles are the record of the run and /proc; what a run says about itself does not count.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from minisched.worker import protocol
from tests.acceptance.served_runs import GRACE_S, ServedRuns, served_runs
from tests.acceptance.server_process import PIPELINES, pipeline_request
from tests.integration.launcher_process import alive, pids_with
from tests.waiting import wait_until

# What the promise allows on top of the grace.
SLACK_S = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
    with served_runs(tmp_path_factory.mktemp("zoo")) as runs:
        yield runs


def exit_of(run: dict[str, Any]) -> dict[str, Any]:
    return dict(run["evidence"]["exit"])


def assert_gone(run: dict[str, Any], *known: int) -> None:
    """No process of the run exists, by its own record and by /proc; only its records and its log are on the disk."""
    record = exit_of(run)
    assert record["pids_left"] == 0
    pids = {*known, *record["pids_seen"], record["pid"], record["runner_pid"]}
    assert [pid for pid in pids if alive(pid)] == []
    assert pids_with(run["id"]) == []


def assert_evidence(run: dict[str, Any], *signals: str) -> None:
    """Who asked, when and why; which signals went to which processes; how long it took."""
    record = exit_of(run)
    assert [entry["signal"] for entry in record["signals"]] == list(signals)
    assert all(entry["pids"] and set(entry["pids"]) <= set(record["pids_seen"]) for entry in record["signals"])
    assert record["started_ms"] <= record["signals"][0]["at_ms"] <= record["ended_ms"]
    assert record["kill_ms"] >= 0
    if record["ended_by"] == "stop":
        assert run["stop"]["by"] == "admin"
        assert run["stop"]["why"] == "enough"
        assert record["started_ms"] <= run["stop"]["at"] <= run["endedAt"]


def assert_in_time(run: dict[str, Any], since_ms: int) -> None:
    assert run["endedAt"] - since_ms <= (GRACE_S + SLACK_S) * 1000


def stopped(server: ServedRuns, run_id: str) -> dict[str, Any]:
    run = server.stop_run(run_id)
    assert (run["state"], run["reason"]) == ("stopped", "stop_requested"), run
    assert_in_time(run, run["stop"]["at"])
    return run


class TestStop:
    @pytest.mark.parametrize("behaviour", ["ignore_term", "hang_in_c", "hang_in_c_with_the_interpreter"])
    def test_a_run_that_does_not_hear_sigterm_is_killed(self, server: ServedRuns, behaviour: str) -> None:
        run_id = server.begin(behaviour)
        pid = server.note(run_id, "main")
        run = stopped(server, run_id)
        assert_gone(run, pid)
        assert_evidence(run, "SIGTERM", "SIGKILL")
        assert exit_of(run)["signal"] == signal.SIGKILL
        assert exit_of(run)["kill_ms"] >= GRACE_S * 1000 - 1

    def test_a_run_that_stopped_itself_is_woken_and_hears_it(self, server: ServedRuns) -> None:
        run_id = server.begin("stop_itself")
        pid = server.note(run_id, "main")
        wait_until(lambda: _state_of(pid) == "T")
        run = stopped(server, run_id)
        assert_gone(run, pid)
        assert_evidence(run, "SIGTERM")

    def test_a_grandchild_that_left_its_session_and_ignores_sigterm(self, server: ServedRuns) -> None:
        run_id = server.begin("deaf_grandchild_in_a_session_of_its_own")
        server.note(run_id, "main")
        grandchild = server.note(run_id, "grandchild")
        assert os.getsid(grandchild) not in (server.runner(run_id), grandchild)
        run = stopped(server, run_id)
        assert_gone(run, grandchild)
        assert grandchild in exit_of(run)["pids_seen"]
        assert_evidence(run, "SIGTERM", "SIGKILL")

    def test_zombies_are_collected(self, server: ServedRuns) -> None:
        run_id = server.begin("zombies")
        server.note(run_id, "main")
        child = server.note(run_id, "child")
        zombies = [int(pid) for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()]
        assert {_state_of(pid) for pid in zombies} == {"Z"}
        run = stopped(server, run_id)
        assert_gone(run, child)
        assert [pid for pid in zombies if Path(f"/proc/{pid}").exists()] == []

    def test_a_fork_bomb(self, server: ServedRuns) -> None:
        run_id = server.begin("fork_bomb")
        server.started(run_id)
        wait_until(lambda: len(pids_with(run_id)) >= 60, timeout_s=20)
        run = stopped(server, run_id)
        assert_gone(run)
        assert len(exit_of(run)["pids_seen"]) >= 60
        assert_evidence(run, "SIGTERM", "SIGKILL")


class TestTimeLimit:
    @pytest.mark.parametrize("behaviour", ["ignore_term", "stop_itself", "hang_in_c_with_the_interpreter"])
    def test_it_ends_what_does_not_listen(self, server: ServedRuns, behaviour: str) -> None:
        run = server.ended(server.begin(behaviour, timeout_s=1))
        assert (run["state"], run["reason"]) == ("failed", "timed_out")
        assert_in_time(run, exit_of(run)["started_ms"] + 1000)
        assert_gone(run)
        assert exit_of(run)["ended_by"] == "time_limit"


class TestEndsByThemselves:
    def test_a_child_that_holds_the_output_open_does_not_hold_up_the_end(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("deaf_child_holds_output"))
        assert (run["state"], run["reason"]) == ("success", "completed")
        assert_gone(run)
        assert_evidence(run, "SIGTERM", "SIGKILL")
        assert exit_of(run)["ended_by"] == "itself"

    def test_a_run_that_closed_all_its_descriptors_still_has_its_end(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("close_everything"))
        assert (run["state"], run["reason"]) == ("success", "completed")
        assert_gone(run)
        assert b"executing at" in server.whole_log(run["id"])

    @pytest.mark.parametrize(
        ("behaviour", "text"),
        [
            ("leave_without_a_result", "exit code 0 and without a result"),
            ("leave_with_half_a_result", "exit code 0 and without a result"),
            ("leave_midway", "exit code 7 and without a result"),
        ],
    )
    def test_no_result_is_never_success(self, server: ServedRuns, behaviour: str, text: str) -> None:
        run = server.ended(server.begin(behaviour))
        assert (run["state"], run["reason"]) == ("failed", "error")
        assert text in run["message"]
        assert run["hint"]
        assert_gone(run)

    def test_a_crash_names_its_signal(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("crash"))
        assert (run["state"], run["reason"]) == ("failed", "signal")
        assert "SIGSEGV" in run["message"]
        assert b"Fatal Python error: Segmentation fault" in server.whole_log(run["id"])
        assert_gone(run)


class TestTruth:
    """What counts is what the workflow counted, whether it was told to raise or not."""

    @pytest.mark.parametrize("raise_on_error", [True, False])
    @pytest.mark.parametrize(
        ("steps", "state", "reason"),
        [
            ([{"name": "S", "records": 100}], "success", "completed"),
            ([{"name": "S", "records": 99, "failures": 1}], "partialSuccess", "completed"),
            ([{"name": "S", "records": 1, "failures": 1}], "failed", "error"),
            # The last batch of a sink fails when it is closed, which is after the workflow has judged itself.
            ([{"name": "S"}, {"name": "Sink", "late_failures": 24}], "failed", "error"),
        ],
        ids=["none failed", "few failed", "many failed", "failed at the end"],
    )
    def test_failed_steps_are_never_success(
        self, server: ServedRuns, steps: list[dict[str, Any]], state: str, reason: str, raise_on_error: bool
    ) -> None:
        request = pipeline_request(steps=steps, reports_itself=True)
        pipeline = server.deployed_as({**request, "raiseOnError": raise_on_error})
        run = server.ended(server.trigger(pipeline))
        assert (run["state"], run["reason"]) == (state, reason)
        assert [step["errors"] for step in run["steps"]] == [
            step.get("failures", 0) + step.get("late_failures", 0) for step in steps
        ]
        assert bool(run["message"])
        assert bool(run.get("hint")) == (state != "success")
        heard = server.http.get(
            f"{PIPELINES}/{quote(pipeline['fullyQualifiedName'], safe='')}/pipelineStatus/{run['id']}"
        ).json()
        assert heard["pipelineState"] == state

    @pytest.mark.parametrize(
        ("behaviour", "text"), [("raise_error", "it broke with nothing"), ("system_exit", "sys.exit(0)")]
    )
    def test_an_error_is_told_in_its_own_words(self, server: ServedRuns, behaviour: str, text: str) -> None:
        run = server.ended(server.begin(behaviour))
        assert (run["state"], run["reason"]) == ("failed", "error")
        assert text in run["message"]
        assert run["hint"]


class TestKilledFromOutside:
    def test_the_runner(self, server: ServedRuns) -> None:
        run_id = server.begin("deaf_grandchild_in_a_session_of_its_own")
        pid, grandchild = server.note(run_id, "main"), server.note(run_id, "grandchild")
        os.kill(pid, signal.SIGKILL)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "signal")
        assert "signal 9 (SIGKILL) that minisched did not send" in run["message"]
        assert_gone(run, pid, grandchild)

    def test_the_guard(self, server: ServedRuns) -> None:
        run_id = server.begin("deaf_grandchild_in_a_session_of_its_own")
        pid, grandchild = server.note(run_id, "main"), server.note(run_id, "grandchild")
        os.kill(server.guard(run_id), signal.SIGKILL)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "abandoned")
        assert [process for process in (pid, grandchild) if alive(process)] == []
        assert pids_with(run_id) == []

    def test_the_launcher_and_the_guard(self, server: ServedRuns) -> None:
        """Nobody is left who has the run's processes as descendants, and some were only forked, never executed."""
        run_id = server.begin("deaf_grandchild_in_a_session_of_its_own")
        pid, grandchild = server.note(run_id, "main"), server.note(run_id, "grandchild")
        guard = server.guard(run_id)
        os.kill(server.launcher(), signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "abandoned")
        assert [process for process in (pid, grandchild) if alive(process)] == []


class TestLog:
    def test_a_large_log_is_readable_to_its_last_byte(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("big_log", lines=20 * 1024))
        assert run["state"] == "success"
        lines = [line for line in server.whole_log(run["id"]).splitlines() if len(line) == 1023]
        assert [int(line[:12]) for line in lines] == list(range(20 * 1024))

    def test_a_line_of_ten_megabytes_and_bytes_that_are_no_text(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("shout"))
        assert run["state"] == "success"
        log = server.whole_log(run["id"])
        assert b"x" * 10_000_000 + b"\n\xff\xfe invalid\n" in log
        assert log == (server.run_dir(run["id"]) / protocol.LOG_FILE).read_bytes()

    def test_what_was_printed_before_a_death_is_there_without_a_line_end_too(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("die_with_an_unfinished_line"))
        assert run["reason"] == "signal"
        assert server.whole_log(run["id"]).endswith(b"a whole line\nand the beginning of another")


def _state_of(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat[stat.rindex(")") + 2]
