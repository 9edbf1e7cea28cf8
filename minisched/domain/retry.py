"""Which failed runs are tried again, and when: each attempt is a run of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from minisched.domain.run import Outcome, Run, RunReason, RunState

# What would fail again however often it is tried.
_NEVER = frozenset({RunReason.STOP_REQUESTED, RunReason.INVALID_CONFIG})
_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """How the pipeline's own `retryDelay` grows from attempt to attempt; `longest_s` bounds the growth."""

    exponential: bool = False
    longest_s: float = 3600.0

    def delay_s(self, run: Run) -> float:
        """Seconds between the end of this run and the earliest start of its next attempt."""
        if not self.exponential:
            return run.retry_delay_s
        doubled = run.retry_delay_s * 2.0 ** min(run.attempt - 1, _MOST_DOUBLINGS)
        return float(min(doubled, max(self.longest_s, run.retry_delay_s)))


CONSTANT = Backoff()


def next_attempt(run: Run, outcome: Outcome, *, run_id: str, ended_at: datetime, backoff: Backoff) -> Run | None:
    """The queued run that tries again what ended like this; None when nothing shall.

    It has no `scheduled_for`: the instant stays that of the first attempt. A partial success, a stop by anybody and an
    invalid configuration are never tried again.
    """
    if outcome.state is not RunState.FAILED or outcome.reason in _NEVER:
        return None
    if run.stop is not None or run.attempt > run.retries:
        return None
    return Run(
        id=run_id,
        pipeline_id=run.pipeline_id,
        pipeline_fqn=run.pipeline_fqn,
        pipeline_name=run.pipeline_name,
        pipeline_type=run.pipeline_type,
        service_fqn=run.service_fqn,
        kind=run.kind,
        enqueued_at=ended_at,
        not_before=ended_at + timedelta(seconds=backoff.delay_s(run)),
        attempt=run.attempt + 1,
        retry_of=run.id,
        retries=run.retries,
        retry_delay_s=run.retry_delay_s,
        max_active_runs=run.max_active_runs,
        timeout_s=run.timeout_s,
        requested_by=run.requested_by,
        runtime=run.runtime,
        overrides=run.overrides,
    )
