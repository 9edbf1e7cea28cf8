"""What every Outbox does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.store_kinds import EPOCH, FAILURE, KINDS, Stores, a_run, finished, opened


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with opened(request.param, request) as found:
        yield found


def test_each_end_of_a_run_is_a_message(stores: Stores) -> None:
    first, second = finished(stores, a_run()), finished(stores, a_run(), FAILURE)
    entries = stores.outbox.pending(limit=9)
    assert [entry.run_id for entry in entries] == [first.id, second.id]
    assert entries[0].id < entries[1].id
    assert {(entry.attempts, entry.dead, entry.last_error) for entry in entries} == {(0, False, None)}
    assert {entry.created_at for entry in entries} == {stores.clock.now()}
    assert stores.outbox.due(stores.clock.now(), limit=9) == entries


def test_nothing_is_due_before_its_time(stores: Stores) -> None:
    finished(stores, a_run())
    assert stores.outbox.due(stores.clock.now() - timedelta(seconds=1), limit=9) == []


def test_what_was_delivered_is_gone(stores: Stores) -> None:
    finished(stores, a_run())
    (entry,) = stores.outbox.pending(limit=9)
    stores.outbox.delivered(entry.id)
    stores.outbox.delivered(entry.id)
    assert stores.outbox.pending(limit=9) == []


def test_a_postponed_message_waits_and_remembers_why(stores: Stores) -> None:
    finished(stores, a_run())
    (entry,) = stores.outbox.pending(limit=9)
    later = EPOCH + timedelta(seconds=60)
    stores.outbox.postpone(entry.id, error="connection refused", next_at=later)
    assert stores.outbox.due(EPOCH, limit=9) == []
    (again,) = stores.outbox.due(later, limit=9)
    assert (again.attempts, again.last_error, again.next_at) == (1, "connection refused", later)


def test_a_dead_message_is_kept_but_not_tried(stores: Stores) -> None:
    finished(stores, a_run())
    (entry,) = stores.outbox.pending(limit=9)
    stores.outbox.postpone(entry.id, error="gone for good", next_at=EPOCH, dead=True)
    assert stores.outbox.due(EPOCH + timedelta(days=9), limit=9) == []
    assert [kept.dead for kept in stores.outbox.pending(limit=9)] == [True]


def test_the_limits_keep_the_oldest(stores: Stores) -> None:
    runs = [finished(stores, a_run()) for _ in range(3)]
    oldest = [run.id for run in runs[:2]]
    assert [entry.run_id for entry in stores.outbox.pending(limit=2)] == oldest
    assert [entry.run_id for entry in stores.outbox.due(stores.clock.now(), limit=2)] == oldest
