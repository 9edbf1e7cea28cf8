"""The control group of a run: what is asked of the kernel, and what its answers mean; its files are imitated."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from minisched.worker import cgroupfs, delegation, launcher, limits, protocol, run_groups
from minisched.worker.preload import Preloaded
from tests.cgroup_directories import CgroupDirectory

RUNNER = 4321
DEAD_GUARD = {"pid": 2**22 + 1, "start_ticks": 7}  # above the largest pid there can be


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CgroupDirectory:
    kernel = CgroupDirectory(tmp_path / "cgroup")
    for name in ("make", "remove", "write"):
        monkeypatch.setattr(cgroupfs, name, getattr(kernel, name))
    return kernel


@pytest.fixture
def base(kernel: CgroupDirectory) -> Path:
    base = kernel.group("own")
    (base / "cgroup.subtree_control").write_text("memory\n")
    return base


@pytest.fixture
def groups(base: Path) -> run_groups.RunGroups:
    return run_groups.RunGroups(str(base))


@pytest.fixture
def group(groups: run_groups.RunGroups) -> run_groups.RunGroup:
    group = groups.of_spare(protocol.identity(os.getpid()), RUNNER)
    assert isinstance(group, run_groups.RunGroup)
    return group


def text(group: run_groups.RunGroup, name: str) -> str:
    return (Path(group.path) / name).read_text().strip()


def events(group: run_groups.RunGroup, name: str, **counts: int) -> None:
    lines = {"max": 0, "oom": 0, "oom_kill": 0, **counts}
    (Path(group.path) / name).write_text("".join(f"{key} {count}\n" for key, count in lines.items()))


class TestLimit:
    def test_the_runner_is_in_the_group_and_its_guard_is_not(self, group: run_groups.RunGroup) -> None:
        assert group.processes() == {RUNNER}

    def test_without_a_limit_nothing_is_asked(self, group: run_groups.RunGroup) -> None:
        assert (text(group, "memory.max"), text(group, "memory.oom.group")) == ("max", "0")
        assert group.as_record() == {}

    def test_the_limit_is_of_memory_without_swap_and_ends_all(self, group: run_groups.RunGroup) -> None:
        assert group.limit_memory(128)
        assert text(group, "memory.max") == str(128 * 1024 * 1024)
        assert text(group, "memory.swap.max") == "0"
        assert text(group, "memory.oom.group") == "1"

    @pytest.mark.parametrize("name", ["memory.swap.max", "memory.oom.group"])
    def test_kernels_without_these_files_hold_it_too(self, group: run_groups.RunGroup, name: str) -> None:
        (Path(group.path) / name).unlink()
        assert group.limit_memory(128)

    @pytest.mark.parametrize("name", ["memory.max", "memory.swap.max"])
    def test_a_refusal_is_told(self, kernel: CgroupDirectory, group: run_groups.RunGroup, name: str) -> None:
        kernel.refused[name] = errno.EACCES
        assert not group.limit_memory(128)
        assert "Permission denied" in str(group.problem)
        assert not group.was_over_limit()

    def test_what_a_group_cannot_hold_is_watched(self, kernel: CgroupDirectory, group: run_groups.RunGroup) -> None:
        kernel.refused["memory.max"] = errno.EACCES
        watched = limits.Limits({"memory_limit_mb": 1}, os.getpid())
        watched.hold_memory(group)
        assert watched.as_record(0)["memory_limit_by"] == "watching"

    def test_what_a_group_holds_is_not(self, group: run_groups.RunGroup) -> None:
        held = limits.Limits({"memory_limit_mb": 1}, os.getpid())
        held.hold_memory(group)
        record = held.as_record(0)
        assert (record["memory_limit_by"], record["memory_limit_kb"], record["memory_kb"]) == ("cgroup", 1024, None)

    def test_no_limit_no_group(self, group: run_groups.RunGroup) -> None:
        limits.Limits({}, os.getpid()).hold_memory(group)
        assert text(group, "memory.max") == "max"


class TestEvents:
    def test_a_kill_for_its_own_limit(self, group: run_groups.RunGroup) -> None:
        group.limit_memory(128)
        events(group, "memory.events", oom=1, oom_kill=3)
        events(group, "memory.events.local", oom=1, oom_kill=3)
        (Path(group.path) / "memory.peak").write_text(f"{127 * 1024 * 1024}\n")
        assert group.was_over_limit()
        assert group.oom_kills() == 3
        record = group.as_record()
        assert (record["memory_kb"], record["memory_events"]["oom_kill"]) == (128 * 1024, 3)

    def test_a_kill_for_the_limit_of_somebody_above(self, group: run_groups.RunGroup) -> None:
        group.limit_memory(128)
        events(group, "memory.events", oom_kill=1)
        events(group, "memory.events.local", oom_kill=1)
        assert not group.was_over_limit()
        assert group.oom_kills() == 1
        assert "memory_kb" not in group.as_record()

    def test_a_kill_for_the_limit_of_a_group_that_the_run_has_made(self, group: run_groups.RunGroup) -> None:
        group.limit_memory(128)
        events(group, "memory.events", oom=1, oom_kill=1)
        assert not group.was_over_limit()

    def test_a_limit_that_was_reached_without_a_kill(self, group: run_groups.RunGroup) -> None:
        group.limit_memory(128)
        events(group, "memory.events", max=9, oom=1)
        events(group, "memory.events.local", max=9, oom=1)
        assert not group.was_over_limit()

    def test_old_kernels_do_not_tell_where_the_limit_was(self, group: run_groups.RunGroup) -> None:
        group.limit_memory(128)
        (Path(group.path) / "memory.events.local").unlink()
        events(group, "memory.events", oom=1, oom_kill=1)
        assert group.was_over_limit()

    def test_a_group_that_is_gone_tells_nothing(self, group: run_groups.RunGroup, kernel: CgroupDirectory) -> None:
        group.limit_memory(128)
        group.end()
        assert (group.was_over_limit(), group.oom_kills(), group.processes()) == (False, None, set())


class TestSpares:
    @pytest.mark.parametrize("name", ["make", "cgroup.procs"])
    def test_a_run_goes_without_a_group_that_cannot_be_made(
        self, kernel: CgroupDirectory, groups: run_groups.RunGroups, base: Path, name: str
    ) -> None:
        kernel.refused[name] = errno.EAGAIN
        group = groups.of_spare(protocol.identity(os.getpid()), RUNNER)
        assert "Resource temporarily unavailable" in str(group.problem)
        assert not group.limit_memory(128)
        assert not list(base.glob("minisched-run-*"))

    def test_its_launcher_says_so_once(self, groups: run_groups.RunGroups, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.socket() as listener:
            one = launcher.Launcher(listener, {}, Preloaded("1", 0.1, {}, None), groups, 1, 1.0)
            assert one._load()["memory_limits"]["by"] == "cgroup"
            for problem in (None, "no control group for a run: too many", "no control group for a run: too many"):
                one._note_group_problem(problem)
            one._selector.close()
        assert one._load()["memory_limits"] == {"by": "watching", "because": "no control group for a run: too many"}
        assert capsys.readouterr().err.count("too many") == 1


class TestTidying:
    def test_the_groups_of_dead_guards_go_with_whoever_is_in_them(
        self, kernel: CgroupDirectory, groups: run_groups.RunGroups, base: Path
    ) -> None:
        dead = groups.of_spare(DEAD_GUARD, RUNNER)
        assert isinstance(dead, run_groups.RunGroup)
        kernel.make(dead.path + "/made by the run")
        assert groups.tidy()
        assert not Path(dead.path).exists()
        assert kernel.killed == [Path(dead.path).name]

    def test_others_stay(
        self, kernel: CgroupDirectory, group: run_groups.RunGroup, groups: run_groups.RunGroups, base: Path
    ) -> None:
        others = [base / delegation.SERVICE_GROUP, base / "minisched-run-by-hand"]
        for other in others:
            kernel.make(str(other))
        assert groups.tidy()
        assert [path.is_dir() for path in (Path(group.path), *others)] == [True, True, True]
        assert kernel.killed == []

    def test_a_later_process_with_the_pid_of_a_guard_is_not_that_guard(self, groups: run_groups.RunGroups) -> None:
        reused = groups.of_spare({"pid": os.getpid(), "start_ticks": 1}, RUNNER)
        assert groups.tidy()
        assert reused.processes() == set()

    def test_a_guard_that_proc_hides_is_alive(
        self, group: run_groups.RunGroup, groups: run_groups.RunGroups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "start_ticks", lambda pid: None)
        assert groups.tidy()
        assert group.processes() == {RUNNER}

    def test_who_does_not_die_at_once_is_come_back_for(
        self, kernel: CgroupDirectory, groups: run_groups.RunGroups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signals: list[int] = []

        def kill(pid: int, signum: int) -> None:
            if pid != RUNNER:
                raise ProcessLookupError
            signals.append(pid)

        monkeypatch.setattr(os, "kill", kill)
        groups.of_spare(DEAD_GUARD, RUNNER)
        kernel.refused["cgroup.kill"] = errno.ENOENT
        assert not groups.tidy()
        assert signals == [RUNNER]


class TestFound:
    def test_what_was_claimed_is_tried_and_tidied(
        self, base: Path, groups: run_groups.RunGroups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        groups.of_spare(DEAD_GUARD, RUNNER)
        monkeypatch.setattr(run_groups, "claim", lambda: str(base))
        said: list[str] = []
        assert run_groups.found(said.append).facts() == {"by": "cgroup", "at": str(base)}
        assert said == [f"memory limits are held by the kernel: {base}"]
        assert not list(base.glob("minisched-run-*"))

    @pytest.mark.parametrize("name", ["make", "memory.max"])
    def test_what_does_not_work_is_said_once(
        self, kernel: CgroupDirectory, base: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr(run_groups, "claim", lambda: str(base))
        kernel.refused[name] = errno.EPERM
        said: list[str] = []
        found = run_groups.found(said.append)
        assert found.facts()["by"] == "watching"
        assert "Operation not permitted" in found.facts()["because"]
        assert len(said) == 1
        assert found.of_spare(protocol.identity(os.getpid()), RUNNER).limit_memory(128) is False
        assert not list(base.glob("minisched-run-*"))

    def test_where_nothing_is_delegated_runs_are_watched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def claim() -> str:
            raise delegation.NotDelegated("no cgroup v2")

        monkeypatch.setattr(run_groups, "claim", claim)
        said: list[str] = []
        assert run_groups.found(said.append).facts() == {"by": "watching", "because": "no cgroup v2"}
        assert said == ["memory limits are held by watching: no cgroup v2"]
