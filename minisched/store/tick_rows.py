"""A tick as a row of `ticks`, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from minisched.domain.instant import from_ms, to_ms
from minisched.domain.tick import Decision, Tick, TickReason


def to_row(tick: Tick) -> dict[str, Any]:
    return {
        "pipeline_id": tick.pipeline_id,
        "scheduled_for_ms": to_ms(tick.scheduled_for),
        "through_ms": to_ms(tick.through),
        "instants": tick.instants,
        "decision": tick.decision.value,
        "decided_ms": to_ms(tick.decided_at),
        "looked_ms": to_ms(tick.looked_at),
        "run_id": tick.run_id,
        "reason": tick.reason.value if tick.reason else None,
        "remark": tick.remark,
    }


def from_row(row: Row[Any]) -> Tick:
    return Tick(
        pipeline_id=row.pipeline_id,
        scheduled_for=from_ms(row.scheduled_for_ms),
        through=from_ms(row.through_ms),
        decision=Decision(row.decision),
        decided_at=from_ms(row.decided_ms),
        looked_at=from_ms(row.looked_ms),
        instants=row.instants,
        run_id=row.run_id,
        reason=TickReason(row.reason) if row.reason else None,
        remark=row.remark,
    )
