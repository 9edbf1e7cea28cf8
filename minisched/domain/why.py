"""Why a pipeline ran or did not at some time, as a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from minisched.domain.run import Run, RunKind, RunState
from minisched.domain.tick import Decision, ScheduleVersion, Tick, TickReason


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an instant `at`, and around it.

    `version` was in force then. `is_instant` says that its schedule has this instant; `before` and `after` are the
    nearest ones that it has. `absent` is the time without a scheduler that holds `at`, its ends None when unknown.
    """

    name: str
    at: datetime
    now: datetime
    zone: ZoneInfo
    version: ScheduleVersion | None
    is_instant: bool = False
    before: datetime | None = None
    after: datetime | None = None
    tick: Tick | None = None
    run: Run | None = None
    stood_in: Run | None = None
    absent: tuple[datetime | None, datetime | None] | None = None
    first_known: datetime | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """`verdict` is a decision, or one of not_deployed, on_demand, not_an_instant, outside_dates, to_come, undecided,
    unknown; `sentence` tells it."""

    verdict: str
    sentence: str


def explain(facts: Facts) -> Why:
    """The one sentence, with a second one about changes of clocks and about runs that were made up for."""
    why = _explain(facts)
    more = [f"Clocks: {facts.remark}."] if facts.remark else []
    if facts.run is not None and facts.run.kind is RunKind.BACKFILL and why.verdict != Decision.FIRED.value:
        more.append(
            f"{facts.run.requested_by} had it made up for by run {facts.run.id}, which {_state(facts, facts.run)}."
        )
    return Why(why.verdict, " ".join([why.sentence, *more]))


def _explain(facts: Facts) -> Why:
    version = facts.version
    at = _show(facts, facts.at)
    if version is None:
        return Why("not_deployed", f"{facts.name} was not deployed at {at}{_known_since(facts)}.")
    schedule = version.schedule
    if schedule is None:
        return Why("on_demand", f"{facts.name} had no schedule at {at}: it ran when somebody triggered it.")
    if not facts.is_instant:
        return _no_instant(facts, at)
    if facts.tick is not None:
        return _decided(facts, facts.tick, at)
    if facts.at > facts.now:
        return _to_come(facts, version, at)
    if not version.enabled:
        return Why(Decision.PAUSED.value, f"It did not run at {at}: {facts.name} is disabled{_since(facts, version)}.")
    if facts.at > version.decided_until:
        if facts.absent is not None:
            return Why("undecided", f"Nothing is decided about {at} yet: no scheduler is at work{_absence(facts)}.")
        return Why("undecided", f"Nothing is decided about {at} yet: the scheduler looks at least every 15 seconds.")
    return Why("unknown", f"What became of {at} is not kept any more.")


def _no_instant(facts: Facts, at: str) -> Why:
    assert facts.version is not None
    schedule = facts.version.schedule
    assert schedule is not None
    if schedule.start is not None and facts.at < schedule.start:
        return Why("outside_dates", f"{at} is before its startDate, {_show(facts, schedule.start)}.{_nearest(facts)}")
    if schedule.end is not None and facts.at > schedule.end:
        return Why("outside_dates", f"{at} is after its endDate, {_show(facts, schedule.end)}.{_nearest(facts)}")
    what = f"'{schedule.cron}' in {schedule.timezone}"
    return Why("not_an_instant", f"{at} is no instant of its schedule, {what}.{_nearest(facts)}")


def _to_come(facts: Facts, version: ScheduleVersion, at: str) -> Why:
    if version.enabled:
        return Why("to_come", f"{at} has not come yet; {facts.name} will run then.")
    return Why("to_come", f"{at} has not come yet; {facts.name} is disabled{_since(facts, version)} and would not run.")


def _decided(facts: Facts, tick: Tick, at: str) -> Why:
    return Why(tick.decision.value, _sentence(facts, tick, at))


def _sentence(facts: Facts, tick: Tick, at: str) -> str:
    match tick.decision:
        case Decision.FIRED:
            late = f"queued {_duration(tick.decided_at - facts.at)} after the instant{_absence(facts)}"
            return f"It ran for {at} as run {tick.run_id}, {late}; {_end(facts)}."
        case Decision.COALESCED:
            return (
                f"It did not run for {at} alone: several instants had come{_absence(facts)} and one run stands for "
                f"them, run {tick.run_id}; {_end(facts)}."
            )
        case Decision.SKIPPED:
            return (
                f"It did not run again for {at}: run {tick.run_id} of an earlier instant still waited in the queue and "
                f"stands for it; {_end(facts)}."
            )
        case Decision.PAUSED:
            version = facts.version
            return f"It did not run at {at}: {facts.name} was disabled{_since(facts, version) if version else ''}."
        case Decision.MISSED:
            return f"It did not run at {at}: {_missed(facts, tick)}."
        case never:
            assert_never(never)


def _missed(facts: Facts, tick: Tick) -> str:
    decided = _show(facts, tick.decided_at)
    match tick.reason:
        case TickReason.SCHEDULER_OFF:
            return "the scheduler was switched off (scheduler.enabled)"
        case TickReason.LIMIT:
            return f"more instants had been missed{_absence(facts)} than are caught up (scheduler.catchup_runs)"
        case TickReason.WINDOW:
            return (
                f"the instant was found{_absence(facts)} at {decided} only, longer ago than the catch-up window "
                "reaches (scheduler.catchup_window_s)"
            )
        case TickReason.LATE | None:
            return (
                f"the instant was found{_absence(facts)} at {decided} only, later than a run may be "
                "(scheduler.misfire_grace_s)"
            )
        case never:
            assert_never(never)


def _absence(facts: Facts) -> str:
    if facts.absent is None:
        return ""
    since, until = facts.absent
    begin = f"from {_show(facts, since)} " if since else ""
    end = f"to {_show(facts, until)}" if until else "until now"
    return f", because no scheduler was at work {begin}{end} (the server was down, or the machine slept),"


def _end(facts: Facts) -> str:
    run = facts.stood_in
    return "it is not kept any more" if run is None else f"it {_state(facts, run)}"


def _state(facts: Facts, run: Run) -> str:
    if run.state is RunState.QUEUED:
        return "waits in the queue"
    if run.state is RunState.RUNNING:
        return f"is running since {_show(facts, run.started_at or run.enqueued_at)}"
    ended = _show(facts, run.ended_at) if run.ended_at else "an unknown time"
    return f"ended at {ended}: {run.state.value}" + (f" ({run.message.rstrip('.')})" if run.message else "")


def _nearest(facts: Facts) -> str:
    around = [
        f"{word} {_show(facts, instant)}"
        for word, instant in (("the last one before is", facts.before), ("the next one is", facts.after))
        if instant is not None
    ]
    return f" Of its instants, {' and '.join(around)}." if around else " It has no instant near by."


def _since(facts: Facts, version: ScheduleVersion) -> str:
    return f" since {_show(facts, version.since)}"


def _known_since(facts: Facts) -> str:
    if facts.first_known is not None and facts.at <= facts.first_known:
        return f"; its schedule is known from {_show(facts, facts.first_known)} on"
    return ""


def _show(facts: Facts, moment: datetime) -> str:
    """Local time to the minute, with seconds where there are any."""
    local = moment.astimezone(facts.zone)
    form = "%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M"
    return f"{local:{form}} {local.tzname() or facts.zone.key}"


def _duration(time: timedelta) -> str:
    seconds = max(0.0, time.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
