"""What every RunStore does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from minisched.domain.errors import DuplicateRun, IllegalTransition, RunNotFound
from minisched.domain.queueing import ServiceLimits
from minisched.domain.run import Run, RunKind, RunReason, RunState, Spawned
from minisched.ports import RunQuery
from tests.store_kinds import (
    EPOCH,
    FAILURE,
    KINDS,
    PROCESS,
    STOPPED,
    SUCCESS,
    Stores,
    a_run,
    a_stop,
    finished,
    opened,
)


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with opened(request.param, request) as found:
        yield found


def test_an_enqueued_run_comes_back_whole(stores: Stores) -> None:
    run = a_run(
        kind=RunKind.SCHEDULED,
        scheduled_for=EPOCH + timedelta(milliseconds=1),
        pipeline_fqn='Große "Ware".täglich \U0001f680',
        attempt=2,
        retry_of=str(uuid4()),
        max_active_runs=3,
        timeout_s=3600,
        requested_by="scheduler",
        not_before=EPOCH + timedelta(seconds=7),
        retries=3,
        retry_delay_s=60,
        overrides={"appConfig": {"type": "x", "password": "s3cret", "n": [1, None]}},
    )
    assert stores.runs.enqueue(run) == run
    assert stores.runs.get(run.id) == run


def test_an_unknown_run_is_not_found(stores: Stores) -> None:
    with pytest.raises(RunNotFound):
        stores.runs.get(str(uuid4()))


def test_the_same_id_cannot_be_enqueued_twice(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    with pytest.raises(DuplicateRun):
        stores.runs.enqueue(a_run(id=run.id))


def test_an_instant_of_a_pipeline_has_one_run(stores: Stores) -> None:
    instant = EPOCH + timedelta(hours=1)
    run = stores.runs.enqueue(a_run(scheduled_for=instant))
    with pytest.raises(DuplicateRun):
        stores.runs.enqueue(a_run(pipeline_id=run.pipeline_id, scheduled_for=instant))
    stores.runs.enqueue(a_run(scheduled_for=instant))
    stores.runs.enqueue(a_run(pipeline_id=run.pipeline_id, scheduled_for=instant + timedelta(minutes=1)))


def test_runs_without_an_instant_are_as_many_as_one_likes(stores: Stores) -> None:
    first = stores.runs.enqueue(a_run())
    stores.runs.enqueue(a_run(pipeline_id=first.pipeline_id))
    assert stores.runs.counts()[RunState.QUEUED] == 2


def test_a_repeated_idempotency_key_answers_with_the_first_run(stores: Stores) -> None:
    key = "k" * 5_000
    first = stores.runs.enqueue(a_run(), idempotency_key=key)
    assert stores.runs.enqueue(a_run(), idempotency_key=key).id == first.id
    assert stores.runs.enqueue(first, idempotency_key=key).id == first.id
    assert stores.runs.enqueue(a_run(), idempotency_key="another").id != first.id
    assert stores.runs.counts()[RunState.QUEUED] == 2


def test_claim_makes_the_first_run_running(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    stores.clock.advance(5)
    claimed = stores.runs.claim(slots=1)
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.started_at) == (run.id, RunState.RUNNING, stores.clock.now())
    assert stores.runs.get(run.id) == claimed
    assert stores.runs.claim(slots=5) is None


def test_claims_follow_priority_then_age_then_id(stores: Stores) -> None:
    ids = sorted(str(uuid4()) for _ in range(2))
    runs = [
        a_run(0, kind=RunKind.BACKFILL),
        a_run(1, kind=RunKind.SCHEDULED, scheduled_for=EPOCH),
        a_run(9),
        a_run(5, id=ids[1]),
        a_run(5, id=ids[0]),
    ]
    for run in runs:
        stores.runs.enqueue(run)
    expected = [runs[4], runs[3], runs[2], runs[1], runs[0]]
    assert [_claimed(stores).id for _ in runs] == [run.id for run in expected]


def test_no_more_runs_than_slots(stores: Stores) -> None:
    for _ in range(3):
        stores.runs.enqueue(a_run())
    first = _claimed(stores, slots=2)
    _claimed(stores, slots=2)
    assert stores.runs.claim(slots=2) is None
    stores.runs.finish(first.id, SUCCESS, ended_at=EPOCH)
    assert stores.runs.claim(slots=2) is not None
    assert stores.runs.claim(slots=0) is None


def test_a_pipeline_at_its_limit_lets_the_others_pass(stores: Stores) -> None:
    pipeline_id = str(uuid4())
    mine = [stores.runs.enqueue(a_run(n, pipeline_id=pipeline_id, max_active_runs=2)) for n in range(3)]
    other = stores.runs.enqueue(a_run(10))
    assert [_claimed(stores).id for _ in range(3)] == [mine[0].id, mine[1].id, other.id]
    assert stores.runs.claim(slots=9) is None
    stores.runs.finish(mine[0].id, SUCCESS, ended_at=EPOCH)
    assert _claimed(stores).id == mine[2].id


def test_the_limit_is_that_of_the_run_to_be_claimed(stores: Stores) -> None:
    pipeline_id = str(uuid4())
    stores.runs.enqueue(a_run(0, pipeline_id=pipeline_id, max_active_runs=1))
    stores.runs.enqueue(a_run(1, pipeline_id=pipeline_id, max_active_runs=1))
    wider = stores.runs.enqueue(a_run(2, pipeline_id=pipeline_id, max_active_runs=2))
    _claimed(stores)
    assert _claimed(stores).id == wider.id


def test_a_claim_for_some_runtimes_leaves_the_runs_of_others(stores: Stores) -> None:
    stores.runs.enqueue(a_run(0, runtime="old"))
    mine = stores.runs.enqueue(a_run(1, runtime="new"))
    anybody = stores.runs.enqueue(a_run(2))
    claimed = [stores.runs.claim(slots=9, runtimes=["new"]) for _ in range(3)]
    assert [run.id if run else None for run in claimed] == [mine.id, anybody.id, None]


def test_a_run_is_not_claimed_before_its_instant(stores: Stores) -> None:
    later = stores.runs.enqueue(a_run(0, not_before=stores.clock.now() + timedelta(seconds=10)))
    other = stores.runs.enqueue(a_run(5))
    assert _claimed(stores).id == other.id
    stores.clock.advance(9.999)
    assert stores.runs.claim(slots=9) is None
    stores.clock.advance(0.001)
    assert _claimed(stores).id == later.id


def test_a_service_at_its_limit_lets_the_others_pass(stores: Stores) -> None:
    shop = [stores.runs.enqueue(a_run(n, service_fqn="shop")) for n in range(3)]
    stock = [stores.runs.enqueue(a_run(10 + n, service_fqn="stock")) for n in range(3)]
    limits = ServiceLimits(most=1, of={"stock": 2})

    def claimed() -> str | None:
        run = stores.runs.claim(slots=9, services=limits)
        return run.id if run else None

    assert [claimed() for _ in range(4)] == [shop[0].id, stock[0].id, stock[1].id, None]
    stores.runs.finish(shop[0].id, SUCCESS, ended_at=EPOCH)
    assert [claimed() for _ in range(2)] == [shop[1].id, None]
    assert stores.runs.claim(slots=9) is not None


def test_runs_without_a_service_are_held_back_by_none(stores: Stores) -> None:
    for n in range(3):
        stores.runs.enqueue(a_run(n, service_fqn=""))
    assert all(stores.runs.claim(slots=9, services=ServiceLimits(most=1, of={"": 1})) for _ in range(3))


def test_the_queue_is_in_the_order_of_claims(stores: Stores) -> None:
    runs = [
        stores.runs.enqueue(a_run(9, kind=RunKind.BACKFILL)),
        stores.runs.enqueue(a_run(5, kind=RunKind.SCHEDULED)),
        stores.runs.enqueue(a_run(7)),
        stores.runs.enqueue(a_run(6)),
    ]
    queue = [run.id for run in stores.runs.queue(limit=9)]
    assert queue == [run.id for run in reversed(runs)]
    assert [run.id for run in stores.runs.queue(limit=2)] == queue[:2]
    assert [_claimed(stores).id for _ in runs] == queue
    assert stores.runs.queue(limit=9) == []


def test_the_next_attempt_is_written_with_the_end_of_the_one_before(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run(retries=1, overrides={"appConfig": {"password": "s3cret"}}))
    _claimed(stores)
    again = a_run(70, pipeline_id=run.pipeline_id, attempt=2, retry_of=run.id, overrides=run.overrides)
    stores.runs.finish(run.id, FAILURE, ended_at=EPOCH, next_attempt=again)
    assert stores.runs.get(again.id) == again
    with pytest.raises(IllegalTransition):
        stores.runs.finish(run.id, FAILURE, ended_at=EPOCH, next_attempt=a_run())
    assert stores.runs.counts() == {RunState.QUEUED: 1, RunState.RUNNING: 0}


def test_no_attempt_follows_a_run_that_somebody_has_stopped_meanwhile(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run(retries=1))
    _claimed(stores)
    stores.runs.request_stop([run.id], a_stop(), STOPPED)
    stores.runs.finish(run.id, FAILURE, ended_at=EPOCH, next_attempt=a_run())
    assert stores.runs.counts() == {RunState.QUEUED: 0, RunState.RUNNING: 0}


def test_the_process_is_remembered_while_the_run_is_running(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    with pytest.raises(IllegalTransition):
        stores.runs.mark_spawned(run.id, Spawned(PROCESS, "main"))
    _claimed(stores)
    stores.runs.mark_spawned(run.id, Spawned(PROCESS, "main"))
    spawned = stores.runs.get(run.id)
    assert (spawned.process, spawned.runtime) == (PROCESS, "main")
    stores.runs.finish(run.id, SUCCESS, ended_at=EPOCH)
    with pytest.raises(IllegalTransition):
        stores.runs.mark_spawned(run.id, Spawned(PROCESS, "main"))
    with pytest.raises(RunNotFound):
        stores.runs.mark_spawned(str(uuid4()), Spawned(PROCESS, "main"))


def test_the_process_of_a_run_that_was_over_at_once_is_remembered_with_its_end(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    stores.runs.claim(slots=1)
    stores.runs.finish(run.id, SUCCESS, ended_at=EPOCH, spawned=Spawned(PROCESS, "main"))
    ended = stores.runs.get(run.id)
    assert (ended.process, ended.runtime, ended.state) == (PROCESS, "main", RunState.SUCCESS)


def test_finish_writes_the_outcome(stores: Stores) -> None:
    run = finished(stores, a_run(), FAILURE, at_s=90)
    assert run == stores.runs.get(run.id)
    assert (run.state, run.reason, run.message) == (RunState.FAILED, RunReason.ERROR, "The source is down.")
    assert run.ended_at == EPOCH + timedelta(seconds=90)
    assert run.evidence["hint"] == "Start it."


def test_a_message_may_hold_any_character(stores: Stores) -> None:
    odd = FAILURE.__class__(RunState.FAILED, RunReason.ERROR, "x" * 70_000 + " \U0001f680 é", steps=[{"name": "\0"}])
    run = finished(stores, a_run(), odd)
    assert stores.runs.get(run.id).message == odd.message
    assert stores.runs.get(run.id).steps == [{"name": "\0"}]


def test_a_run_ends_once(stores: Stores) -> None:
    run = finished(stores, a_run())
    with pytest.raises(IllegalTransition):
        stores.runs.finish(run.id, FAILURE, ended_at=EPOCH)
    assert stores.runs.get(run.id) == run
    assert len(stores.outbox.pending(limit=9)) == 1


def test_a_queued_run_can_fail_but_not_succeed(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    with pytest.raises(IllegalTransition):
        stores.runs.finish(run.id, SUCCESS, ended_at=EPOCH)
    assert stores.outbox.pending(limit=9) == []
    assert stores.runs.finish(run.id, FAILURE, ended_at=EPOCH).state == RunState.FAILED


def test_an_outcome_that_is_no_end_is_refused(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    no_end = SUCCESS.__class__(RunState.RUNNING, RunReason.COMPLETED, "?")
    with pytest.raises(IllegalTransition):
        stores.runs.finish(run.id, no_end, ended_at=EPOCH)
    with pytest.raises(RunNotFound):
        stores.runs.finish(str(uuid4()), SUCCESS, ended_at=EPOCH)


def test_a_stop_ends_what_is_queued_and_marks_what_is_running(stores: Stores) -> None:
    running = stores.runs.enqueue(a_run(0))
    queued = stores.runs.enqueue(a_run(1))
    _claimed(stores)
    after = {run.id: run for run in stores.runs.request_stop([queued.id, running.id], a_stop(), STOPPED)}
    assert (after[running.id].state, after[running.id].stop) == (RunState.RUNNING, a_stop())
    assert (after[queued.id].state, after[queued.id].stop) == (RunState.STOPPED, a_stop())
    assert after[queued.id].ended_at == a_stop().at
    assert [entry.run_id for entry in stores.outbox.pending(limit=9)] == [queued.id]
    assert stores.runs.claim(slots=9) is None


def test_the_first_wish_to_stop_stays(stores: Stores) -> None:
    run = stores.runs.enqueue(a_run())
    _claimed(stores)
    stores.runs.request_stop([run.id], a_stop("ann"), STOPPED)
    (again,) = stores.runs.request_stop([run.id], a_stop("bob", at_s=99), STOPPED)
    assert again.stop == a_stop("ann")


def test_a_stop_leaves_ended_and_unknown_runs_alone(stores: Stores) -> None:
    run = finished(stores, a_run())
    assert stores.runs.request_stop([run.id, str(uuid4())], a_stop(), STOPPED) == [run]
    assert stores.runs.request_stop([], a_stop(), STOPPED) == []


def test_search_is_newest_first_and_filtered(stores: Stores) -> None:
    mine = str(uuid4())
    old, new = stores.runs.enqueue(a_run(0, pipeline_id=mine)), stores.runs.enqueue(a_run(20, pipeline_id=mine))
    other = stores.runs.enqueue(a_run(10))
    assert _claimed(stores).id == old.id

    def ids(**query: object) -> list[str]:
        return [run.id for run in stores.runs.search(RunQuery(**query))]  # type: ignore[arg-type]

    assert ids() == [new.id, other.id, old.id]
    assert ids(limit=2) == [new.id, other.id]
    assert ids(pipeline_id=mine) == [new.id, old.id]
    assert ids(states=[RunState.RUNNING]) == [old.id]
    assert ids(states=[RunState.RUNNING, RunState.QUEUED], pipeline_id=mine) == [new.id, old.id]
    assert ids(before_ms=int(new.enqueued_at.timestamp() * 1000)) == [other.id, old.id]


def test_counts_are_of_active_runs(stores: Stores) -> None:
    assert stores.runs.counts() == {RunState.QUEUED: 0, RunState.RUNNING: 0}
    finished(stores, a_run())
    stores.runs.enqueue(a_run())
    stores.runs.enqueue(a_run())
    _claimed(stores)
    assert stores.runs.counts() == {RunState.QUEUED: 1, RunState.RUNNING: 1}


def test_prune_takes_old_runs_that_were_reported(stores: Stores) -> None:
    reported, given_up, unreported, young = (finished(stores, a_run(), at_s=at_s) for at_s in (1, 2, 3, 500))
    stores.runs.enqueue(a_run())
    entries = {entry.run_id: entry.id for entry in stores.outbox.pending(limit=9)}
    stores.outbox.delivered(entries[reported.id])
    stores.outbox.delivered(entries[young.id])
    stores.outbox.postpone(entries[given_up.id], error="gone", next_at=EPOCH, dead=True)
    before = EPOCH + timedelta(seconds=100)
    assert stores.runs.prune(ended_before=before, limit=1) == [reported.id]
    assert stores.runs.prune(ended_before=before, limit=9) == [given_up.id]
    assert stores.runs.prune(ended_before=before, limit=9) == []
    assert {run.id for run in stores.runs.search(RunQuery())} >= {unreported.id, young.id}
    assert [entry.run_id for entry in stores.outbox.pending(limit=9)] == [unreported.id]


def _claimed(stores: Stores, slots: int = 100) -> Run:
    run = stores.runs.claim(slots=slots)
    assert run is not None
    return run
