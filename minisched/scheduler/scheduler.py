"""The scheduler: when an instant comes, has it decided and the run of it queued, in one transaction, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import structlog

from minisched.domain.errors import MinischedError, StoreUnavailable
from minisched.domain.pipeline import Deployment
from minisched.domain.run import Run, RunKind
from minisched.domain.tick import CatchUpPolicy, Decision, ScheduleVersion, Situation, Tick, settle
from minisched.ports import Clock, Executor, ScheduleStore, Settled, Watches
from minisched.scheduler.bell import CAP_S, Bell
from minisched.scheduler.upcoming import Upcoming
from minisched.scheduler.watch import Watch

log = structlog.get_logger(__name__)

# Makes the queued run of one instant: deployment, run id, instant, kind, requested by.
RunOf = Callable[[Deployment, str, datetime, RunKind, str], Run]

# As many as keep a trigger by hand waiting for some ten milliseconds at most.
_PIPELINES_AT_ONCE = 200
# When the database does not answer, and when a stored schedule cannot be understood.
_RETRY_S = 2.0
_REFUSED = timedelta(minutes=5)
# A mark further ahead than this was made by a clock that was wrong.
_AHEAD = timedelta(seconds=5)


class Scheduler:
    """Implements `ports.Alarm`. With `policy.fires` false it keeps the record and fires nothing: see `start`."""

    def __init__(
        self,
        *,
        schedules: ScheduleStore,
        watches: Watches,
        executor: Executor,
        run_of: RunOf,
        clock: Clock,
        policy: CatchUpPolicy,
        prepare: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """`prepare` is called with the pipelines that are due before the database is asked to decide about them."""
        self._schedules = schedules
        self._executor = executor
        self._run_of = run_of
        self._clock = clock
        self.policy = policy
        self._prepare = prepare
        self._upcoming = Upcoming()
        self._watch = Watch(watches)
        self._bell = Bell(self.ring)
        self._arming = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Take every schedule of the tables, then begin to ring. Not called, nothing ever fires, and what passes is
        recorded as missed when a schedule changes."""
        self.load()
        self._bell.start()

    def load(self) -> None:
        """As `start`, for whoever calls `ring` himself."""
        now = self._clock.now()
        if adopted := self._schedules.adopt(now):
            log.info("schedules.adopted", pipelines=adopted)
        present = self._schedules.present()
        for version in present:
            self._await(version)
        if _any_ahead(present, now):
            self._take_back(now)
        self._started = True
        log.info("schedules.loaded", pipelines=len(present), with_an_instant=len(self._upcoming))

    def close(self) -> None:
        """Ring no more; a tick that is at work is waited for."""
        self._bell.close()
        try:
            self._watch.close(self._clock.now())
        except StoreUnavailable as error:
            log.warning("watch.not_recorded", error=str(error))

    # --- Alarm ------------------------------------------------------------------------------------------------------

    def settle(self, pipeline_id: str, at: datetime) -> None:
        if not self._started or self._upcoming.is_open(pipeline_id, at):
            self._tell(self._decide([pipeline_id], at))

    def set(self, deployment: Deployment) -> None:
        if not self._started:
            return
        present = self._schedules.present([deployment.id])
        for version in present:
            self._await(version)
        if _any_ahead(present, now := self._clock.now()):
            self._take_back(now)
        self._arm()

    def remove(self, pipeline_id: str) -> None:
        self._upcoming.remove(pipeline_id)

    # --- ringing ----------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Look at the clock and decide about every instant that has come. What fails is tried again in a moment."""
        try:
            self._look(self._clock.now())
        except StoreUnavailable as error:
            log.warning("store.unavailable", error=str(error))
            self._bell.ring_in(_RETRY_S)
        except Exception:
            log.exception("ring.failed")
            self._bell.ring_in(_RETRY_S)
        else:
            self._arm()

    def _look(self, now: datetime) -> None:
        if self._watch.look(now):
            log.warning("clock.set_back", now=now.isoformat())
            self._take_back(now)
        due = self._upcoming.due(now)
        settled: list[Settled] = []
        decided = False
        try:
            for pipeline_ids in _portions(due):
                self._prepare(pipeline_ids)
                settled += self._decide(pipeline_ids, now)
            decided = True
        finally:
            if not decided:
                self._upcoming.raise_again(due)
            # Only now, so that the first of a thousand runs, and the log, hold up no instant.
            self._tell(settled)

    def _take_back(self, now: datetime) -> None:
        ids = self._schedules.rewind(now)
        log.warning("schedules.reopened", pipelines=len(ids), now=now.isoformat())
        for version in self._schedules.present(ids):
            self._await(version)

    def _decide(self, pipeline_ids: Sequence[str], until: datetime) -> list[Settled]:
        settled = self._schedules.decide(pipeline_ids, until=until, judge=partial(self._judge, until))
        for one in settled:
            self._await(one.version, refused_until=until)
        for pipeline_id in set(pipeline_ids) - {one.version.pipeline_id for one in settled}:
            self._upcoming.remove(pipeline_id)
        return settled

    def _tell(self, settled: Sequence[Settled]) -> None:
        if any(one.runs for one in settled):
            self._executor.wake()
        for one in settled:
            _log(one)

    def _judge(
        self, until: datetime, version: ScheduleVersion, deployment: Deployment, situation: Situation
    ) -> tuple[list[Tick], list[Run]] | None:
        now = self._clock.now()
        policy = self.policy if self._started else CatchUpPolicy(timedelta(0), timedelta(0), 0, fires=False)
        try:
            ticks = settle(version, until, now=now, policy=policy, situation=situation, new_run_id=lambda: str(uuid4()))
            return ticks, [self._run(deployment, tick) for tick in ticks if tick.decision is Decision.FIRED]
        except MinischedError as error:
            log.error("tick.failed", pipeline=deployment.fqn, error=str(error))
            return None

    def _run(self, deployment: Deployment, tick: Tick) -> Run:
        assert tick.run_id is not None
        return self._run_of(deployment, tick.run_id, tick.scheduled_for, RunKind.SCHEDULED, "scheduler")

    def _await(self, version: ScheduleVersion, *, refused_until: datetime | None = None) -> None:
        """Come back to this schedule at its next open instant; later when that was refused just now."""
        try:
            schedule = version.schedule
        except MinischedError as error:
            log.error("schedule.unusable", pipeline_id=version.pipeline_id, error=str(error))
            schedule = None
        upcoming = schedule.next(version.decided_until, 1) if schedule else []
        instant = upcoming[0] if upcoming else None
        if instant is not None and refused_until is not None and instant <= refused_until and version.enabled:
            instant = refused_until + _REFUSED
        self._upcoming.put(version.pipeline_id, instant, fires=version.enabled)

    def _arm(self) -> None:
        with self._arming:
            first = self._upcoming.first()
            self._bell.ring_in(CAP_S if first is None else (first - self._clock.now()).total_seconds())


def _any_ahead(present: Sequence[ScheduleVersion], now: datetime) -> bool:
    return any(version.decided_until > now + _AHEAD for version in present)


def _log(settled: Settled) -> None:
    for tick in settled.ticks:
        tell = log.info if tick.decision in (Decision.FIRED, Decision.PAUSED) else log.warning
        tell(
            f"tick.{tick.decision.value}",
            pipeline_id=tick.pipeline_id,
            scheduled_for=tick.scheduled_for.isoformat(),
            instants=tick.instants,
            run_id=tick.run_id,
            late_s=round((tick.decided_at - tick.through).total_seconds(), 3),
        )


def _portions(pipeline_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (
        pipeline_ids[first : first + _PIPELINES_AT_ONCE] for first in range(0, len(pipeline_ids), _PIPELINES_AT_ONCE)
    )
