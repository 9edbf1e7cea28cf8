"""What a guard makes of its run's control group: a kill by the kernel for the limit, and processes only it knows of."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.worker import processes, protocol
from minisched.worker.guard import Guard, Pair
from minisched.worker.run_groups import NoGroup
from minisched.worker.runner_link import RunnerLink


class Group(NoGroup):
    """Holds the limit; with one process in it, which is nobody's descendant as far as the guard can see."""

    def __init__(self, over: bool = False, stranger: subprocess.Popen[bytes] | None = None) -> None:
        super().__init__()
        self._over = over
        self._stranger = stranger

    def limit_memory(self, megabytes: int) -> bool:
        return True

    def was_over_limit(self) -> bool:
        return self._over

    def processes(self) -> set[int]:
        return {self._stranger.pid} if self._stranger is not None and self._stranger.poll() is None else set()

    def as_record(self) -> dict[str, Any]:
        return {"memory_limit_by": "cgroup"}


@pytest.fixture
def link() -> Iterator[RunnerLink]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield RunnerLink(ours)


def seen_through(directory: Path, link: RunnerLink, group: Group, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The exit record of a run whose runner has just ended without children."""
    job = {"run_id": "a-run", "run_dir": str(directory), "limits": {"grace_s": 5, "memory_limit_mb": 64}}
    guard = Guard(job, Pair(os.getpid()), link, group)
    guard.hold_memory()
    guard._runner_status = signal.SIGKILL
    monkeypatch.setattr(guard, "reap", lambda: False)
    # The guard is this very process here: its other children are the servers of other tests.
    monkeypatch.setattr(processes, "descendants", lambda *_args, **_kw: set())
    guard.watch()
    assert guard.record_exit()
    record = protocol.read_record(str(directory), protocol.EXIT_FILE)
    assert record is not None
    return record


def test_a_kill_for_the_limit_is_the_memory_limit(
    tmp_path: Path, link: RunnerLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = seen_through(tmp_path, link, Group(over=True), monkeypatch)
    assert (record["ended_by"], record["memory_limit_by"], record["signal"]) == ("memory_limit", "cgroup", 9)


def test_any_other_kill_is_not(tmp_path: Path, link: RunnerLink, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen_through(tmp_path, link, Group(), monkeypatch)["ended_by"] == "itself"


def test_whoever_is_in_the_group_is_ended(tmp_path: Path, link: RunnerLink, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        try:
            record = seen_through(tmp_path, link, Group(stranger=stranger), monkeypatch)
            assert stranger.wait(5) == -signal.SIGTERM
        finally:
            stranger.kill()
    assert (record["pids_seen"], record["pids_left"]) == ([stranger.pid], 0)
