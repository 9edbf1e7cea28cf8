"""What a cron string means on a wall clock: which days, and which times of those days. No time zone here.

Five fields: minute, hour, day-of-month, month, day-of-week, as Vixie's cron reads them, and the aliases of `ALIASES`.
A field is `*` or a comma list of numbers, three-letter names (`jan`, `mon`), ranges and steps (`*/15`, `8-18/2`,
`5/20` = from 5 on). 0 and 7 are Sunday. A range may wrap around: `22-2`, `fri-mon`, `nov-feb`. Day-of-month also
takes `L` (last day) and `LW` (last Monday-to-Friday day), day-of-week `fri#2` (second Friday) and `5L` (last Friday).
When both day fields are restricted, a day has to match one of them; when one of them begins with `*`, both.

cronsim expands the fields and decides which days match. The terms are checked here first, so that an error can name the
field, the value and a remedy, and rewritten where cronsim reads them otherwise: it refuses wrap-around ranges and takes
a step over a range of one value (`5-5/2`) for `5/2`. Its own walk through time is not used: see `schedule.py`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache

from cronsim import CronSim, CronSimError

from minisched.domain.errors import InvalidSchedule

CRON_FIELD = "airflowConfig.scheduleInterval"

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELDS_HINT = "Five fields are needed: minute, hour, day-of-month, month, day-of-week, such as '30 2 * * mon-fri'."

_ALIAS_HINTS = {
    "@reboot": "A pipeline has fire times of its own; to run it now, trigger it.",
    "@once": "Leave the schedule empty and trigger the pipeline.",
    "@none": "Leave the schedule empty for a pipeline that is only triggered.",
    "@continuous": "The shortest schedule is '* * * * *'.",
    "@every": "Write the interval as a step: '*/5 * * * *' is every five minutes.",
}

_LONGEST_TEXT = 1000
_NUMBER = re.compile(r"[0-9]{1,4}")
_NO_SHIFT = timedelta(0)
_DAY = timedelta(days=1)
_MINUTES_OF_DAY = tuple(timedelta(minutes=minute) for minute in range(24 * 60))

# Any 28 years without a skipped leap day hold every kind of year there is: what they do not match never occurs.
_EVERY_KIND_OF_YEAR = (date(2000, 1, 1), date(2027, 12, 31))


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    cycle: int
    names: tuple[str, ...] = ()


_MINUTE = _Field("minute", 0, 59, 60)
_HOUR = _Field("hour", 0, 23, 24)
_DAY_OF_MONTH = _Field("day-of-month", 1, 31, 31)
_MONTH = _Field(
    "month", 1, 12, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
_DAY_OF_WEEK = _Field("day-of-week", 0, 7, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
_FIELDS = (_MINUTE, _HOUR, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed cron string. `times` are the offsets from midnight at which it fires on each of its days, ascending.

    `wildcard` is true when the minute or the hour field begins with `*`, which is what cron calls a wildcard job.
    """

    text: str
    wildcard: bool
    times: tuple[timedelta, ...] = field(repr=False, compare=False)
    calendar: CronSim = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises InvalidSchedule naming the bad field and value, also for a string that never fires."""
        return _parse(text)

    def days(self, first: date, last: date) -> Iterator[date]:
        """The matching days from `first` to `last`, both included."""
        months, matches = self.calendar.months, self.calendar.match_day
        day = first
        while day <= last:
            if day.month not in months:
                day = (day.replace(day=1) + 31 * _DAY).replace(day=1)
                continue
            if matches(day):
                yield day
            day += _DAY

    def between(self, first: datetime, last: datetime, offset: timedelta = _NO_SHIFT) -> Iterator[datetime]:
        """The moments x, first ≤ x ≤ last, at which a clock that shows x + offset fires; ascending."""
        for day in self.days((first + offset).date(), (last + offset).date()):
            midnight = datetime.combine(day, time.min, tzinfo=first.tzinfo) - offset
            start = bisect_left(self.times, first - midnight)
            stop = bisect_right(self.times, last - midnight)
            yield from map(midnight.__add__, self.times[start:stop])


@lru_cache(maxsize=4096)
def _parse(text: str) -> Cron:
    minute, hour, *days = _normalised(text)
    calendar = _calendar(*days)
    if calendar is None:
        raise InvalidSchedule(f"'{text}' never fires.", field=CRON_FIELD, hint=_never_hint(text))
    wildcard = minute.startswith("*") or hour.startswith("*")
    return Cron(text, wildcard, _times(minute, hour), calendar)


@lru_cache(maxsize=4096)
def _calendar(day_of_month: str, month: str, day_of_week: str) -> CronSim | None:
    """The days of the last three fields, shared by all schedules that have them; None when there is not one."""
    try:
        calendar = CronSim(f"0 0 {day_of_month} {month} {day_of_week}", datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:  # every term was checked before: what is left is a day that the months do not have
        return None
    days = Cron("", False, (), calendar).days(*_EVERY_KIND_OF_YEAR)
    return calendar if next(days, None) else None


@lru_cache(maxsize=4096)
def _times(minute: str, hour: str) -> tuple[timedelta, ...]:
    clock = CronSim(f"{minute} {hour} * * *", datetime(2000, 1, 1, tzinfo=UTC))
    return tuple(_MINUTES_OF_DAY[60 * h + m] for h in sorted(clock.hours) for m in sorted(clock.minutes))


def _normalised(text: str) -> list[str]:
    """The five fields in cronsim's language."""
    parts = _split(text)
    return [
        ",".join(_term(kind, term, part) for term in part.split(",")) for kind, part in zip(_FIELDS, parts, strict=True)
    ]


def _never_hint(text: str) -> str:
    _, _, day_of_month, month, day_of_week = _split(text)
    if day_of_week == "*":
        return f"'{day_of_month} {month}' never occurs: none of these months has such a day."
    return (
        f"'{day_of_month} {month} {day_of_week}' never occurs: as one begins with '*', both day fields have to match."
    )


def _split(text: str) -> list[str]:
    if len(text) > _LONGEST_TEXT:
        raise InvalidSchedule(f"The schedule is longer than {_LONGEST_TEXT} characters.", field=CRON_FIELD)
    words = text.lower().split()
    if words and words[0].startswith("@"):
        return _alias(words).split()
    if len(words) != len(_FIELDS):
        raise InvalidSchedule(
            f"'{text}' has {len(words)} field{'s' if len(words) != 1 else ''}.",
            field=CRON_FIELD,
            hint=_count_hint(words),
        )
    return words


def _alias(words: list[str]) -> str:
    word = words[0]
    if word in ALIASES and len(words) == 1:
        return ALIASES[word]
    close = get_close_matches(word, ALIASES, n=1)
    hint = _ALIAS_HINTS.get(word) or (f"Did you mean {close[0]}?" if close else f"Known: {', '.join(ALIASES)}.")
    raise InvalidSchedule(f"'{' '.join(words)}' is not a schedule alias.", field=CRON_FIELD, hint=hint)


def _count_hint(words: list[str]) -> str:
    if len(words) == 6 or (len(words) == 7 and words[0] == "0"):
        rest = " ".join(words[1:6]).replace("?", "*")
        return f"{_FIELDS_HINT} Seconds and years are not supported; without them this would be '{rest}'."
    return _FIELDS_HINT


def _term(kind: _Field, term: str, part: str) -> str:
    """One term of a comma list, checked and rewritten. `part` is the whole field, for the error."""
    day = _special_day(kind, term)
    if day is not None:
        return day
    body, slash, step_text = term.partition("/")
    step = _step(kind, step_text, part) if slash else 1
    if body == "*":
        return term
    start, dash, end = body.partition("-")
    low = _number(kind, start, part)
    if not dash:
        return f"{low}/{step}" if slash else str(low)
    return ",".join(map(str, _cycle(kind, low, _number(kind, end, part))[::step]))


def _special_day(kind: _Field, term: str) -> str | None:
    """`L`, `LW`, `5L`, `friL` and `fri#2` for cronsim, or None when the term is none of them."""
    if kind is _DAY_OF_MONTH and term in ("l", "lw"):
        return term.upper()
    if kind is not _DAY_OF_WEEK:
        return None
    found = re.fullmatch(r"([a-z]{3}|[0-7])(l|#[1-5])", term)
    if not found:
        return None
    return f"{_number(kind, found[1], term)}{found[2].upper()}"


def _step(kind: _Field, text: str, part: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise _bad(kind, part, f"'{text}' is not a step: write a number from 1 on, such as '*/15'.")
    return int(text)


def _number(kind: _Field, text: str, part: str) -> int:
    if text in kind.names:
        return kind.names.index(text) + kind.low
    if _NUMBER.fullmatch(text) and kind.low <= int(text) <= kind.high:
        return int(text)
    raise _bad(kind, part, _value_hint(kind, text))


def _value_hint(kind: _Field, text: str) -> str:
    if text == "?":
        return "Write '*' instead of '?'."
    if text == "":
        return "A value is missing beside a comma, a dash or a slash."
    if text.isalpha() and text[:3] in kind.names:
        return f"Did you mean '{text[:3]}'?"
    if text == "h":
        return "Write a number: there is no 'H' here; executor.slots keeps many pipelines from running at once."
    names = f", or {kind.names[0]} to {kind.names[-1]}" if kind.names else ""
    return f"'{text}' is not a {kind.name}: it goes from {kind.low} to {kind.high}{names}."


def _bad(kind: _Field, part: str, hint: str) -> InvalidSchedule:
    return InvalidSchedule(f"'{part}' is not a valid {kind.name} field.", field=CRON_FIELD, hint=hint)


def _cycle(kind: _Field, low: int, high: int) -> list[int]:
    """The values from low to high, around the end of the field when high is the smaller: hours 22-2, days fri-mon."""
    if low <= high:
        return list(range(low, high + 1))
    first = low - kind.low
    count = (high - low) % kind.cycle + 1
    return [(first + step) % kind.cycle + kind.low for step in range(count)]
