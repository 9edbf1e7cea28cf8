"""Runs of one instant start apart, predictably."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.spread import Spread
from tests.store_kinds import EPOCH

IDS = [str(UUID(int=n)) for n in range(600)]


def test_without_a_spread_runs_start_at_their_instant() -> None:
    assert Spread().start_of(EPOCH, pipeline_id=IDS[0], fqn="s.n") is None
    assert Spread(60, {"s.n": 0}).start_of(EPOCH, pipeline_id=IDS[0], fqn="s.n") is None


@given(st.uuids(), st.floats(0, 86_400), st.integers(0, 10**6))
def test_a_pipeline_keeps_its_distance_within_the_spread(pipeline_id: UUID, seconds: float, hour: int) -> None:
    spread, key = Spread(seconds), str(pipeline_id)
    instants = [EPOCH, EPOCH + timedelta(hours=hour)]
    starts = [spread.start_of(instant, pipeline_id=key, fqn="s.n") or instant for instant in instants]
    offsets = {start - instant for start, instant in zip(starts, instants, strict=True)}
    assert len(offsets) == 1
    assert timedelta(0) <= offsets.pop() <= timedelta(seconds=seconds)


def test_pipelines_are_spread_evenly() -> None:
    starts = [Spread(600).start_of(EPOCH, pipeline_id=key, fqn="s.n") or EPOCH for key in IDS]
    of_a_minute = [sum((start - EPOCH) // timedelta(minutes=1) == minute for start in starts) for minute in range(10)]
    assert sum(of_a_minute) == 600
    assert all(35 <= number <= 90 for number in of_a_minute), of_a_minute


def test_single_pipelines_have_a_spread_of_their_own() -> None:
    assert Spread(0, {"s.n": 3600}).start_of(EPOCH, pipeline_id=IDS[1], fqn="s.n") is not None
    assert Spread(0, {"s.n": 3600}).start_of(EPOCH, pipeline_id=IDS[1], fqn="s.other") is None
