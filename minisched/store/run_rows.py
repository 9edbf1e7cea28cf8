"""A run as a row of `runs`, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from minisched.domain.instant import from_ms, to_ms
from minisched.domain.run import (
    DEFAULT_RETRY_DELAY_S,
    Outcome,
    ProcessIdentity,
    Run,
    RunKind,
    RunReason,
    RunState,
    Spawned,
    StopRequest,
)
from minisched.store.columns import bounded, digest, dump, instant_or_none, load, ms_or_none, storable
from minisched.store.secrets import SecretBox

_INTEGER = 2**31 - 1


def to_row(run: Run, box: SecretBox, *, idempotency_key: str | None) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline_id": run.pipeline_id,
        "pipeline_fqn": storable(run.pipeline_fqn),
        "pipeline_name": storable(run.pipeline_name),
        "pipeline_type": run.pipeline_type,
        "service_fqn": storable(run.service_fqn),
        "kind": run.kind.value,
        "priority": int(run.priority),
        "state": run.state.value,
        "reason": run.reason.value if run.reason else None,
        "message": storable(run.message),
        "enqueued_ms": to_ms(run.enqueued_at),
        "scheduled_for_ms": ms_or_none(run.scheduled_for),
        "started_ms": ms_or_none(run.started_at),
        "ended_ms": ms_or_none(run.ended_at),
        "attempt": run.attempt,
        "retry_of": run.retry_of,
        "not_before_ms": ms_or_none(run.not_before),
        "retries": bounded(run.retries, _INTEGER),
        "retry_delay_s": bounded(run.retry_delay_s),
        "service_hash": service_hash(run.service_fqn),
        "max_active_runs": run.max_active_runs,
        "timeout_s": None if run.timeout_s is None else bounded(run.timeout_s),
        "requested_by": storable(run.requested_by),
        "runtime": run.runtime,
        "overrides": dump(box.seal(run.overrides)),
        "steps": dump(run.steps),
        "evidence": dump(run.evidence),
        "idempotency_hash": None if idempotency_key is None else digest(idempotency_key),
        **stop_columns(run.stop),
        **process_columns(run.process),
    }


def service_hash(service_fqn: str) -> str | None:
    """What claims compare instead of a name of any length."""
    return digest(storable(service_fqn) or "") if service_fqn else None


def stop_columns(stop: StopRequest | None) -> dict[str, Any]:
    if stop is None:
        return {"stop_at_ms": None, "stop_by": None, "stop_why": None}
    return {"stop_at_ms": to_ms(stop.at), "stop_by": storable(stop.by), "stop_why": storable(stop.why)}


def process_columns(process: ProcessIdentity | None) -> dict[str, Any]:
    if process is None:
        return {"process_pid": None, "process_start_ticks": None, "process_boot_id": None}
    return {
        "process_pid": process.pid,
        "process_start_ticks": process.start_ticks,
        "process_boot_id": process.boot_id,
    }


def spawned_columns(spawned: Spawned) -> dict[str, Any]:
    return {"runtime": spawned.runtime, **process_columns(spawned.process)}


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """The hint for people is kept under `hint` of the evidence: a run has no field of its own for it."""
    evidence = {**outcome.evidence, "hint": outcome.hint} if outcome.hint else outcome.evidence
    return {
        "state": outcome.state.value,
        "reason": outcome.reason.value,
        "message": storable(outcome.message),
        "steps": dump(outcome.steps),
        "evidence": dump(evidence),
    }


def from_row(row: Row[Any], box: SecretBox) -> Run:
    return Run(
        id=row.id,
        pipeline_id=row.pipeline_id,
        pipeline_fqn=row.pipeline_fqn,
        pipeline_name=row.pipeline_name,
        pipeline_type=row.pipeline_type,
        service_fqn=row.service_fqn,
        kind=RunKind(row.kind),
        enqueued_at=from_ms(row.enqueued_ms),
        state=RunState(row.state),
        scheduled_for=instant_or_none(row.scheduled_for_ms),
        started_at=instant_or_none(row.started_ms),
        ended_at=instant_or_none(row.ended_ms),
        reason=RunReason(row.reason) if row.reason else None,
        message=row.message,
        attempt=row.attempt,
        retry_of=row.retry_of,
        not_before=instant_or_none(row.not_before_ms),
        retries=row.retries or 0,
        retry_delay_s=DEFAULT_RETRY_DELAY_S if row.retry_delay_s is None else row.retry_delay_s,
        max_active_runs=row.max_active_runs,
        timeout_s=row.timeout_s,
        requested_by=row.requested_by,
        stop=_stop(row),
        runtime=row.runtime,
        process=_process(row),
        overrides=box.unseal(load(row.overrides)),
        steps=load(row.steps),
        evidence=load(row.evidence),
    )


def _stop(row: Row[Any]) -> StopRequest | None:
    if row.stop_at_ms is None:
        return None
    return StopRequest(at=from_ms(row.stop_at_ms), by=row.stop_by, why=row.stop_why)


def _process(row: Row[Any]) -> ProcessIdentity | None:
    if row.process_pid is None:
        return None
    return ProcessIdentity(row.process_pid, row.process_start_ticks, row.process_boot_id)
