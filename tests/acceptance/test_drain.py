"""SIGTERM, SIGHUP and what they leave: runs as the settings want it, and never a process that nobody needs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import yaml

from tests.acceptance.server_process import PIPELINES, ServerProcess, server_process
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until


def ready(server: ServerProcess) -> None:
    """Started, with its own sandbox as the OpenMetadata server."""
    server.start()
    server.make_service()


def assert_nothing_is_left(server: ServerProcess) -> None:
    wait_until(lambda: not processes_about(server.data), timeout_s=5)


def test_without_runs_everything_leaves(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        ready(server)
        assert server.terminate() == 0
        assert_nothing_is_left(server)


def test_a_server_that_is_stopped_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        server.start(ready=False)
        wait_until(lambda: (server.data / "launchers").is_dir(), timeout_s=60)
        assert server.terminate() == 0
        assert_nothing_is_left(server)


def test_runs_are_left_to_their_guards(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        ready(server)
        run_id = server.trigger(server.deployed("talk", lines=20, every_s=0.1))
        processes = server.started(run_id)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 3.0
        assert len(processes.living()) == 2
        # The launcher goes with its last run, although no server is there to tell it.
        wait_until(lambda: not processes_about(server.data), timeout_s=30)
        server.start()
        assert server.ended(run_id)["state"] == "success"
        assert "line 19" in server.run_log(run_id)


def test_runs_are_waited_for_and_the_server_answers_meanwhile(tmp_path: Path) -> None:
    with server_process(tmp_path, EXECUTOR__DRAIN="wait") as server:
        ready(server)
        pipeline = server.deployed("talk", lines=20, every_s=0.1, reports_itself=True)
        run_id, queued = server.trigger(pipeline), server.trigger(pipeline)
        server.started(run_id)
        server.process.terminate()
        wait_until(lambda: server.http.get("/health/ready").status_code == 503)
        wait_until(lambda: "line 15" in server.run_log(run_id), timeout_s=30)
        assert server.run(run_id)["state"] == "running"
        assert server.wait_for_death() == 0
        assert_nothing_is_left(server)
        server.start()
        assert server.run(run_id)["state"] == "success"
        path = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus/{run_id}"
        assert server.http.get(path).json()["pipelineState"] == "success"
        assert server.ended(queued)["state"] == "success"


def test_waiting_ends_when_the_time_is_over(tmp_path: Path) -> None:
    with server_process(tmp_path, EXECUTOR__DRAIN="wait", EXECUTOR__DRAIN_WAIT_S="1") as server:
        ready(server)
        processes = server.started(server.trigger(server.deployed("hang")))
        began = time.monotonic()
        assert server.terminate() == 0
        assert 1.0 < time.monotonic() - began < 5.0
        assert len(processes.living()) == 2


def test_runs_are_stopped_with_proof_and_queued_ones_wait_for_the_next_server(tmp_path: Path) -> None:
    with server_process(tmp_path, EXECUTOR__DRAIN="stop") as server:
        ready(server)
        pipeline = server.deployed("ignore_term")
        run_id, queued = server.trigger(pipeline), server.trigger(pipeline)
        processes = server.started(run_id)
        assert server.terminate() == 0
        assert processes.living() == []
        assert_nothing_is_left(server)
        server.start()
        run = server.run(run_id)
        assert (run["state"], run["reason"], run["stop"]["by"]) == ("stopped", "stop_requested", "minisched")
        assert run["evidence"]["exit"]["pids_left"] == 0
        assert server.run(queued)["state"] in ("queued", "running")


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with server_process(tmp_path, EXECUTOR__DRAIN="wait") as server:
        ready(server)
        processes = server.started(server.trigger(server.deployed("hang")))
        server.process.terminate()
        wait_until(lambda: server.logged("server.draining"))
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.wait_for_death() == 130
        assert time.monotonic() - began < 1.0
        assert len(processes.living()) == 2


def test_a_hang_up_reloads_what_can_be_reloaded(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"executor": {"slots": 1}}))
    with server_process(tmp_path, CONFIG=str(config)) as server:
        ready(server)
        first, second = (server.trigger(server.deployed("hang")) for _ in range(2))
        server.started(first)
        assert server.run(second)["state"] == "queued"

        config.write_text("executor: {slots: none}")
        os.kill(server.process.pid, signal.SIGHUP)
        wait_until(lambda: server.logged("settings.not_reloaded"))
        assert server.run(second)["state"] == "queued"

        config.write_text(yaml.safe_dump({"executor": {"slots": 2}, "scheduler": {"enabled": False}}))
        os.kill(server.process.pid, signal.SIGHUP)
        server.started(second)
        [reloaded] = server.logged("settings.reloaded")
        assert reloaded["changed"] == ["executor.slots"]
        wait_until(lambda: server.logged("settings.need_a_restart"))
        assert server.logged("settings.need_a_restart")[0]["names"] == ["scheduler.enabled"]
