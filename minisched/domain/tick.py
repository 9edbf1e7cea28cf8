"""What became of the instants of a schedule: every one gets exactly one decision, and this is who decides.

A tick is the scheduler acting on a fire time. The instants that come between two looks are decided together; alike
ones that follow each other are one tick (`instants` of them, from `scheduled_for` through `through`), so that a
pipeline that was paused for a year leaves one row and not half a million. Pure: no clock, no database, no threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from minisched.domain.pipeline import Document
from minisched.domain.schedule import Schedule

# What of an airflowConfig says when a pipeline is due, and what is done about instants that were missed.
_INSTANT_KEYS = ("scheduleInterval", "pipelineTimezone", "startDate", "endDate")
_CATCHUP_KEY = "pipelineCatchup"

# Later than this is late: it covers a look that a busy machine delays.
_PUNCTUAL = timedelta(seconds=60)


class Decision(StrEnum):
    """What was done about an instant."""

    FIRED = "fired"
    COALESCED = "coalesced"
    SKIPPED = "skipped"
    PAUSED = "paused"
    MISSED = "missed"


class TickReason(StrEnum):
    """Why an instant was missed."""

    LATE = "late"  # noticed later than the misfire grace
    WINDOW = "window"  # longer ago than the catch-up window
    LIMIT = "limit"  # more of them than are caught up
    SCHEDULER_OFF = "scheduler_off"  # scheduler.enabled is false


@dataclass(frozen=True, slots=True)
class Tick:
    """A decision about one instant, or about `instants` that follow each other.

    `run_id` is the run that it fired, that it was coalesced into, or that was still waiting when it was skipped.
    `looked_at` is when the schedule had been looked at last before `decided_at`. `remark` is about changes of clocks.
    """

    pipeline_id: str
    scheduled_for: datetime
    through: datetime
    decision: Decision
    decided_at: datetime
    looked_at: datetime
    instants: int = 1
    run_id: str | None = None
    reason: TickReason | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleVersion:
    """A schedule while it was in force: for the instants t with since < t ≤ until; `until` is None for the present one.

    Everything up to `decided_until` has its decision. `timing` is what of the airflowConfig matters here.
    """

    pipeline_id: str
    since: datetime
    until: datetime | None
    decided_until: datetime
    enabled: bool
    timing: Document = field(hash=False)

    @property
    def schedule(self) -> Schedule | None:
        """None for a pipeline that only runs on demand. Raises InvalidSchedule."""
        return Schedule.of(self.timing)

    @property
    def catches_up(self) -> bool:
        return self.timing.get(_CATCHUP_KEY) is True


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """What happens to instants that come late: see `settle`. `runs` bounds how many of one pipeline are caught up."""

    misfire_grace: timedelta
    window: timedelta
    runs: int
    fires: bool = True

    def remembers_from(self, now: datetime) -> datetime:
        """Instants before this are beyond the catch-up window."""
        return now - max(self.window, self.grace)

    @property
    def grace(self) -> timedelta:
        return max(self.misfire_grace, _PUNCTUAL)


@dataclass(frozen=True, slots=True)
class Situation:
    """What counts beside the schedule: the scheduled run that still waits in the queue, and instants that have a
    decision already although they come after `decided_until` (a clock that was wrong had them come)."""

    waiting_run: str | None = None
    decided: Collection[datetime] = ()


def timing_of(airflow_config: Document) -> Document:
    """What of an airflowConfig decides about instants."""
    return {key: airflow_config[key] for key in (*_INSTANT_KEYS, _CATCHUP_KEY) if airflow_config.get(key) is not None}


def same_instants(one: Document, other: Document) -> bool:
    """Whether two timings mean the same instants; catching up or not makes no difference to that."""
    return all((one.get(key) or None) == (other.get(key) or None) for key in _INSTANT_KEYS)


def settle(
    version: ScheduleVersion,
    until: datetime,
    *,
    now: datetime,
    policy: CatchUpPolicy,
    situation: Situation,
    new_run_id: Callable[[], str],
) -> list[Tick]:
    """The decisions about all instants in decided_until < t ≤ until, oldest first; those that fire have a new run id.

    - Disabled: paused.
    - Beyond the catch-up window: missed.
    - `pipelineCatchup`: each fires, oldest first; of more than `policy.runs` the latest ones, the others are missed.
    - Otherwise the latest fires, if it is not later than the misfire grace, and stands for the others (coalesced); when
      an earlier scheduled run still waits in the queue, that one stands for all of them (skipped).

    Raises InvalidSchedule.
    """
    schedule = version.schedule
    if schedule is None or until <= version.decided_until:
        return []
    maker = _TickMaker(version, schedule, now, situation.decided)
    if not version.enabled:
        return maker.of_all(maker.open(version.decided_until, until), Decision.PAUSED)
    if not policy.fires:
        off = maker.open(version.decided_until, until)
        return maker.of_all(off, Decision.MISSED, reason=TickReason.SCHEDULER_OFF)
    edge = min(max(policy.remembers_from(now), version.decided_until), until)
    forgotten = maker.of_all(maker.open(version.decided_until, edge), Decision.MISSED, reason=TickReason.WINDOW)
    due = list(maker.open(edge, until))
    if version.catches_up:
        return forgotten + _caught_up(maker, due, policy, new_run_id)
    return forgotten + _coalesced(maker, due, policy, situation.waiting_run, new_run_id)


def _caught_up(
    maker: _TickMaker, due: list[datetime], policy: CatchUpPolicy, new_run_id: Callable[[], str]
) -> list[Tick]:
    left_out = max(0, len(due) - policy.runs)
    missed = maker.of_all(due[:left_out], Decision.MISSED, reason=TickReason.LIMIT)
    # Runs that are queued in the same millisecond are claimed in the order of their ids.
    run_ids = sorted(new_run_id() for _ in due[left_out:])
    return missed + [maker.fired(*pair) for pair in zip(due[left_out:], run_ids, strict=True)]


def _coalesced(
    maker: _TickMaker,
    due: list[datetime],
    policy: CatchUpPolicy,
    waiting_run: str | None,
    new_run_id: Callable[[], str],
) -> list[Tick]:
    if not due:
        return []
    if maker.now - due[-1] > policy.grace:
        return maker.of_all(due, Decision.MISSED, reason=TickReason.LATE)
    if waiting_run is not None:
        return maker.of_all(due, Decision.SKIPPED, run_id=waiting_run)
    run_id = new_run_id()
    return [*maker.of_all(due[:-1], Decision.COALESCED, run_id=run_id), maker.fired(due[-1], run_id)]


@dataclass(frozen=True, slots=True)
class _TickMaker:
    """Makes the ticks of one version at one moment; `apart` have their decision and are left out."""

    version: ScheduleVersion
    schedule: Schedule
    now: datetime
    apart: Collection[datetime]

    def open(self, since: datetime, until: datetime) -> Iterator[datetime]:
        due = self.schedule.due(since, until)
        return (instant for instant in due if instant not in self.apart) if self.apart else due

    def fired(self, instant: datetime, run_id: str) -> Tick:
        tick = self._tick(instant, Decision.FIRED)
        return replace(tick, run_id=run_id, remark=self.schedule.explain(instant))

    def of_all(
        self,
        instants: Iterable[datetime],
        decision: Decision,
        *,
        run_id: str | None = None,
        reason: TickReason | None = None,
    ) -> list[Tick]:
        """One tick, or several when instants that were decided apart lie between."""
        return [
            replace(self._tick(first, decision), through=last, instants=count, run_id=run_id, reason=reason)
            for first, last, count in _spans(instants, sorted(self.apart))
        ]

    def _tick(self, instant: datetime, decision: Decision) -> Tick:
        version = self.version
        return Tick(version.pipeline_id, instant, instant, decision, self.now, looked_at=version.decided_until)


def _spans(instants: Iterable[datetime], apart: list[datetime]) -> Iterator[tuple[datetime, datetime, int]]:
    """First, last and number of the instants between two that are apart; ascending."""
    edges = iter([*apart, None])
    edge = next(edges)
    first: datetime | None = None
    last, count = None, 0
    for instant in instants:
        if edge is not None and instant > edge:
            if first is not None and last is not None:
                yield first, last, count
            first, count = None, 0
            while edge is not None and instant > edge:
                edge = next(edges)
        first = first or instant
        last = instant
        count += 1
    if first is not None and last is not None:
        yield first, last, count
