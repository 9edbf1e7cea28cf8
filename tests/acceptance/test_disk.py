"""Disks that are full, read-only or emptied under a running server: the run is told why, the server goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served_runs import ServedRuns, served_runs
from tests.acceptance.server_process import PIPELINES, RUNS, end_processes_about
from tests.integration.launcher_process import alive, pids_with
from tests.requirements_of_tests import skip_or_fail
from tests.waiting import wait_until

MB = 1024 * 1024


@contextmanager
def small_disk(path: Path, size_mb: int) -> Iterator[Path]:
    """A file system of its own at this path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with mounted(path, "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "minisched-test"):
        yield path


@contextmanager
def mounted(path: Path, *what: str) -> Iterator[None]:
    """Skips where mounting is not allowed, which takes root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    path.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(["mount", *what, str(path)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        skip_or_fail(f"no file system can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class BreakableDisk:
    """An ext4 file system in a file, which the kernel makes read-only for everybody as it does after an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._image = path.with_name(f"{path.name}.img")
        with self._image.open("wb") as image:
            image.truncate(32 * MB)
        made = subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=False, capture_output=True, text=True)
        if made.returncode != 0:
            skip_or_fail(f"no ext4 file system can be made: {made.stderr.strip()}")

    @contextmanager
    def attached(self) -> Iterator[None]:
        with contextlib.ExitStack() as self._mount:
            self._attach()
            yield

    def repair(self) -> None:
        """Take it away, as it is, and put it back in working order."""
        self._mount.close()
        self._attach()

    def _attach(self) -> None:
        self._mount.enter_context(mounted(self.path, "-o", "loop,errors=remount-ro", str(self._image)))
        self.path.chmod(0o700)

    def fail(self) -> None:
        device = next(line.split()[0] for line in _mounts() if line.split()[1] == str(self.path))
        switch = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not switch.exists():
            skip_or_fail("this kernel cannot be told that an ext4 file system is broken")
        subprocess.run(["sync", "--file-system", str(self.path)], check=True)  # only what was asked for is lost
        switch.write_text("1")


def _mounts() -> list[str]:
    """The newest mount of a place first."""
    return Path("/proc/self/mounts").read_text().splitlines()[::-1]


def fill(directory: Path) -> Path:
    """Not a byte is left; returns the file to remove."""
    ballast = directory / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return ballast


def assert_runs_work(server: ServedRuns) -> None:
    run = server.ended(server.begin())
    assert (run["state"], run["reason"]) == ("success", "completed"), run
    assert b"Workflow finished" in server.whole_log(run["id"])


def assert_gone(run: dict[str, Any], *pids: int) -> None:
    assert [pid for pid in pids if alive(pid)] == []
    assert pids_with(run["id"]) == []


def ready(server: ServedRuns) -> bool:
    return server.http.get("/health/ready").status_code == 200


@pytest.fixture(scope="module")
def on_small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
    directory = tmp_path_factory.mktemp("runs")
    with small_disk(directory / "data" / "runs", 4), served_runs(directory) as runs:
        yield runs


class TestRunDirectories:
    """The disk of the run directories only; the database is elsewhere."""

    @pytest.fixture
    def server(self, on_small_disk: ServedRuns) -> Iterator[ServedRuns]:
        """The next run works when there is room again."""
        yield on_small_disk
        for entry in (on_small_disk.data / "runs").iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        assert_runs_work(on_small_disk)

    def test_a_run_that_fills_the_disk_fails_for_that_reason(self, server: ServedRuns) -> None:
        run_id = server.begin("big_log", lines=10 * 1024)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "disk_full"), run
        assert "No space left on device" in run["message"]
        assert "disk space" in run["hint"]
        assert run["evidence"]["exit"]["pids_left"] == 0
        assert run["evidence"]["result"]["stage"] == "execute"
        assert_gone(run)
        log = server.whole_log(run_id)
        lines = [line for line in log.splitlines() if len(line) == 1023]
        assert [int(line[:12]) for line in lines] == list(range(len(lines)))
        assert len(lines) > 3000
        assert ready(server)

    def test_a_run_that_writes_little_ends_by_its_own_verdict(self, server: ServedRuns, tmp_path: Path) -> None:
        """The disk is full when it ends: its result has no room, and is known all the same."""
        until = tmp_path / "go"
        run_id = server.begin("count_slowly", until=str(until))
        server.runner(run_id)
        wait_until(lambda: server.whole_log(run_id))
        fill(server.data / "runs")
        until.touch()
        run = server.ended(run_id)
        assert run["state"] in ("success", "failed")
        if run["state"] == "failed":  # its last words had no room
            assert run["reason"] == "disk_full"
        assert run["evidence"]["exit"]["exit_code"] in (0, 1)
        assert "verdict" in run["evidence"]["result"]

    def test_no_run_starts_on_a_full_disk(self, server: ServedRuns) -> None:
        fill(server.data / "runs")
        run = server.ended(server.begin())
        assert (run["state"], run["reason"]) == ("failed", "disk_full"), run
        assert "could not be started" in run["message"]
        assert ready(server)


class TestDataDirectory:
    """The whole data directory, database included."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[ServedRuns]:
        with small_disk(tmp_path / "data", 24), served_runs(tmp_path) as runs:
            yield runs

    def test_full(self, server: ServedRuns, tmp_path: Path) -> None:
        until = tmp_path / "go"
        pipeline = server.deployed("count_slowly", until=str(until))
        run_id = server.trigger(pipeline)
        server.runner(run_id)
        ballast = fill(server.data)
        refused = _until_refused(server, pipeline)
        assert refused == 503
        assert server.http.get(f"{RUNS}/{run_id}").json()["state"] == "running"
        assert server.http.get("/health/live").status_code == 200
        until.touch()
        wait_until(lambda: not server.started(run_id).living(), timeout_s=20)
        ballast.unlink()
        run = server.ended(run_id)
        assert run["state"] in ("success", "failed")
        assert run["evidence"]["exit"]["pids_left"] == 0
        wait_until(lambda: ready(server))
        assert_runs_work(server)
        left = [one for one in server.runs() if one["state"] not in ("success", "failed", "stopped")]
        wait_until(lambda: all(server.run(one["id"])["state"] in ("success", "failed") for one in left), timeout_s=20)


class TestDeleted:
    """Somebody tidies up under a running server; that takes no other disk."""

    @pytest.fixture(scope="class")
    @classmethod
    def one_server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
        with served_runs(tmp_path_factory.mktemp("deleted")) as runs:
            yield runs

    @pytest.fixture
    def server(self, one_server: ServedRuns) -> Iterator[ServedRuns]:
        yield one_server
        assert_runs_work(one_server)

    def test_a_run_directory_that_was_deleted_under_its_run(self, server: ServedRuns) -> None:
        run_id = server.begin("hang")
        pid, guard = server.note(run_id, "main"), server.guard(run_id)
        shutil.rmtree(server.run_dir(run_id))
        run = server.stop_run(run_id)
        assert (run["state"], run["reason"]) == ("stopped", "stop_requested")
        assert run["evidence"]["exit"]["pids_left"] == 0
        assert_gone(run, pid, guard)
        assert server.whole_log(run_id) == b""

    def test_all_run_directories_deleted(self, server: ServedRuns) -> None:
        run_id = server.begin("hang")
        pid, guard = server.note(run_id, "main"), server.guard(run_id)
        for day in (server.data / "runs").iterdir():
            shutil.rmtree(day)
        os.kill(pid, 9)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "signal")
        assert_gone(run, pid, guard)

    def test_a_guard_that_died_with_the_directory_is_explained(self, server: ServedRuns) -> None:
        run_id = server.begin("hang")
        pid, guard = server.note(run_id, "main"), server.guard(run_id)
        shutil.rmtree(server.run_dir(run_id))
        os.kill(guard, 9)
        run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "abandoned")
        assert "its run directory is gone" in run["message"]
        assert_gone(run, pid, guard)

    def test_the_directory_of_launchers_is_deleted(self, server: ServedRuns) -> None:
        shutil.rmtree(server.data / "launchers")
        assert_runs_work(server)
        os.kill(server.launcher(), 9)
        assert_runs_work(server)


def _until_refused(server: ServedRuns, pipeline: dict[str, Any]) -> int:
    """Trigger until it is refused: a page or two of the database may still have room."""

    def refused() -> int:
        answer = server.http.post(f"{PIPELINES}/trigger/{pipeline['id']}")
        if answer.status_code == 200:
            return 0
        assert answer.headers.get("Retry-After"), answer.text
        return answer.status_code

    return wait_until(refused, timeout_s=20)


class TestBrokenDisk:
    """The kernel makes a disk read-only after an error, whoever writes to it at that moment."""

    def test_of_the_run_directories(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        disk = BreakableDisk(tmp_path / "data" / "runs")
        with disk.attached(), served_runs(tmp_path) as server:
            run_id = server.begin("hang")
            pid, guard = server.note(run_id, "main"), server.guard(run_id)
            disk.fail()
            refused = server.ended(server.begin())
            assert (refused["state"], refused["reason"]) == ("failed", "spawn_failed")
            assert "Read-only file system" in refused["message"]
            os.kill(pid, 9)
            wait_until(lambda: not alive(pid))
            assert ready(server)
            os.kill(guard, 9)  # it would try for a minute to write how the run ended
            run = server.ended(run_id)
            assert (run["state"], run["reason"]) == ("failed", "disk_full")
            assert "Read-only" in run["message"]
            assert_gone(run, pid, guard)
            disk.repair()
            assert_runs_work(server)

    def test_of_the_database(self, tmp_path: Path) -> None:
        disk = BreakableDisk(tmp_path / "data")
        with disk.attached(), served_runs(tmp_path) as server:
            pipeline = server.deployed("hang")
            run_id = server.trigger(pipeline)
            pid, guard = server.note(run_id, "main"), server.guard(run_id)
            disk.fail()
            assert _until_refused(server, pipeline) == 503
            assert server.http.get(f"{RUNS}/{run_id}").json()["state"] == "running"
            assert server.http.get("/health/live").status_code == 200
            assert not ready(server)
            server.kill()
            end_processes_about(server.data)  # what has files open there would keep the disk as it is
            wait_until(lambda: not alive(pid) and not alive(guard))
            disk.repair()
            server.start()
            run = server.ended(run_id)
            assert (run["state"], run["reason"]) == ("failed", "abandoned")
            assert_runs_work(server)

    def test_a_server_does_not_start_on_one(self, tmp_path: Path) -> None:
        disk = BreakableDisk(tmp_path / "data")
        with disk.attached():
            disk.fail()
            command = [sys.executable, "-m", "minisched", "serve", "--port", "0", "--data-dir", str(disk.path)]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode not in (0, -9)
        assert "ead-only" in done.stderr
        assert "Traceback" not in done.stderr
