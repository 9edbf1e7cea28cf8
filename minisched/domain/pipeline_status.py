"""PipelineStatus documents (contract §4.3) and what they and our own runs say together."""

from __future__ import annotations

from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import ACTIVE_STATES, Run


def of_run(run: Run) -> Document:
    """A run of ours as a PipelineStatus, nulls left out."""
    status: Document = {
        "runId": run.id,
        "pipelineState": run.state.value,
        "startDate": to_ms(run.started_at or run.enqueued_at),
        "timestamp": to_ms(run.scheduled_for or run.enqueued_at),
    }
    if run.ended_at is not None:
        status["endDate"] = to_ms(run.ended_at)
    if run.steps:
        status["status"] = run.steps
    return status


def corrected(reported: Document, run: Run) -> Document:
    """What the workflow reported, with the state that our supervisor knows.

    A workflow's word is evidence only: it may have died after reporting `running`, or still be ending after `success`.
    """
    own = of_run(run)
    status = {**own, **reported, "pipelineState": own["pipelineState"]}
    if run.is_terminal:
        status["endDate"] = own.get("endDate", reported.get("endDate"))
    else:
        status.pop("endDate", None)
    return status


def is_active(status: Document) -> bool:
    return status.get("pipelineState") in ACTIVE_STATES


def newest_first(statuses: list[Document]) -> list[Document]:
    """By `timestamp`, those without one last."""
    return sorted(statuses, key=lambda status: status.get("timestamp") or -1, reverse=True)
