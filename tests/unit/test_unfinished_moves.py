"""Moves that were cut off are ended one by one; one that cannot be stops nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from minisched.app.unfinished_moves import UnfinishedMoves
from minisched.domain.errors import OrchestratorUnavailable, StoreUnavailable
from minisched.domain.pipeline import PipelineRef
from minisched.domain.placement import Placement
from tests.waiting import wait_until


class Cut:
    """Three moves that were cut off; Airflow does not answer about the first, the database only at the third try."""

    def __init__(self) -> None:
        self.left = ["a", "b", "c"]
        self.asked = 0

    def unfinished(self) -> list[Placement]:
        self.asked += 1
        if self.asked < 3:
            raise StoreUnavailable
        at = datetime(2026, 3, 1, tzinfo=UTC)
        return [Placement(name, name, name, "metadata", "shop", "local", at, also_in="airflow") for name in self.left]

    def settle(self, pipeline: PipelineRef) -> None:
        if pipeline.name == "a":
            raise OrchestratorUnavailable("Airflow does not answer.")
        self.left.remove(pipeline.name)


def test_what_can_be_ended_is_whatever_else_fails() -> None:
    cut: Any = Cut()
    moves = UnfinishedMoves(cut, poll_s=0.01)
    moves.start()
    try:
        wait_until(lambda: cut.left == ["a"] and cut.asked > 4, timeout_s=20)
    finally:
        moves.close()
