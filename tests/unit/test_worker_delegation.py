"""Where control groups may be made for runs, and every reason why they may not; the kernel's files are imitated."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minisched.worker import cgroupfs, delegation
from tests.cgroup_directories import CgroupDirectory

OURS = os.getpid()
INIT = 1
MOUNT = "30 24 0:26 {root} {top} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER_MOUNT = "25 24 0:20 / /proc rw - proc proc rw\n"


class Host:
    """What the kernel says of one process, in the place of /proc/self, and its groups."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.proc.mkdir()
        self.groups = CgroupDirectory(directory / "cgroup fs")
        self.mounted("/", self.groups.root)

    def mounted(self, root: str, top: Path) -> None:
        escaped = str(top).replace(" ", "\\040")
        (self.proc / "mountinfo").write_text(OTHER_MOUNT + MOUNT.format(root=root, top=escaped))

    def in_group(self, path: str) -> None:
        (self.proc / "cgroup").write_text(f"4:memory:/elsewhere\n0::{path}\n")

    def claim(self) -> Path:
        return Path(delegation.claim(str(self.proc)))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    for name in ("make", "remove", "write"):
        monkeypatch.setattr(cgroupfs, name, getattr(host.groups, name))
    host.in_group("/own")
    return host


class TestClaim:
    def test_the_server_steps_aside_and_hands_memory_down(self, host: Host) -> None:
        own = host.groups.group("own", OURS)
        assert host.claim() == own
        assert host.groups.pids(own) == set()
        assert host.groups.pids(own / delegation.SERVICE_GROUP) == {OURS}
        assert (own / "cgroup.subtree_control").read_text().split() == ["memory"]

    def test_its_children_go_with_it(self, host: Host) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            own = host.groups.group("own", OURS, child.pid)
            host.claim()
            assert host.groups.pids(own / delegation.SERVICE_GROUP) == {OURS, child.pid}
        finally:
            child.communicate(b"\n")

    def test_a_launcher_finds_what_its_server_has_claimed(self, host: Host) -> None:
        own = host.groups.group("own", OURS)
        host.claim()
        host.in_group(f"/own/{delegation.SERVICE_GROUP}")
        assert host.claim() == own
        assert host.groups.pids(own / delegation.SERVICE_GROUP) == {OURS}

    def test_a_unit_may_start_it_in_its_place(self, host: Host) -> None:
        unit = host.groups.group("own")
        host.groups.group(f"own/{delegation.SERVICE_GROUP}", OURS, INIT)
        (unit / "cgroup.subtree_control").write_text("")
        host.in_group(f"/own/{delegation.SERVICE_GROUP}")
        assert host.claim() == unit
        assert (unit / "cgroup.subtree_control").read_text().split() == ["memory"]

    def test_a_container_is_all_ours(self, host: Host) -> None:
        own = host.groups.group("container", OURS, INIT)
        host.mounted("/", own)
        host.in_group("/")
        assert host.claim() == own
        assert host.groups.pids(own / delegation.SERVICE_GROUP) == {OURS, INIT}

    def test_a_container_may_show_the_path_of_its_host(self, host: Host) -> None:
        own = host.groups.group("containers/17", OURS)
        host.mounted("/containers/17", own)
        host.in_group("/containers/17")
        assert host.claim() == own


class TestRefusals:
    def refused(self, host: Host, why: str) -> None:
        with pytest.raises(delegation.NotDelegated, match=why):
            host.claim()

    def test_other_processes_are_left_in_peace(self, host: Host) -> None:
        own = host.groups.group("own", OURS, INIT)
        self.refused(host, r"has other processes, too: \[1\]")
        assert host.groups.pids(own) == {OURS, INIT}
        assert not (own / delegation.SERVICE_GROUP).exists()

    def test_processes_that_cannot_be_seen_cannot_be_moved(self, host: Host) -> None:
        own = host.groups.group("container", OURS, 0)
        host.mounted("/", own)
        host.in_group("/")
        self.refused(host, "has other processes")

    def test_no_second_version(self, host: Host) -> None:
        (host.proc / "cgroup").write_text("4:memory:/elsewhere\n")
        self.refused(host, "the kernel has no cgroup v2")

    def test_no_mount(self, host: Host) -> None:
        (host.proc / "mountinfo").write_text(OTHER_MOUNT)
        self.refused(host, "no cgroup v2 file system")

    def test_a_mount_that_does_not_have_this_process(self, host: Host) -> None:
        host.groups.group("own", OURS)
        host.mounted("/else", host.groups.root)
        self.refused(host, "no cgroup v2 file system")

    def test_memory_is_elsewhere(self, host: Host) -> None:
        own = host.groups.group("own", OURS)
        (own / "cgroup.controllers").write_text("cpu pids\n")
        self.refused(host, "no memory controller")

    def test_the_root_of_all(self, host: Host) -> None:
        host.in_group("/")
        self.refused(host, "nobody's own")

    def test_a_threaded_group(self, host: Host) -> None:
        own = host.groups.group("own", OURS)
        (own / "cgroup.type").write_text("threaded\n")
        self.refused(host, "of kind threaded")

    def test_a_file_system_that_cannot_be_written_to(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        host.groups.group("own", OURS)
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        self.refused(host, "is not delegated: it cannot be written to")

    @pytest.mark.parametrize("name", ["cgroup.procs", "cgroup.subtree_control", "make"])
    def test_what_the_kernel_refuses(self, host: Host, name: str) -> None:
        host.groups.group("own", OURS)
        host.groups.refused[name] = errno.EPERM
        self.refused(host, "Operation not permitted")

    def test_a_group_that_vanishes(self, host: Host) -> None:
        host.in_group("/gone")
        self.refused(host, "No such file")


class TestUnits:
    """Root may write everywhere, so being able to says nothing about a unit of systemd."""

    @pytest.fixture
    def unit(self, host: Host) -> Path:
        host.in_group("/system.slice/minisched.service")
        return host.groups.group("system.slice/minisched.service", OURS)

    def test_without_the_mark_it_is_systemds(self, host: Host, unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getxattr", _marks({}))
        with pytest.raises(delegation.NotDelegated, match="set Delegate=yes"):
            host.claim()
        assert host.groups.pids(unit) == {OURS}

    @pytest.mark.parametrize("mark", ["user.delegate", "trusted.delegate"])
    def test_with_the_mark_it_is_ours(self, host: Host, unit: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
        monkeypatch.setattr(os, "getxattr", _marks({mark: b"1"}))
        assert host.claim() == unit

    def test_a_user_who_may_write_there_alone_was_given_it(
        self, host: Host, unit: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getxattr", _marks({}))
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != unit.parent)
        assert host.claim() == unit


def _marks(marks: dict[str, bytes]) -> Callable[[str, str], bytes]:
    def getxattr(path: str, name: str) -> bytes:
        if name not in marks:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), path)
        return marks[name]

    return getxattr
