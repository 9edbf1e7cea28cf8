"""Kills by the kernel count for a run only when they happen as it dies: other processes run out of memory, too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from minisched.worker import processes


class Machine:
    """Its count of such kills, and its clock."""

    def __init__(self) -> None:
        self.kills = 3
        self.now = 1000.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(processes, "oom_kills", lambda: machine.kills)
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: machine.now))
    return machine


def pass_time(machine: Machine, recent: processes.RecentOomKills, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        machine.now += 0.1
        recent.look()


def test_a_kill_just_now_counts(machine: Machine) -> None:
    recent = processes.RecentOomKills()
    pass_time(machine, recent, 30)
    machine.kills += 1
    assert recent.count() == 1


def test_a_kill_that_a_look_has_just_seen_counts(machine: Machine) -> None:
    recent = processes.RecentOomKills()
    pass_time(machine, recent, 30)
    machine.kills += 1
    pass_time(machine, recent, 1.05)
    assert recent.count() == 1


def test_a_kill_of_earlier_does_not_count(machine: Machine) -> None:
    recent = processes.RecentOomKills()
    machine.kills += 1
    pass_time(machine, recent, 3)
    assert recent.count() == 0
