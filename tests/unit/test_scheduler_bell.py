"""The bell rings when it is asked to, and soon in any case."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from minisched.scheduler import bell as bells
from minisched.scheduler.bell import Bell
from minisched.scheduler.upcoming import Upcoming
from tests.waiting import wait_until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Rings:
    def __init__(self) -> None:
        self.count = 0
        self.bell = Bell(self.ring)

    def ring(self) -> None:
        self.count += 1


@pytest.fixture
def rings() -> Iterator[Rings]:
    made = Rings()
    yield made
    made.bell.close()


def test_it_rings_at_once_and_when_it_is_asked_to(rings: Rings) -> None:
    rings.bell.start()
    wait_until(lambda: rings.count == 1)
    rings.bell.ring_in(0.05)
    wait_until(lambda: rings.count == 2)
    rings.bell.ring_in(-3)
    wait_until(lambda: rings.count == 3)


def test_it_rings_by_itself(rings: Rings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "_CAP", timedelta(seconds=0.1))
    rings.bell.start()
    wait_until(lambda: rings.count >= 4)


def test_a_clock_that_was_set_back_silences_it_for_no_longer_than_that(
    rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bells, "CAP_S", 0.1)
    rings.bell.start()
    wait_until(lambda: rings.count == 1)
    rings.bell._aps.modify_job("bell", next_run_time=datetime.now(UTC) + timedelta(hours=1))
    wait_until(lambda: rings.count == 2, timeout_s=2)


def test_what_is_asked_for_while_it_rings_is_not_lost() -> None:
    at_work, go_on = threading.Event(), threading.Event()
    count = 0

    def ring() -> None:
        nonlocal count
        count += 1
        at_work.set()
        go_on.wait(5)

    bell = Bell(ring)
    bell.start()
    try:
        at_work.wait(5)
        bell.ring_in(0)
        go_on.set()
        wait_until(lambda: count == 2)
    finally:
        bell.close()


def test_the_longest_overdue_come_up_first_and_paused_ones_never() -> None:
    upcoming = Upcoming()
    for number in (3, 1, 2):
        upcoming.put(f"p{number}", NOON + timedelta(minutes=number))
    upcoming.put("paused", NOON, fires=False)
    upcoming.put("p2", NOON + timedelta(hours=1))
    assert upcoming.first() == NOON + timedelta(minutes=1)
    assert upcoming.due(NOON + timedelta(minutes=5)) == ["p1", "p3"]
    assert upcoming.due(NOON + timedelta(minutes=5)) == []
    upcoming.raise_again(["p3"])
    assert upcoming.due(NOON + timedelta(minutes=5)) == ["p3"]
    assert upcoming.is_open("paused", NOON)
    upcoming.remove("p2")
    assert upcoming.first() is None
