"""What becomes of the instants of schedules: those to come, those that came and why, and those to make up for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from minisched.domain.errors import InvalidInput, PipelineNotFound, RunNotFound
from minisched.domain.run import Run
from minisched.domain.schedule import Schedule
from minisched.domain.tick import CatchUpPolicy, ScheduleVersion, Situation, Tick, settle
from minisched.domain.why import Facts, Why, explain
from minisched.domain.zone import load_zone, stretch_at
from minisched.operations.runs import Runs
from minisched.ports import BackfillQueue, Clock, DeploymentStore, RunStore, ScheduleStore, TickHistory

_MOMENT = timedelta(milliseconds=1)
_MOST_BACKFILLED = 1000
# How far back an instant is looked for.
_LOOK_BACK_DAYS = (1, 8, 35, 400, 12_000)
_NO_POLICY = CatchUpPolicy(timedelta(0), timedelta(0), 0)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """An instant to come, and what changes of the clocks have to do with it."""

    at: datetime
    remark: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The next instants; `enabled` false means that none of them will fire as things are."""

    pipeline_id: str
    cron: str | None
    timezone: str
    enabled: bool
    instants: list[Upcoming]


@dataclass(frozen=True, slots=True)
class Answer:
    """What `why` found out. `instant` is the one that is spoken of, `run` the run of it or of what stands for it."""

    pipeline_id: str
    asked: datetime
    why: Why
    timezone: str
    tick: Tick | None
    run: Run | None
    before: datetime | None
    after: datetime | None


@dataclass(frozen=True, slots=True)
class Backfilled:
    """`queued` are new runs (instants only, in a dry run), `known` those instants that have their run already."""

    queued: list[tuple[datetime, str | None]] = field(default_factory=list)
    known: list[tuple[datetime, str]] = field(default_factory=list)


class Instants:
    """`pipeline` is an id, an FQN or the name of a deployment."""

    def __init__(
        self,
        *,
        runs: Runs,
        run_store: RunStore,
        deployments: DeploymentStore,
        schedules: ScheduleStore,
        history: TickHistory,
        backfills: BackfillQueue,
        clock: Clock,
    ) -> None:
        self._runs = runs
        self._run_store = run_store
        self._deployments = deployments
        self._schedules = schedules
        self._history = history
        self._backfills = backfills
        self._clock = clock

    def ticks(self, pipeline: str, *, limit: int, before: datetime | None = None) -> list[Tick]:
        """Newest first. A pause that lasts is shown as it would be written down now. Raises PipelineNotFound."""
        pipeline_id = self._known(pipeline)
        pending = [] if before is not None else self._pending(pipeline_id)
        stored = self._history.ticks(pipeline_id, limit=limit, before=before)
        return [*reversed(pending), *stored][:limit]

    def _pending(self, pipeline_id: str) -> list[Tick]:
        now = self._clock.now()
        return [
            tick
            for version in self._schedules.present([pipeline_id])
            if not version.enabled
            for tick in settle(version, now, now=now, policy=_NO_POLICY, situation=Situation(), new_run_id=str)
        ]

    def preview(self, pipeline: str, *, count: int) -> Preview:
        """The next `count` instants. Raises PipelineNotFound when it is not deployed."""
        version = self._present(self._known(pipeline))
        schedule = version.schedule
        after = max(self._clock.now(), version.decided_until)
        upcoming = schedule.next(after, count) if schedule else []
        return Preview(
            pipeline_id=version.pipeline_id,
            cron=schedule.cron if schedule else None,
            timezone=_zone(version).key,
            enabled=version.enabled,
            instants=[Upcoming(instant, schedule.explain(instant) if schedule else None) for instant in upcoming],
        )

    def why(self, pipeline: str, at: str | None = None) -> Answer:
        """Why it ran or did not at a time in ISO 8601, local to its zone unless it has an offset; the minute counts.

        Without a time, at its last instant. Raises PipelineNotFound, InvalidInput.
        """
        pipeline_id = self._known(pipeline)
        versions = self._history.versions(pipeline_id)
        if not versions:
            raise PipelineNotFound(f"{pipeline} is not deployed, and no schedule of it is known.")
        now, zone = self._clock.now(), _zone(versions[-1])
        asked = _moment(at, zone, "at") if at else _last_instant(versions[-1], now)
        version = _in_force(versions, asked)
        facts = self._facts(pipeline_id, version, asked, now, zone, versions[0].since)
        return Answer(
            pipeline_id=pipeline_id,
            asked=asked,
            why=explain(facts),
            timezone=zone.key,
            tick=facts.tick,
            run=facts.run or facts.stood_in,
            before=facts.before,
            after=facts.after,
        )

    def _facts(
        self,
        pipeline_id: str,
        version: ScheduleVersion | None,
        at: datetime,
        now: datetime,
        zone: ZoneInfo,
        first_known: datetime,
    ) -> Facts:
        schedule = version.schedule if version else None
        is_instant = schedule is not None and any(schedule.due(at - _MOMENT, at))
        tick = self._history.tick_about(pipeline_id, at) if is_instant else None
        following = schedule.next(at, 1) if schedule else []
        absence = self._history.absence(at) if is_instant and at <= now else None
        deployment = self._deployments.get(pipeline_id)
        return Facts(
            name=deployment.fqn if deployment else pipeline_id,
            at=at,
            now=now,
            zone=zone,
            version=version,
            is_instant=is_instant,
            before=_last_before(schedule, at) if schedule else None,
            after=following[0] if following else None,
            tick=tick,
            run=self._history.run_for(pipeline_id, at) if is_instant else None,
            stood_in=self._run(tick.run_id) if tick and tick.run_id else None,
            absent=(absence.since, absence.until) if absence else None,
            first_known=first_known,
            remark=schedule.explain(at) if schedule else None,
        )

    def backfill(self, pipeline: str, *, since: str, until: str, dry_run: bool, requested_by: str) -> Backfilled:
        """Queue a run for each instant of its present schedule in since ≤ t < until that has none, oldest first.

        Times are in ISO 8601, in its zone unless they have an offset. Only instants that have been decided count; the
        scheduler looks after the others. Raises PipelineNotFound, InvalidInput.
        """
        version = self._present(self._known(pipeline))
        schedule = version.schedule
        if schedule is None:
            raise InvalidInput("has no schedule", field="pipeline", hint="Trigger it instead.")
        begin, end = (_moment(text, _zone(version), name) for text, name in ((since, "from"), (until, "to")))
        if end <= begin:
            raise InvalidInput("is not after 'from'", field="to")
        instants = []
        for instant in schedule.due(begin - _MOMENT, min(end - _MOMENT, version.decided_until)):
            instants.append(instant)
            if len(instants) > _MOST_BACKFILLED:
                hint = "Order shorter intervals one after the other."
                raise InvalidInput(f"holds more than {_MOST_BACKFILLED} instants", field="to", hint=hint)
        known = [
            (instant, run.id)
            for instant in instants
            if (run := self._history.run_for(version.pipeline_id, instant)) is not None
        ]
        missing = [instant for instant in instants if instant not in dict(known)]
        if dry_run:
            return Backfilled([(instant, None) for instant in missing], known)
        queued = self._backfills.backfill(version.pipeline_id, missing, requested_by=requested_by)
        return Backfilled([(run.scheduled_for, run.id) for run in queued if run.scheduled_for], known)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _known(self, pipeline: str) -> str:
        return self._runs.pipeline_id(pipeline)

    def _present(self, pipeline_id: str) -> ScheduleVersion:
        present = self._schedules.present([pipeline_id])
        if not present:
            raise PipelineNotFound(f"Pipeline {pipeline_id} is not deployed", hint="Deploy it first.")
        return present[0]

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._run_store.get(run_id)
        except RunNotFound:
            return None


def _zone(version: ScheduleVersion) -> ZoneInfo:
    return load_zone(str(version.timing.get("pipelineTimezone") or "UTC"))


def _in_force(versions: list[ScheduleVersion], at: datetime) -> ScheduleVersion | None:
    for version in versions:
        if version.since < at and (version.until is None or at <= version.until):
            return version
    return None


def _last_instant(version: ScheduleVersion, now: datetime) -> datetime:
    schedule = version.schedule
    at = _last_before(schedule, now + _MOMENT) if schedule else None
    return at if at is not None else now


def _last_before(schedule: Schedule, moment: datetime) -> datetime | None:
    for days in _LOOK_BACK_DAYS:
        latest = deque(schedule.due(moment - timedelta(days=days), moment - _MOMENT), maxlen=1)
        if latest:
            return latest[0]
    return None


def _moment(text: str, zone: ZoneInfo, field_name: str) -> datetime:
    """The minute that a person means. A local time that does not exist is the end of the gap that it lies in."""
    try:
        given = datetime.fromisoformat(text.strip()).replace(second=0, microsecond=0)
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        moment = given.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "Write it as 2026-03-29T02:30, or with an offset."
        raise InvalidInput(f"'{text[:100]}' is not a time", field=field_name, hint=hint) from None
    exists = moment.astimezone(zone).replace(tzinfo=None, fold=0) == given.replace(fold=0)
    return moment if exists else stretch_at(zone, moment).start
