"""When a pipeline is due: a cron string read in an IANA time zone, between two dates, as instants in UTC.

What the five fields mean is told in `cron.py`. This is what happens when the clocks of the zone change, which is what
Debian's cron does:

A schedule for *fixed times* (neither the minute nor the hour field begins with `*`) fires once for each of its local
times: at the first instant at which the local clock shows that time or a later one.

- A time that does not exist fires at the first instant after the gap; several such times fire there once.
  `30 2 * * *` in Europe/Berlin on 29 March 2026: clocks go from 02:00 to 03:00, so it fires at 03:00 (01:00 UTC).
  `0 0 * * *` in Africa/Cairo on 24 April 2026: midnight does not exist, it fires at 01:00.
  `0 12 * * *` in Pacific/Apia for 30 December 2011, a date that does not exist: at 00:00 on 31 December.
- A time that comes twice fires the first time only.
  `30 1 * * *` in America/New_York on 1 November 2026: at 01:30 EDT (05:30 UTC), not again at 01:30 EST (06:30 UTC).

A *wildcard* schedule (`*/15 * * * *`, `0 * * * *`, `*/10 2 * * *`) fires whenever the local clock shows one of its
times, so it follows the clock as it is.

- `*/30 * * * *` in America/New_York fires every 30 minutes across both changes: nothing for 02:00 and 02:30
  in spring, which do not exist, and twice for 01:00 and 01:30 in autumn.
- `0 */6 * * *` in Africa/Cairo has no 00:00 on 24 April 2026: 18:00, then 06:00.

Two differences, both on purpose. Debian makes up for several missing times one after the other; they are one instant
here, and one run. Its daemon sees only a clock that jumped, and takes a jump of more than three hours for a correction
after which nothing is made up for; a zone's change is no correction, so here both rules hold for any change.

cronsim walks the same rules for fixed times, but not for wildcard schedules (as of 2.8): it misses times when clocks
change by half an hour or at half past (Australia/Lord_Howe), and may then search for ever; it fires once too often
when midnight does not exist on one of a schedule's days; it misses the second 23:01 to 23:59 of a night whose clocks
go back past midnight. So the walk is ours: a zone's time is cut into stretches of constant offset (`zone.py`).

`startDate` and `endDate` are the first and the last instant at which it may fire, both included. All arithmetic is done
in UTC: Python compares two aware datetimes of the same zone by their wall clocks, which go wrong at every change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from minisched.domain.cron import CRON_FIELD, Cron
from minisched.domain.errors import InvalidSchedule
from minisched.domain.instant import from_ms, require_utc
from minisched.domain.zone import ZONE_FIELD, Stretch, load_zone, stretch_at

START_FIELD = "airflowConfig.startDate"
END_FIELD = "airflowConfig.endDate"

_TICK = timedelta(microseconds=1)

# Nothing is due outside these: room for every offset at both ends of what a datetime can hold.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(9998, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of the zone's clocks that touches a schedule. `at` is in UTC, all local times are naive.

    `made_up` do not exist and fire at `at`; `lost` do not exist and are not made up for (wildcard schedules);
    `once` come twice and fire the first time; `doubled` come twice and fire twice (wildcard schedules).
    """

    at: datetime
    local_before: datetime
    local_after: datetime
    made_up: tuple[datetime, ...] = ()
    lost: tuple[datetime, ...] = ()
    once: tuple[datetime, ...] = ()
    doubled: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A pipeline's schedule; make it with `parse` or `of`. Its methods are pure, and speak in aware UTC datetimes."""

    cron: str
    timezone: str
    start: datetime | None
    end: datetime | None
    _fields: Cron = field(repr=False, compare=False)
    _zone: ZoneInfo = field(repr=False, compare=False)

    @classmethod
    def parse(
        cls, cron: str, timezone: str = "UTC", start: datetime | None = None, end: datetime | None = None
    ) -> Schedule:
        """Raises InvalidSchedule with the field, its value and a hint; ValueError for a naive start or end."""
        first = require_utc(start) if start else None
        last = require_utc(end) if end else None
        schedule = cls(cron.strip(), timezone, first, last, Cron.parse(cron.strip()), load_zone(timezone))
        schedule._require_a_fire_time()
        return schedule

    @classmethod
    def of(cls, airflow_config: dict[str, Any]) -> Schedule | None:
        """The schedule of an `airflowConfig` (contract §4.2), or None for a pipeline that only runs on demand.

        Raises InvalidSchedule. A date without an offset is a local time of the pipeline's zone.
        """
        zone = load_zone(_text(airflow_config, "pipelineTimezone", ZONE_FIELD) or "UTC")
        start = _moment(airflow_config.get("startDate"), zone, START_FIELD)
        end = _moment(airflow_config.get("endDate"), zone, END_FIELD)
        cron = _text(airflow_config, "scheduleInterval", CRON_FIELD)
        return cls.parse(cron, zone.key, start, end) if cron else None

    def due(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The fire times t with since < t ≤ until, ascending. Raises ValueError at once for naive datetimes."""
        return self._fire_times(require_utc(since) + _TICK, require_utc(until))

    def next(self, after: datetime, n: int) -> list[datetime]:
        """The first n fire times after an instant; fewer when the schedule ends."""
        return list(islice(self.due(after, _LATEST), n))

    def explain(self, instant: datetime) -> str | None:
        """What a change of the clocks has to do with a fire time, in a sentence, or None when nothing.

        Also speaks about the second time that a fixed time comes, when the schedule does not fire.
        """
        moment = require_utc(instant)
        if not self._first <= moment <= self._last:
            return None
        made_up = self.made_up(moment)
        if made_up:
            return _gap_remark(made_up, self._local(moment))
        local = moment.astimezone(self._zone)
        if not _comes_twice(local) or not self._matches(self._local(moment)):
            return None
        shown = f"local time {local:%H:%M} happens twice"
        if self._fields.wildcard:
            return f"{shown}; fires at both, this is the {'second' if local.fold else 'first'}"
        return f"{shown}; fires at the first"

    def made_up(self, instant: datetime) -> list[datetime]:
        """The local times (naive) that do not exist and for which this schedule fires at this instant instead."""
        moment = require_utc(instant)
        if self._fields.wildcard or not self._first <= moment <= self._last:
            return []
        stretch = stretch_at(self._zone, moment)
        if moment != stretch.start:
            return []
        return [local.replace(tzinfo=None) for local in self._skipped(stretch)]

    def clock_changes(self, since: datetime, until: datetime) -> Iterator[ClockChange]:
        """The changes of the clocks in since < t ≤ until that touch this schedule, in order."""
        moment, last = max(require_utc(since) + _TICK, self._first), min(require_utc(until), self._last)
        while moment <= last:
            stretch = stretch_at(self._zone, moment)
            if moment <= stretch.start <= last:
                yield from self._change(stretch)
            moment = stretch.end

    def _fire_times(self, moment: datetime, last: datetime) -> Iterator[datetime]:
        moment, last = max(moment, self._first), min(last, self._last)
        while moment <= last:
            stretch = stretch_at(self._zone, moment)
            yield from self._fire_times_in(stretch, moment, min(last, stretch.end - _TICK))
            moment = stretch.end

    def _fire_times_in(self, stretch: Stretch, first: datetime, last: datetime) -> Iterator[datetime]:
        if not self._fields.wildcard:
            if first <= stretch.start <= last and any(self._skipped(stretch)):
                yield stretch.start
                first = stretch.start + _TICK
            first = max(first, stretch.reached - stretch.offset)
        if first <= last:
            yield from self._fields.between(first, last, stretch.offset)

    def _skipped(self, stretch: Stretch) -> Iterator[datetime]:
        """The schedule's local times that do not exist because the clocks were put forward as the stretch began."""
        return self._fields.between(stretch.reached, stretch.local_start - _TICK)

    def _change(self, stretch: Stretch) -> Iterator[ClockChange]:
        gap = _naive(self._skipped(stretch))
        repeated = _naive(self._fields.between(stretch.local_start, min(stretch.reached, stretch.local_end) - _TICK))
        if not (gap or repeated):
            return
        before, after = _naive((stretch.reached, stretch.local_start))
        if self._fields.wildcard:
            yield ClockChange(stretch.start, before, after, lost=gap, doubled=repeated)
        else:
            yield ClockChange(stretch.start, before, after, made_up=gap, once=repeated)

    def _matches(self, local: datetime) -> bool:
        return any(self._fields.between(local, local))

    def _local(self, moment: datetime) -> datetime:
        """The local time of an instant, labelled UTC so that it is a plain number."""
        return moment.astimezone(self._zone).replace(tzinfo=UTC, fold=0)

    @property
    def _first(self) -> datetime:
        return max(self.start or _EARLIEST, _EARLIEST)

    @property
    def _last(self) -> datetime:
        return min(self.end or _LATEST, _LATEST)

    def _require_a_fire_time(self) -> None:
        if self.start and self.end and self.end < self.start:
            raise InvalidSchedule(
                f"endDate {self.end.isoformat()} is before startDate {self.start.isoformat()}.", field=END_FIELD
            )
        if self.end and not self.next(self._first - _TICK, 1):
            raise InvalidSchedule(
                f"'{self.cron}' never fires between startDate and endDate {self.end.isoformat()}.", field=END_FIELD
            )


def validate(airflow_config: dict[str, Any]) -> None:
    """Raises InvalidSchedule when the schedule of an `airflowConfig` cannot be understood or can never fire."""
    Schedule.of(airflow_config)


def _text(airflow_config: dict[str, Any], key: str, field_path: str) -> str:
    value = airflow_config.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidSchedule(f"{key} has to be a string, not {type(value).__name__}.", field=field_path)
    return (value or "").strip()


def _moment(value: object, zone: ZoneInfo, field_path: str) -> datetime | None:
    """The instant of a date in ISO 8601, or in epoch milliseconds as Java writes dates when left to itself."""
    if value in (None, ""):
        return None
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return from_ms(value)
        moment = datetime.fromisoformat(str(value).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidSchedule(
            f"'{str(value)[:100]}' is not a date.", field=field_path, hint="Write it as 2026-03-29T02:30:00+02:00."
        ) from error


def _naive(moments: Iterator[datetime] | tuple[datetime, ...]) -> tuple[datetime, ...]:
    return tuple(moment.replace(tzinfo=None) for moment in moments)


def _comes_twice(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _gap_remark(missing: list[datetime], fires_at: datetime) -> str:
    form = "%H:%M" if missing[0].date() == fires_at.date() else "%Y-%m-%d %H:%M"
    if len(missing) == 1:
        return f"local time {missing[0]:{form}} does not exist that day; fires at {fires_at:{form}}"
    first, last = missing[0], missing[-1]
    return f"local times {first:{form}} to {last:{form}} do not exist that day; fires once at {fires_at:{form}}"
