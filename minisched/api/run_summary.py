"""A run in the answers of the API, as lists show it."""

from __future__ import annotations

from datetime import datetime

from minisched.api.representation import without_nulls
from minisched.domain.instant import to_ms
from minisched.domain.outcome import HINTS
from minisched.domain.pipeline import Document
from minisched.domain.queueing import Waiting
from minisched.domain.run import Run


def run_summary(run: Run, waiting: Waiting | None = None) -> Document:
    """What a list shows of a run, with why it waits. Instants are epoch milliseconds, durations seconds."""
    return without_nulls(
        id=run.id,
        pipelineId=run.pipeline_id,
        pipelineFqn=run.pipeline_fqn,
        pipelineName=run.pipeline_name,
        pipelineType=run.pipeline_type,
        service=run.service_fqn,
        kind=run.kind.value,
        state=run.state.value,
        reason=run.reason and run.reason.value,
        message=run.message,
        hint=hint_of(run),
        attempt=run.attempt,
        retryOf=run.retry_of,
        requestedBy=run.requested_by,
        runtime=run.runtime,
        scheduledFor=_ms(run.scheduled_for),
        notBefore=_ms(run.not_before),
        enqueuedAt=to_ms(run.enqueued_at),
        startedAt=_ms(run.started_at),
        endedAt=_ms(run.ended_at),
        waiting=waiting and _shown(waiting),
    )


def hint_of(run: Run) -> str | None:
    """What to do about it: the hint that was kept with the outcome, else the one of the reason."""
    return run.evidence.get("hint") or (HINTS.get(run.reason) if run.reason else None) or None


def _shown(waiting: Waiting) -> Document:
    return without_nulls(
        position=waiting.position, reason=waiting.reason.value, text=waiting.text, until=_ms(waiting.until)
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
