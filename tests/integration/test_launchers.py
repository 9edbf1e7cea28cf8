"""One launcher through its life: renewed when its environment changes, given up with back-off, spared when shared."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from minisched.domain.errors import RuntimeUnusable
from minisched.executor.launcher_start import LauncherOptions, RuntimeSpec
from minisched.executor.launchers import Launcher
from tests.integration.launcher_process import STANDIN, alive
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until

OPTIONS = LauncherOptions(spares=0, linger_s=30, recheck_s=0.1, python_path=(str(STANDIN),))


class Kept:
    """A launcher whose supervisor is the test; `spec` may be changed."""

    def __init__(self, directory: Path, options: LauncherOptions = OPTIONS) -> None:
        self.directory = directory
        self.spec = RuntimeSpec("default", Path(sys.executable), "0.0.1", "one")
        self.changed = threading.Event()
        self.launcher = Launcher("default", lambda _: self.spec, directory, options, self.changed.set)

    @property
    def pid(self) -> int:
        assert self.launcher.client is not None
        return self.launcher.client.process.pid

    def start(self) -> int:
        self.launcher.ensure()
        wait_until(lambda: self.launcher.state != "starting", timeout_s=30)
        assert self.launcher.state == "ready", self.launcher.problem
        return self.pid

    def look(self, until: Callable[[], bool]) -> None:
        """Do what a supervisor does at each turn, until then."""

        def turn() -> bool:
            self.launcher.check()
            return until()

        wait_until(turn, timeout_s=30)

    def ensure(self, until: Callable[[], bool]) -> None:
        """Ask for a launcher until then."""

        def turn() -> bool:
            self.launcher.ensure()
            return until()

        wait_until(turn, timeout_s=30)

    def is_another_than(self, old: int) -> bool:
        return self.launcher.client is not None and self.pid != old

    def is_lost(self) -> bool:
        return self.launcher.client is None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.launcher.close()
    wait_until(lambda: not processes_about(tmp_path), timeout_s=10)


def test_it_tells_who_holds_memory_limits(kept: Kept) -> None:
    assert kept.launcher.status().memory_limits is None
    kept.start()
    status = kept.launcher.status()
    assert status.memory_limits in ("cgroup", "watching")
    assert (status.watched_because is None) == (status.memory_limits == "cgroup")


def test_another_environment_gets_another_launcher(kept: Kept) -> None:
    first = kept.start()
    kept.spec = replace(kept.spec, fingerprint="two")
    kept.look(until=lambda: kept.is_another_than(first))
    assert kept.launcher.state == "ready"
    wait_until(lambda: not alive(first), timeout_s=10)


def test_an_environment_that_has_become_unusable_leaves_the_old_launcher_in_place(kept: Kept) -> None:
    first = kept.start()
    kept.spec = replace(kept.spec, fingerprint="two", python=Path("/bin/false"))
    kept.changed.clear()
    kept.look(until=kept.changed.is_set)
    kept.launcher.check()
    assert (kept.pid, kept.launcher.state) == (first, "ready")


def test_the_same_environment_keeps_its_launcher(kept: Kept) -> None:
    first = kept.start()
    kept.changed.clear()
    kept.look(until=kept.changed.is_set)
    kept.launcher.check()
    assert kept.pid == first


def test_one_that_dies_again_and_again_is_started_ever_more_rarely(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.executor.launchers._FIRST_BACKOFF_S", 0.2)
    pauses = []
    for _ in range(3):
        os.kill(kept.start(), signal.SIGKILL)
        kept.look(until=kept.is_lost)
        lost_at = time.monotonic()
        kept.ensure(until=lambda: kept.launcher.state != "stopped")
        pauses.append(time.monotonic() - lost_at)
    assert pauses[0] >= 0.15
    assert pauses[1] > 1.5 * pauses[0]
    assert pauses[2] > 1.5 * pauses[1]


def test_one_that_is_told_to_leave_is_replaced(kept: Kept) -> None:
    first = kept.start()
    os.kill(first, signal.SIGTERM)
    kept.look(until=kept.is_lost)
    kept.ensure(until=lambda: kept.launcher.state == "ready")
    assert kept.pid != first


def test_a_kill_while_it_starts_says_nothing_about_the_runtime(kept: Kept, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nkill -9 $$\n")
    slow.chmod(0o755)
    kept.spec = replace(kept.spec, python=slow)
    states = []
    for _ in range(3):
        kept.changed.clear()
        kept.ensure(until=kept.changed.is_set)
        states.append(kept.launcher.state)
    assert states == ["stopped", "stopped", "failed"]
    assert "killed by signal 9" in (kept.launcher.problem or "")


def test_a_shared_launcher_is_spared_by_who_only_found_it(kept: Kept, tmp_path: Path) -> None:
    first = kept.start()
    other = Kept(tmp_path)
    assert other.start() == first
    other.launcher.close(only_ours=True)
    kept.launcher.check()
    with closing(kept.launcher.connect()) as connection:
        assert (connection.process.pid, connection.hello["state"]) == (first, "ready")


def test_a_runtime_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    broken = Kept(tmp_path)
    broken.spec = replace(broken.spec, python=Path("/bin/false"))
    with pytest.raises(RuntimeUnusable, match="left with code 1"):
        broken.launcher.start()
    broken.launcher.close()
