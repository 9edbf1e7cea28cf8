"""What the queue says of every run, and that it says what claims do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.queueing import Admission, ServiceLimits, Waiting, WaitReason, explained
from minisched.domain.run import Run, RunKind, RunState
from tests.fakes_store import MemoryStores
from tests.store_kinds import EPOCH, a_run

ROOMY = Admission(slots=9, runtimes=("main",))


def reasons(queued: list[Run], running: list[Run], admission: Admission = ROOMY) -> list[WaitReason]:
    return [waiting.reason for _, waiting in explained(queued, running, admission, EPOCH)]


def test_what_nothing_holds_back_is_next() -> None:
    run = a_run()
    [(found, waiting)] = explained([run], [], ROOMY, EPOCH)
    assert (found, waiting) == (run, Waiting(1, WaitReason.NEXT, "It is about to start."))


def test_the_slots_are_taken_by_those_before() -> None:
    queued, running = [a_run(n) for n in range(3)], [a_run()]
    assert reasons(queued, running, Admission(slots=2)) == [WaitReason.NEXT, WaitReason.SLOTS, WaitReason.SLOTS]


def test_a_pipeline_at_its_limit() -> None:
    running = a_run(max_active_runs=2)
    queued = [a_run(n, pipeline_id=running.pipeline_id, max_active_runs=2) for n in range(2)]
    [_, (_, second)] = explained(queued, [running], ROOMY, EPOCH)
    assert (second.position, second.reason) == (2, WaitReason.PIPELINE)
    assert second.text == "The pipeline's limit is reached: airflowConfig.maxActiveRuns is 2."


def test_a_service_at_its_limit() -> None:
    admission = Admission(slots=9, services=ServiceLimits(of={"shop": 1}))
    queued = [a_run(0, service_fqn="shop"), a_run(1, service_fqn="stock")]
    [(_, first), (_, second)] = explained(queued, [a_run(service_fqn="shop")], admission, EPOCH)
    assert (first.reason, second.reason) == (WaitReason.SERVICE, WaitReason.NEXT)
    assert first.text == "The limit of the service shop is reached: 1 at the same time."


def test_a_runtime_that_is_not_ready() -> None:
    assert reasons([a_run(runtime="old"), a_run(runtime="main"), a_run()], []) == [
        WaitReason.RUNTIME,
        WaitReason.NEXT,
        WaitReason.NEXT,
    ]


def test_a_server_that_is_about_to_stop() -> None:
    assert reasons([a_run()], [], Admission(slots=9, draining=True)) == [WaitReason.DRAINING]


def test_runs_that_wait_for_an_instant_come_last_in_the_order_of_their_instants() -> None:
    instant = EPOCH + timedelta(minutes=5)
    retry = a_run(0, not_before=instant, attempt=2, retry_of="before")
    spread = a_run(1, not_before=EPOCH + timedelta(minutes=1), kind=RunKind.SCHEDULED)
    [first, second, third] = explained([retry, spread, a_run(2)], [], ROOMY, EPOCH)
    assert [waiting.position for _, waiting in (first, second, third)] == [1, 2, 3]
    assert first[1].reason == WaitReason.NEXT
    assert (second[0], second[1].text) == (spread, "It starts at 2026-03-01T12:01:00Z: schedules are spread.")
    assert (third[0], third[1].until) == (retry, instant)
    assert third[1].text == "Attempt 2 starts at 2026-03-01T12:05:00Z, after the delay of its pipeline."


a_queue = st.lists(
    st.fixed_dictionaries(
        {
            "pipeline_id": st.sampled_from(["p", "q", "r"]),
            "service_fqn": st.sampled_from(["shop", "stock", ""]),
            "kind": st.sampled_from(RunKind),
            "max_active_runs": st.integers(1, 2),
            "runtime": st.sampled_from([None, "main", "old"]),
            "not_before": st.sampled_from([None, EPOCH, EPOCH + timedelta(seconds=1)]),
        }
    ),
    max_size=12,
)


@given(
    queue=a_queue,
    slots=st.integers(0, 4),
    most=st.none() | st.integers(1, 2),
    of=st.dictionaries(st.sampled_from(["shop", "stock"]), st.integers(1, 2)),
)
def test_what_is_said_to_be_next_is_what_is_claimed(
    queue: list[dict[str, Any]], slots: int, most: int | None, of: dict[str, int]
) -> None:
    stores, services = MemoryStores(), ServiceLimits(most, of)
    for n, values in enumerate(queue):
        stores.runs.enqueue(a_run(n, **values))
    admission = Admission(slots, services, ("main",))
    said = explained(stores.runs.queue(limit=99), [], admission, stores.clock.now())
    claimed = []
    while (run := stores.runs.claim(slots=slots, runtimes=["main"], services=services)) is not None:
        assert run.state == RunState.RUNNING
        claimed.append(run.id)
    assert [run.id for run, waiting in said if waiting.reason == WaitReason.NEXT] == claimed
    assert [waiting.position for _, waiting in said] == list(range(1, len(queue) + 1))
