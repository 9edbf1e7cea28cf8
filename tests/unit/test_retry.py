"""Which failures are tried again, how often and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.outcome import outcome
from minisched.domain.retry import CONSTANT, Backoff, next_attempt
from minisched.domain.run import Run, RunKind, RunReason, RunState
from tests.store_kinds import EPOCH, FAILURE, STOPPED, SUCCESS, a_run, a_stop

ENDED = EPOCH + timedelta(minutes=5)
TRIED_AGAIN = set(RunReason) - {RunReason.COMPLETED, RunReason.STOP_REQUESTED, RunReason.INVALID_CONFIG}


def again(run: Run, result: object = FAILURE, backoff: Backoff = CONSTANT) -> Run | None:
    return next_attempt(run, result, run_id="next", ended_at=ENDED, backoff=backoff)  # type: ignore[arg-type]


def test_a_next_attempt_is_a_run_of_its_own_with_everything_that_was_asked_for() -> None:
    run = a_run(
        kind=RunKind.SCHEDULED,
        scheduled_for=EPOCH,
        started_at=EPOCH,
        retries=2,
        retry_delay_s=60,
        max_active_runs=3,
        timeout_s=9,
        requested_by="ann",
        runtime="main",
        overrides={"appConfig": {"x": 1}},
    )
    expected = replace(
        run,
        id="next",
        enqueued_at=ENDED,
        not_before=ENDED + timedelta(seconds=60),
        scheduled_for=None,
        started_at=None,
        attempt=2,
        retry_of=run.id,
    )
    assert again(run) == expected


def test_there_are_as_many_attempts_as_retries_and_one() -> None:
    attempts, run = 1, again(a_run(retries=3))
    while run is not None:
        attempts, run = attempts + 1, again(run)
    assert attempts == 4


@pytest.mark.parametrize("reason", sorted(RunReason))
def test_what_would_fail_again_is_not_tried_again(reason: RunReason) -> None:
    ended = outcome(RunState.FAILED, reason, "?")
    assert (again(a_run(retries=1), ended) is not None) == (reason in TRIED_AGAIN | {RunReason.COMPLETED})


@pytest.mark.parametrize("ended", [SUCCESS, STOPPED, outcome(RunState.PARTIAL_SUCCESS, RunReason.COMPLETED, "?")])
def test_only_failures_are_tried_again(ended: object) -> None:
    assert again(a_run(retries=1), ended) is None


def test_a_run_that_somebody_wanted_to_stop_is_not_tried_again() -> None:
    assert again(a_run(retries=1, stop=a_stop())) is None


def test_delays_are_constant_unless_they_are_to_grow() -> None:
    runs = [a_run(attempt=attempt, retry_delay_s=300) for attempt in range(1, 7)]
    assert [CONSTANT.delay_s(run) for run in runs] == [300] * 6
    assert [Backoff(True, 3600).delay_s(run) for run in runs] == [300, 600, 1200, 2400, 3600, 3600]
    assert Backoff(True, 60).delay_s(runs[3]) == 300


@given(
    attempt=st.integers(1, 10**6),
    delay_s=st.integers(0, 10**9),
    longest_s=st.floats(1, 10**6),
    exponential=st.booleans(),
)
def test_a_delay_never_shrinks_and_is_bounded(attempt: int, delay_s: int, longest_s: float, exponential: bool) -> None:
    backoff = Backoff(exponential, longest_s)
    this, following = (backoff.delay_s(a_run(attempt=n, retry_delay_s=delay_s)) for n in (attempt, attempt + 1))
    assert delay_s <= this <= following <= max(longest_s, delay_s)
