"""What a run leaves behind, through real launchers and real processes, with a stand-in for the ingestion package."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.worker import protocol
from tests.integration.launcher_process import (
    LauncherProcess,
    SpawnedRun,
    alive,
    launcher_with_standin,
    pids_with,
    standin_job,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LauncherProcess]:
    """One launcher for all tests that do not harm it."""
    yield from launcher_with_standin(tmp_path_factory.mktemp("launcher"), "--spares", "2")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LauncherProcess]:
    """A launcher that the test may kill."""
    yield from launcher_with_standin(tmp_path)


def reports(path: Path) -> list[str]:
    """The states that the workflow told OpenMetadata, in order."""
    return [json.loads(line)["pipelineState"] for line in path.read_text().splitlines()]


def assert_nothing_left(run: SpawnedRun) -> None:
    assert not alive(run.guard)
    assert pids_with(run.id) == []
    assert not (run.directory / protocol.TMP_DIR).exists()


class TestEnds:
    def test_success(self, shared: LauncherProcess, tmp_path: Path) -> None:
        run = shared.spawn(standin_job(reports=str(tmp_path / "reports")))

        ended = run.wait()

        assert ended["exit_code"] == protocol.EXIT_SUCCESS
        assert ended["signal"] is None
        assert ended["ended_by"] == "itself"
        assert (ended["signals"], ended["pids_left"], ended["kill_ms"]) == ([], 0, None)
        assert ended["started_ms"] <= ended["ended_ms"]
        assert ended["max_rss_kb"] > 1000
        assert run.started["process"]["pid"] == run.guard == ended["pid"]
        assert run.result["verdict"] == "success"
        assert run.result["stage"] == "done"
        assert run.result["error"] is None
        assert run.result["reported"] is True
        assert [step["name"] for step in run.result["steps"]] == ["Source", "Sink"]
        assert run.result["timings"]["workflow_ns"] // 1_000_000 >= ended["started_ms"]
        assert reports(tmp_path / "reports") == ["running", "success"]
        assert "Workflow finished" in run.log
        assert_nothing_left(run)

    @pytest.mark.parametrize(
        ("steps", "raise_on_error", "verdict", "stage", "exit_code"),
        [
            ([{"name": "S", "records": 99, "failures": 1}], True, "partialSuccess", "done", 0),
            ([{"name": "S", "records": 1, "failures": 1}], True, "failed", "raise", 1),
            ([{"name": "S", "records": 1, "failures": 1}], False, "failed", "done", 1),
            ([{"name": "S"}, {"name": "Sink", "late_failures": 24}], True, "failed", "raise", 1),
            ([{"name": "S"}, {"name": "Sink", "records": 99, "late_failures": 1}], True, "partialSuccess", "done", 0),
        ],
        ids=["few errors", "many errors", "many errors, raiseOnError false", "errors at close", "few errors at close"],
    )
    def test_verdict_is_what_openmetadata_is_told(
        self,
        shared: LauncherProcess,
        tmp_path: Path,
        steps: list[dict[str, object]],
        raise_on_error: bool,
        verdict: str,
        stage: str,
        exit_code: int,
    ) -> None:
        job = standin_job(steps=steps, reports=str(tmp_path / "reports"))
        job["config"]["workflowConfig"] = {"raiseOnError": raise_on_error}

        run = shared.spawn(job)

        assert run.wait()["exit_code"] == exit_code
        assert (run.result["verdict"], run.result["stage"]) == (verdict, stage)
        assert reports(tmp_path / "reports") == ["running", verdict]
        assert run.result["reported"] is True
        if verdict == "failed":
            assert "reported" in run.result["error"]["message"]

    def test_openmetadata_down_at_the_end_is_not_reported(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job(openmetadata_down=True))

        run.wait()

        assert run.result["verdict"] == "success"
        assert run.result["reported"] is False

    @pytest.mark.parametrize(
        ("behaviour", "stage", "kind", "text"),
        [
            ("raise_in_create", "create", "ValueError", "cannot create this"),
            ("raise_error", "execute", "RuntimeError", "it broke with nothing"),
            ("system_exit", "execute", "SystemExit", "sys.exit(0)"),
            ("memory_error", "execute", "MemoryError", "MemoryError"),
            ("wrong_password", "create", "SourceConnectionException", "CheckAccess failed: password authentication"),
        ],
    )
    def test_exception_ends_as_failed_with_its_cause(
        self, shared: LauncherProcess, behaviour: str, stage: str, kind: str, text: str
    ) -> None:
        run = shared.spawn(standin_job(behaviour))

        assert run.wait()["exit_code"] == protocol.EXIT_FAILED
        assert (run.result["verdict"], run.result["stage"]) == ("failed", stage)
        assert run.result["error"]["type"] == kind
        assert text in run.result["error"]["message"]
        assert "Traceback" in run.log
        assert_nothing_left(run)

    @pytest.mark.parametrize(("behaviour", "code", "signum"), [("leave_midway", 7, None), ("crash", None, 11)])
    def test_end_without_a_result(
        self, shared: LauncherProcess, behaviour: str, code: int | None, signum: int | None
    ) -> None:
        run = shared.spawn(standin_job(behaviour))

        ended = run.wait()

        assert (ended["exit_code"], ended["signal"]) == (code, signum)
        assert protocol.read_record(str(run.directory), protocol.RESULT_FILE) is None
        assert_nothing_left(run)

    def test_unreadable_job_is_a_failed_run(self, shared: LauncherProcess) -> None:
        run = shared.spawn({"task": "workflow", "config": {"nothing": True}})

        assert run.wait()["exit_code"] == protocol.EXIT_FAILED
        assert run.result["stage"] == "prepare"
        assert "neither a source nor a sourcePythonClass" in run.result["error"]["message"]


class TestStop:
    def test_stop_is_quick_and_reported_as_stopped(self, shared: LauncherProcess, tmp_path: Path) -> None:
        run = shared.spawn(standin_job("hang", reports=str(tmp_path / "reports")))
        run.note("main")

        run.stop()
        ended = run.wait()

        assert ended["ended_by"] == "stop"
        assert ended["exit_code"] == protocol.EXIT_STOPPED
        assert ended["kill_ms"] < 2000
        assert [entry["signal"] for entry in ended["signals"]] == ["SIGTERM"]
        assert ended["signals"][0]["pids"] == [run.runner]
        assert run.result["verdict"] == "stopped"
        assert run.result["reported"] is True
        assert reports(tmp_path / "reports") == ["running", "stopped"]
        assert_nothing_left(run)

    def test_stop_in_create(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("hang_in_create"))
        run.note("main")

        run.stop()

        assert run.wait()["ended_by"] == "stop"
        assert (run.result["verdict"], run.result["stage"], run.result["reported"]) == ("stopped", "create", False)

    @pytest.mark.parametrize("behaviour", ["ignore_term", "stop_itself"])
    def test_deaf_run_is_killed_after_the_grace(self, shared: LauncherProcess, behaviour: str) -> None:
        run = shared.spawn(standin_job(behaviour), grace_s=0.5)
        run.note("main")

        run.stop()
        ended = run.wait()

        # A run that stopped itself is continued, and then hears SIGTERM as any other.
        expected = signal.SIGKILL if behaviour == "ignore_term" else None
        assert ended["signal"] == expected
        assert ended["kill_ms"] < 1500
        assert ended["pids_left"] == 0
        assert_nothing_left(run)

    @pytest.mark.parametrize("behaviour", ["programs", "fork_bomb"])
    def test_the_whole_tree_ends(self, shared: LauncherProcess, behaviour: str) -> None:
        run = shared.spawn(standin_job(behaviour), grace_s=0.3)
        count = {"programs": 3, "fork_bomb": 60}[behaviour]
        wait_until(lambda: len(pids_with(run.id)) >= count, timeout_s=20)

        run.stop()
        ended = run.wait(40)

        assert ended["pids_left"] == 0
        assert len(ended["pids_seen"]) >= count
        assert_nothing_left(run)

    def test_grandchild_that_escaped_is_ended_with_the_run(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("escaping_grandchild", then_hang=True), grace_s=0.3)
        grandchild = run.note("grandchild")
        run.note("main")

        run.stop()
        ended = run.wait()

        assert grandchild in ended["pids_seen"]
        assert not alive(grandchild)
        assert_nothing_left(run)


class TestLimits:
    def test_time_limit(self, shared: LauncherProcess, tmp_path: Path) -> None:
        run = shared.spawn(standin_job("hang", reports=str(tmp_path / "reports")), timeout_s=0.5)

        ended = run.wait()

        assert ended["ended_by"] == "time_limit"
        assert 500 <= ended["ended_ms"] - ended["started_ms"] < 3000
        assert run.result["verdict"] == "failed"
        assert reports(tmp_path / "reports") == ["running", "failed"]
        assert_nothing_left(run)

    def test_memory_limit(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("hog"), memory_limit_mb=200)

        ended = run.wait()

        assert ended["ended_by"] == "memory_limit"
        assert ended["peak_tree_rss_kb"] > 200 * 1024
        assert_nothing_left(run)

    def test_leftovers_of_a_good_run_are_swept(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("escaping_grandchild"))

        ended = run.wait()

        assert ended["exit_code"] == protocol.EXIT_SUCCESS
        assert ended["ended_by"] == "itself"
        assert [entry["signal"] for entry in ended["signals"]] == ["SIGTERM", "SIGKILL"]
        assert len(ended["pids_seen"]) == 1
        assert_nothing_left(run)


class TestSurroundings:
    def test_process_state(self, shared: LauncherProcess) -> None:
        job = standin_job("tell_environment")
        job["environment"] = {"GREETING": "hello", "TZ": "Asia/Tokyo", "TMPDIR": "/elsewhere", "MINISCHED_X": "no"}

        run = shared.spawn(job, nice=3, open_files=100)
        run.wait()

        told = dict(line.split(" ", 1) for line in run.log.splitlines() if not line.startswith("["))
        tmp = str(run.directory / protocol.TMP_DIR)
        assert told["cwd"] == told["TMPDIR"] == tmp
        # 0-2, the socket to the guard, and the one that lists the directory
        assert len(json.loads(told["fds"])) == 5
        assert told["stdin"] == "/dev/null"
        assert told["GREETING"] == "hello"
        assert told["timezone"] == "JST"
        assert told["MINISCHED_RUN_ID"] == run.id
        assert told["session"] == "True"
        assert told["umask"] == "0o77"
        assert told["nice"] == "3"
        assert told["oom_score_adj"] == "500"

    def test_secrets_and_colours_stay_out_of_the_log(self, shared: LauncherProcess) -> None:
        job = standin_job("tell_secret", secret="sup3r-s3cret/&")

        run = shared.spawn(job)
        run.wait()

        assert "sup3r" not in run.log
        assert "printed *********" in run.log
        assert "logged ********* red" in run.log
        assert "raw *********" in run.log

    def test_secrets_stay_out_of_the_result(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("raise_error", secret="sup3r-s3cret"))
        run.wait()

        assert run.result["error"]["message"] == "it broke with *********"
        assert not any(b"sup3r" in path.read_bytes() for path in run.directory.iterdir())

    def test_long_lines_and_invalid_bytes_are_kept(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("shout"))
        run.wait()

        output = (run.directory / protocol.LOG_FILE).read_bytes()
        assert b"x" * 10_000_000 in output
        assert b"\xff\xfe invalid" in output
        assert b"after the shout" in output

    def test_files_are_private_and_tmp_goes_without_following_links(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job("lock_tmp"))
        run.wait()

        assert_nothing_left(run)
        assert Path("/etc/passwd").exists()
        assert {path.stat().st_mode & 0o777 for path in run.directory.iterdir()} == {0o600}
        assert {path.name for path in run.directory.iterdir()} == {
            protocol.LOG_FILE,
            protocol.STARTED_FILE,
            protocol.RESULT_FILE,
            protocol.EXIT_FILE,
        }

    def test_progress_counts_while_it_runs(self, shared: LauncherProcess, tmp_path: Path) -> None:
        run = shared.spawn(standin_job("count_slowly", until=str(tmp_path / "enough")))

        def records() -> int:
            progress = protocol.read_record(str(run.directory), protocol.PROGRESS_FILE)
            return progress["steps"][0]["records"] if progress else 0

        wait_until(lambda: records() > 10)
        (tmp_path / "enough").touch()
        run.wait()

        assert run.result["verdict"] == "success"


class TestSurvival:
    def test_run_outlives_its_launcher(self, own: LauncherProcess, tmp_path: Path) -> None:
        run = own.spawn(standin_job("count_slowly", until=str(tmp_path / "enough")))
        own.kill()

        assert alive(run.guard)
        (tmp_path / "enough").touch()

        assert run.wait()["exit_code"] == protocol.EXIT_SUCCESS
        assert run.result["verdict"] == "success"
        assert_nothing_left(run)

    def test_spares_do_not_outlive_their_launcher(self, own: LauncherProcess) -> None:
        wait_until(lambda: own.ask({"op": "ping"})["spares"] == 1)
        pids = pids_with(str(own.directory)) or _children_of(own.process.pid)
        own.kill()

        wait_until(lambda: not any(alive(pid) for pid in pids))

    def test_nothing_outlives_a_killed_guard(self, own: LauncherProcess) -> None:
        run = own.spawn(standin_job("programs"))
        one, two = run.note("one"), run.note("two")
        run.note("main")

        os.kill(run.guard, signal.SIGKILL)

        wait_until(lambda: not any(alive(pid) for pid in (run.runner, one, two)))
        assert protocol.read_record(str(run.directory), protocol.EXIT_FILE) is None
        wait_until(lambda: own.ask({"op": "ping"})["runs"] == [])

    def test_a_run_is_never_started_twice(self, shared: LauncherProcess) -> None:
        run = shared.spawn(standin_job())
        run.wait()
        before = (run.directory / protocol.STARTED_FILE).read_bytes()

        answer = shared.request(standin_job() | {"run_id": run.id}, run.directory)

        assert (answer["op"], answer["reason"]) == ("refused", protocol.REFUSED_STARTED)
        assert (run.directory / protocol.STARTED_FILE).read_bytes() == before

    def test_a_missing_directory_is_refused(self, shared: LauncherProcess, tmp_path: Path) -> None:
        answer = shared.request(standin_job() | {"run_id": str(uuid.uuid4())}, tmp_path / "missing")

        assert (answer["op"], answer["reason"]) == ("refused", protocol.REFUSED_RUN_DIR)

    def test_many_at_once(self, shared: LauncherProcess) -> None:
        runs = [shared.spawn(standin_job()) for _ in range(12)]

        assert [run.wait()["exit_code"] for run in runs] == [0] * 12


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(directory)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_fails_the_run_and_does_not_keep_its_end_from_being_known(
    shared: LauncherProcess, small_disk: Path
) -> None:
    job = standin_job("shout") | {"run_id": str(uuid.uuid4())}
    answer = shared.request(job, small_disk)
    run = SpawnedRun(job["run_id"], small_disk, answer["process"])

    ended = run.wait()

    assert ended["exit_code"] == protocol.EXIT_FAILED
    assert ended["result"]["verdict"] == "failed"
    assert "No space left on device" in ended["result"]["error"]["message"]
    answer = shared.request(standin_job() | {"run_id": str(uuid.uuid4())}, small_disk / "missing")
    assert answer["reason"] == protocol.REFUSED_RUN_DIR


def test_a_run_is_refused_where_there_is_no_room_for_its_records(shared: LauncherProcess, small_disk: Path) -> None:
    run_dir = small_disk / "run"
    run_dir.mkdir()
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(b"x" * 4096):
            pass

    answer = shared.request(standin_job() | {"run_id": str(uuid.uuid4())}, run_dir)

    assert (answer["op"], answer["reason"]) == ("refused", protocol.REFUSED_DISK_FULL)
