"""The launcher itself: its socket, its spares, its life; with a stand-in for the ingestion package."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.worker import protocol
from tests.integration.launcher_process import (
    STANDIN,
    WORKER,
    LauncherProcess,
    alive,
    launcher_with_standin,
    standin_job,
)
from tests.waiting import wait_until


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[LauncherProcess]:
    yield from launcher_with_standin(tmp_path, spares=2)


def test_hello_says_who_it_is(launcher: LauncherProcess) -> None:
    hello = launcher.hello

    assert hello["op"] == "hello"
    assert hello["protocol"] == protocol.PROTOCOL
    assert (hello["runtime"], hello["generation"], hello["state"]) == ("test", "0a", "ready")
    assert {name: hello[name] for name in ("pid", "start_ticks", "boot_id")} == protocol.identity(launcher.process.pid)
    assert hello["problem"] is None
    assert hello["import_s"] < 5


def test_it_has_one_thread_its_own_session_and_a_private_socket(launcher: LauncherProcess) -> None:
    pid = launcher.process.pid

    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert os.getsid(pid) == pid
    assert launcher.path.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in launcher.directory.iterdir()} == {"launcher.log", "l.sock"}


def test_spares_are_replaced(launcher: LauncherProcess) -> None:
    wait_until(lambda: launcher.ask({"op": "ping"})["spares"] == 2)
    for _ in range(3):
        launcher.spawn(standin_job()).wait()

    wait_until(lambda: launcher.ask({"op": "ping"})["spares"] == 2)
    assert launcher.ask({"op": "ping"})["runs"] == []


def test_a_killed_spare_is_replaced_and_a_run_does_not_notice(launcher: LauncherProcess) -> None:
    wait_until(lambda: launcher.ask({"op": "ping"})["spares"] == 2)
    children = Path(f"/proc/{launcher.process.pid}/task/{launcher.process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)

    assert launcher.spawn(standin_job()).wait()["exit_code"] == 0
    wait_until(lambda: launcher.ask({"op": "ping"})["spares"] == 2)


def test_active_runs_are_named(launcher: LauncherProcess, tmp_path: Path) -> None:
    run = launcher.spawn(standin_job("hang"))

    assert launcher.ask({"op": "ping"})["runs"] == [run.id]
    with launcher.connect() as second:
        protocol.send(second, {"op": "hello", "protocol": protocol.PROTOCOL})
        assert protocol.receive(second)[0]["runs"] == [run.id]
    run.stop()
    run.wait()
    wait_until(lambda: launcher.ask({"op": "ping"})["runs"] == [])


@pytest.mark.parametrize("data", [b"no json", b"[]", b'{"op": "unknown"}', b"{}"])
def test_nonsense_closes_its_connection_only(launcher: LauncherProcess, data: bytes) -> None:
    with launcher.connect() as other:
        other.send(data)
        with pytest.raises((EOFError, ConnectionError)):
            protocol.receive(other)

    assert launcher.ask({"op": "ping"})["op"] == "pong"


@pytest.mark.parametrize(
    "message",
    [{"op": "spawn"}, {"op": "spawn", "run_id": "r"}, {"op": "spawn", "run_id": "r", "run_dir": "relative"}],
    ids=["no run", "no directory", "relative directory"],
)
def test_incomplete_spawn_is_refused(launcher: LauncherProcess, message: dict[str, str]) -> None:
    answer = launcher.ask(message)

    assert (answer["op"], answer["reason"]) == ("refused", protocol.REFUSED_BAD_REQUEST)


def test_retired_launcher_finishes_its_runs_and_leaves(launcher: LauncherProcess, tmp_path: Path) -> None:
    run = launcher.spawn(standin_job("count_slowly", until=str(tmp_path / "enough")))

    assert launcher.ask({"op": "retire"}) == {"op": "retiring", "runs": [run.id]}
    answer = launcher.request(standin_job() | {"run_id": "other"}, run.directory)
    assert answer["reason"] == protocol.REFUSED_RETIRING
    assert launcher.process.poll() is None
    (tmp_path / "enough").touch()

    assert launcher.process.wait(10) == 0
    assert run.exit["exit_code"] == 0
    assert not launcher.path.exists()


def test_lonely_launcher_leaves(tmp_path: Path) -> None:
    launcher = LauncherProcess(tmp_path, "--path", str(STANDIN), "--linger-s", "0.1")
    launcher.connection.close()

    assert launcher.process.wait(10) == 0
    launcher.close()


def test_lonely_launcher_waits_for_its_runs(tmp_path: Path) -> None:
    launcher = LauncherProcess(tmp_path, "--path", str(STANDIN), "--linger-s", "0.1")
    run = launcher.spawn(standin_job("count_slowly", until=str(tmp_path / "enough")))
    launcher.connection.close()
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.process.wait(1.5)
    (tmp_path / "enough").touch()

    assert launcher.process.wait(10) == 0
    assert run.exit["exit_code"] == 0
    launcher.close()


def test_a_socket_below_a_long_path_can_be_bound(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = directory / "l.sock"
    command = [sys.executable, str(WORKER), "launcher", "--socket", str(path), "--runtime", "r", "--generation", "1"]
    process = subprocess.Popen([*command, "--path", str(STANDIN), "--linger-s", "0.1"], stderr=subprocess.DEVNULL)
    try:
        wait_until(path.exists)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            fd = os.open(directory, os.O_DIRECTORY)
            connection.connect(f"/proc/self/fd/{fd}/l.sock")
            os.close(fd)
            protocol.send(connection, {"op": "hello", "protocol": protocol.PROTOCOL})
            assert protocol.receive(connection)[0]["state"] == "ready"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_runtime_without_the_package_says_so(tmp_path: Path) -> None:
    launcher = LauncherProcess(tmp_path, "--linger-s", "5")

    assert launcher.hello["state"] == "failed"
    assert "No module named 'metadata'" in launcher.hello["problem"]
    answer = launcher.request(standin_job() | {"run_id": "r"}, tmp_path)
    assert (answer["reason"], answer["message"]) == (protocol.REFUSED_FAILED, launcher.hello["problem"])
    launcher.close()


def test_modules_that_leave_threads_running_are_refused(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()"
    )
    launcher = LauncherProcess(
        tmp_path, "--path", str(STANDIN), "--path", str(tmp_path), "--preload", "threaded", "--linger-s", "5"
    )

    assert launcher.hello["state"] == "failed"
    assert "threads" in launcher.hello["problem"]
    launcher.kill()
    launcher.close()


def test_a_preload_that_fails_is_only_noted(tmp_path: Path) -> None:
    launcher = LauncherProcess(tmp_path, "--path", str(STANDIN), "--preload", "no_such_thing", "--linger-s", "5")

    assert launcher.hello["state"] == "ready"
    assert "no_such_thing" in launcher.hello["failed_modules"]
    launcher.close()


def test_terminated_launcher_leaves_its_runs_alone(launcher: LauncherProcess, tmp_path: Path) -> None:
    run = launcher.spawn(standin_job("hang"))
    launcher.process.terminate()

    wait_until(lambda: launcher.ask({"op": "ping"})["spares"] == 0)
    assert alive(run.guard)
    run.stop()

    assert launcher.process.wait(10) == 0
    assert run.exit["ended_by"] == "stop"


def test_inspect_tells_what_can_be_imported() -> None:
    command = [sys.executable, str(WORKER), "inspect", "--path", str(STANDIN)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["modules"]["metadata.workflow.metadata"] is None
    assert found["import_s"] >= 0
    assert found["version"] is None


def test_the_worker_directory_shadows_nobody(tmp_path: Path) -> None:
    command = [sys.executable, str(WORKER), "inspect", "--path", str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    assert all("No module named 'metadata'" in error for error in found["modules"].values())
