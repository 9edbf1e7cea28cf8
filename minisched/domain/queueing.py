"""The queue: in which order runs are claimed, what holds them back, and how to say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from minisched.domain.run import Run


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """How many runs of one service (its FQN) may run at once: `most` unless `of` names it; None is no limit.

    Runs without a service are never held back.
    """

    most: int | None = None
    of: Mapping[str, int] = field(default_factory=dict)

    def limit(self, service_fqn: str) -> int | None:
        return self.of.get(service_fqn, self.most) if service_fqn else None


NO_LIMITS = ServiceLimits()


@dataclass(frozen=True, slots=True)
class Admission:
    """What an executor claims at present: `runtimes` are those that are ready, `draining` says nothing any more."""

    slots: int
    services: ServiceLimits = NO_LIMITS
    runtimes: tuple[str, ...] = ()
    draining: bool = False


class WaitReason(StrEnum):
    """Why a queued run does not run yet."""

    NEXT = "next"
    SLOTS = "slots"
    PIPELINE = "pipeline_limit"
    SERVICE = "service_limit"
    RUNTIME = "runtime"
    NOT_BEFORE = "not_before"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The place of a queued run, from 1, and why it waits; `until` when that is known."""

    position: int
    reason: WaitReason
    text: str
    until: datetime | None = None


def explained(
    queued: Sequence[Run], running: Iterable[Run], admission: Admission, now: datetime
) -> list[tuple[Run, Waiting]]:
    """Every queued run with its place, in the order in which they may start: those that wait for an instant last.

    `queued` is in the order of claims. Pure: the same rules as a claim, counted through once.
    """
    due = [run for run in queued if not _is_later(run, now)]
    later = sorted((run for run in queued if _is_later(run, now)), key=lambda run: run.not_before or now)
    room = _Room(running, admission)
    return [(run, Waiting(position, *room.verdict(run, now))) for position, run in enumerate([*due, *later], start=1)]


def _is_later(run: Run, now: datetime) -> bool:
    return run.not_before is not None and run.not_before > now


class _Room:
    """What is left of every limit while the queue is gone through."""

    def __init__(self, running: Iterable[Run], admission: Admission) -> None:
        runs = list(running)
        self._admission = admission
        self._total = len(runs)
        self._of_pipeline = Counter(run.pipeline_id for run in runs)
        self._of_service = Counter(run.service_fqn for run in runs)

    def verdict(self, run: Run, now: datetime) -> tuple[WaitReason, str, datetime | None]:
        admission = self._admission
        if admission.draining:
            return WaitReason.DRAINING, "The server is about to stop and starts nothing more.", None
        if _is_later(run, now):
            return WaitReason.NOT_BEFORE, _until(run), run.not_before
        if run.runtime is not None and run.runtime not in admission.runtimes:
            return WaitReason.RUNTIME, f"The runtime {run.runtime} is not ready yet.", None
        if self._of_pipeline[run.pipeline_id] >= run.max_active_runs:
            text = f"The pipeline's limit is reached: airflowConfig.maxActiveRuns is {run.max_active_runs}."
            return WaitReason.PIPELINE, text, None
        limit = admission.services.limit(run.service_fqn)
        if limit is not None and self._of_service[run.service_fqn] >= limit:
            text = f"The limit of the service {run.service_fqn} is reached: {limit} at the same time."
            return WaitReason.SERVICE, text, None
        if self._total >= admission.slots:
            return WaitReason.SLOTS, f"All {admission.slots} slots are taken.", None
        self._take(run)
        return WaitReason.NEXT, "It is about to start.", None

    def _take(self, run: Run) -> None:
        self._total += 1
        self._of_pipeline[run.pipeline_id] += 1
        self._of_service[run.service_fqn] += 1


def _until(run: Run) -> str:
    moment = run.not_before.strftime("%Y-%m-%dT%H:%M:%SZ") if run.not_before else "later"
    if run.retry_of is not None:
        return f"Attempt {run.attempt} starts at {moment}, after the delay of its pipeline."
    return f"It starts at {moment}: schedules are spread."
