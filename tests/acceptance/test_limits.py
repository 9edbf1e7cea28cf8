"""What a run may use: its own memory and no more, and what the kernel is told about its processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served_runs import ServedRuns, served_runs
from tests.integration.launcher_process import alive, pids_with
from tests.requirements_of_tests import skip_or_fail
from tests.waiting import wait_until

LIMIT_MB = 128


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
    """The launcher of this server carries 200 MB that every run inherits."""
    directory = tmp_path_factory.mktemp("limits")
    connectors = directory / "connectors"
    connectors.mkdir()
    (connectors / "ballast.py").write_text(
        "import os\nBALLAST = [os.urandom(1024) * 1024 for _ in range(200)]\nclass Workflow: pass\n"
    )
    settings = {
        "EXECUTOR__MEMORY_LIMIT_MB": str(LIMIT_MB),
        "EXECUTOR__OPEN_FILES": "300",
        "EXECUTOR__NICE": "7",
        "RUNTIME__PYTHON_PATH": f"{Path(__file__).parents[1] / 'standin'},{connectors}",
        "RUNTIME__WORKFLOW_CLASSES": '{"dbt": "ballast:Workflow"}',
    }
    with served_runs(directory, **settings) as runs:
        assert _status_mb(runs.launcher(), "VmRSS") > 200
        yield runs


def exit_of(run: dict[str, Any]) -> dict[str, Any]:
    return dict(run["evidence"]["exit"])


def over_the_limit(server: ServedRuns, run_id: str) -> dict[str, Any]:
    run = server.ended(run_id)
    assert (run["state"], run["reason"]) == ("failed", "memory_limit"), run
    assert f"its memory limit of {LIMIT_MB} MB: it used " in run["message"]
    assert run["hint"]
    record = exit_of(run)
    # The kernel lets nobody have more than the limit; who watches finds out afterwards.
    assert record["memory_kb"] > LIMIT_MB * 1024 - (record["memory_limit_by"] == "cgroup")
    assert record["pids_left"] == 0
    assert pids_with(run_id) == []
    return run


class TestMemory:
    def test_what_a_run_inherits_does_not_count(self, server: ServedRuns) -> None:
        run_id = server.begin("eat", megabytes=64)
        pid = server.note(run_id, "main")
        assert _status_mb(pid, "VmRSS") > 200 + 64
        _let_the_guard_look(server, run_id)
        assert server.run(run_id)["state"] == "running"
        assert server.stop_run(run_id)["reason"] == "stop_requested"

    def test_what_it_takes_for_itself_does(self, server: ServedRuns) -> None:
        over_the_limit(server, server.begin("eat", megabytes=160))

    def test_processes_share_what_they_share(self, server: ServedRuns) -> None:
        run_id = server.begin("eat_and_fork", megabytes=80)
        server.note(run_id, "main")
        _let_the_guard_look(server, run_id)
        assert server.run(run_id)["state"] == "running"
        server.stop_run(run_id)

    def test_sharing_hides_nothing(self, server: ServedRuns) -> None:
        # What four processes share cannot be told from what all have from the launcher, which is taken off once.
        over_the_limit(server, server.begin("eat_and_fork", megabytes=200 + LIMIT_MB + 80))

    def test_all_processes_count_together(self, server: ServedRuns) -> None:
        over_the_limit(server, server.begin("eat_in_children", megabytes=60))

    def test_files_that_are_read_do_not_count(self, server: ServedRuns) -> None:
        run = server.ended(server.begin("map_a_large_file", megabytes=200))
        assert run["state"] == "success"

    def test_a_run_that_eats_without_listening_ends_within_two_seconds(self, server: ServedRuns) -> None:
        run_id = server.begin("eat_at_once", megabytes=6000)
        server.note(run_id, "main")
        (server.run_dir(run_id) / "tmp" / "now").touch()
        began_ms = time.time_ns() // 1_000_000
        run = over_the_limit(server, run_id)
        assert exit_of(run)["ended_ms"] - began_ms < 2500
        assert exit_of(run)["peak_tree_rss_kb"] < 3_000_000

    def test_a_deaf_one_is_killed_before_its_grace_is_over_if_it_goes_on(self, server: ServedRuns) -> None:
        run = over_the_limit(server, server.begin("eat_for_ever"))
        if exit_of(run)["memory_limit_by"] == "watching":
            assert [entry["signal"] for entry in exit_of(run)["signals"]] == ["SIGTERM", "SIGKILL"]
            assert exit_of(run)["kill_ms"] < 1500
        else:
            assert (exit_of(run)["signals"], exit_of(run)["signal"]) == ([], 9)


class TestGroups:
    """Where this machine delegates a control group with memory to whoever runs the tests."""

    @pytest.fixture
    def base(self, server: ServedRuns) -> Path:
        (runtime,) = server.http.get("/api/v1/minisched/runtimes").json()["data"]
        if runtime["memoryLimits"] != "cgroup":
            assert runtime["watchedBecause"]
            pytest.skip(f"needs a delegated cgroup v2: {runtime['watchedBecause']}")
        return _group_of(server.launcher()).parent

    def test_a_run_has_a_group_of_its_own_while_it_lasts(self, server: ServedRuns, base: Path) -> None:
        run_id = server.begin("eat_in_children", megabytes=20)
        server.note(run_id, "main")
        group = _group_of(server.runner(run_id))
        assert group.parent == base
        assert int((group / "memory.max").read_text()) == LIMIT_MB * 1024 * 1024
        assert len((group / "cgroup.procs").read_text().split()) == 4
        assert _group_of(server.guard(run_id)) == _group_of(server.launcher()) != group
        server.stop_run(run_id)
        wait_until(lambda: not group.exists())

    def test_the_kernel_says_that_it_was_the_limit(self, server: ServedRuns, base: Path) -> None:
        run = over_the_limit(server, server.begin("eat_in_children", megabytes=60))
        record = exit_of(run)
        assert record["memory_limit_by"] == "cgroup"
        assert record["memory_events"]["oom"] >= 1
        assert record["memory_events"]["oom_kill"] >= 4

    def test_a_kill_by_somebody_else_is_not_the_limit(self, server: ServedRuns, base: Path) -> None:
        run_id = server.begin("eat", megabytes=20)
        server.note(run_id, "main")
        os.kill(server.runner(run_id), signal.SIGKILL)
        assert server.ended(run_id)["reason"] == "signal"

    def test_groups_whose_guards_are_dead_are_removed(self, server: ServedRuns, base: Path) -> None:
        run_id = server.begin("hang")
        server.note(run_id, "main")
        group = _group_of(server.runner(run_id))
        os.kill(server.guard(run_id), signal.SIGKILL)
        assert server.ended(run_id)["reason"] == "abandoned"
        wait_until(lambda: not group.exists())


class TestProcessLimits:
    def test_the_kernel_has_been_told(self, server: ServedRuns) -> None:
        run_id = server.begin("hang")
        pid = server.note(run_id, "main")
        limits = _limits_of(pid)
        assert limits["Max open files"][0] == "300"
        assert limits["Max core file size"] == ("0", "0")
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, server.launcher()) + 7
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "500"
        # What the launcher and the guard may use is their own affair.
        assert _limits_of(server.guard(run_id))["Max open files"][0] != "300"
        server.stop_run(run_id)

    def test_nobody_dumps_core(self, server: ServedRuns) -> None:
        run_id = server.begin("hang")
        server.note(run_id, "main")
        pids = [server.process.pid, *(process.pid for process in server.launchers())]
        pids += [process.pid for process in server.children_of_launchers()]
        assert {server.guard(run_id), server.runner(run_id)} < set(pids)
        assert {pid: _limits_of(pid)["Max core file size"] for pid in pids} == dict.fromkeys(pids, ("0", "0"))
        server.stop_run(run_id)


class TestKernel:
    def test_a_kill_by_the_kernel_is_told_from_any_other(self, server: ServedRuns) -> None:
        run_id = server.begin("eat_at_once", megabytes=100)
        pid = server.note(run_id, "main")
        with small_memory_group(pid):
            (server.run_dir(run_id) / "tmp" / "now").touch()
            run = server.ended(run_id)
        assert (run["state"], run["reason"]) == ("failed", "out_of_memory")
        assert run["hint"]
        assert exit_of(run)["oom_kills"] >= 1
        assert not alive(pid)


@contextmanager
def small_memory_group(pid: int) -> Iterator[None]:
    """Puts the process where the kernel kills what takes more than 60 MB; skips where that cannot be had."""
    root = Path("/sys/fs/cgroup/memory")
    if os.geteuid() != 0 or not (root / "memory.limit_in_bytes").exists():
        pytest.skip("needs root and the memory controller of cgroup v1")
    group = root / f"minisched-test-{pid}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(60 * 1024 * 1024))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        skip_or_fail(f"no memory group can be made: {error}")
    try:
        yield
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text().split(), timeout_s=20)
        group.rmdir()


def _group_of(pid: int) -> Path:
    """Its directory in the second version of control groups."""
    (path,) = (line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))
    return Path("/sys/fs/cgroup") / path.lstrip("/")


def _let_the_guard_look(server: ServedRuns, run_id: str) -> None:
    """The guard looks ten times a second; it has had its chances when it has used some processor time."""
    guard = server.guard(run_id)
    before = _switches(guard)
    wait_until(lambda: _switches(guard) >= before + 10, timeout_s=20)


def _switches(pid: int) -> int:
    """How often the process has gone to sleep."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    return 0


def _status_mb(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) // 1024
    return 0


def _limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """(soft, hard) of each limit of the process."""
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]:
        found[line[:25].strip()] = (line[26:46].strip(), line[47:67].strip())
    return found
