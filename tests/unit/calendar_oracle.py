"""What schedules have to do, told a second time and by brute force, so that tests can compare.

Nothing here is shared with `minisched.domain`: fields are matched value by value, and the rule for changing clocks is
cron's daemon itself, awake once every UTC minute. It looks at the local clock; a wildcard job runs when the clock shows
one of its times; for fixed-time jobs it keeps a virtual clock that never goes back and visits every local minute once.

`walk` is that and nothing more, for windows of days. `ZoneMinutes` writes down what the daemon does with every local
minute of years, once per zone, so that thousands of cron strings can be answered from one walk.

Walking by minutes needs offsets of whole minutes: true for all zones since 1972.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import NamedTuple
from zoneinfo import TZPATH, ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# Longer than any clock was ever put back: the virtual clock has caught up when a window begins.
WARM_UP = timedelta(hours=26)

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Fields:
    """The five fields of a cron string as questions about one local minute."""

    def __init__(self, text: str) -> None:
        parts = ALIASES.get(text, text).upper().split()
        self.minutes = frozenset(_values(parts[0], 0, 59))
        self.hours = frozenset(_values(parts[1], 0, 23))
        self.months = frozenset(_values(parts[3], 1, 12, MONTHS, 1))
        self.day_of_month, self.day_of_week = parts[2].split(","), parts[4].split(",")
        self.both_days = parts[2][0] == "*" or parts[4][0] == "*"
        self.wildcard = parts[0][0] == "*" or parts[1][0] == "*"
        self._days: dict[date, bool] = {}

    def match(self, local: datetime) -> bool:
        return local.minute in self.minutes and local.hour in self.hours and self.match_day(local.date())

    def match_day(self, day: date) -> bool:
        if day not in self._days:
            of_month = any(_is_day_of_month(term, day) for term in self.day_of_month)
            of_week = any(_is_day_of_week(term, day) for term in self.day_of_week)
            either = (of_month and of_week) if self.both_days else (of_month or of_week)
            self._days[day] = day.month in self.months and either
        return self._days[day]

    def local_minutes(self, midnight: datetime, days: int) -> list[int]:
        """The matching minutes of so many local days, counted from a naive midnight."""
        of_day = [60 * hour + minute for hour in range(24) for minute in range(60) if self._is_time(hour, minute)]
        matching = [day for day in range(days) if self.match_day(midnight.date() + day * DAY)]
        return [1440 * day + minute for day in matching for minute in of_day]

    def _is_time(self, hour: int, minute: int) -> bool:
        return hour in self.hours and minute in self.minutes


def _values(part: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0) -> Iterator[int]:
    for term in part.split(","):
        yield from _term_values(term, low, high, names, first)


def _term_values(term: str, low: int, high: int, names: tuple[str, ...], first: int) -> list[int]:
    def number(text: str) -> int:
        return names.index(text) + first if text in names else int(text)

    body, _, step = term.partition("/")
    if body == "*":
        start, end = low, high
    elif "-" in body:
        start, end = (number(text) for text in body.split("-"))
    else:
        start, end = number(body), (high if step else number(body))
    walked = [start]
    while walked[-1] != end:
        walked.append(low if walked[-1] == high else walked[-1] + 1)
    return walked[:: int(step or 1)]


def _is_day_of_month(term: str, day: date) -> bool:
    if term == "L":
        return (day + DAY).day == 1
    if term == "LW":
        month = [day.replace(day=number) for number in range(1, 32) if _exists(day, number)]
        return day == [each for each in month if each.isoweekday() <= 5][-1]
    return day.day in _term_values(term, 1, 31, (), 0)


def _exists(month: date, day: int) -> bool:
    try:
        month.replace(day=day)
    except ValueError:
        return False
    return True


def _is_day_of_week(term: str, day: date) -> bool:
    sunday_first = day.isoweekday() % 7
    if term.endswith("L"):
        return sunday_first == _weekday(term[:-1]) and (day + 7 * DAY).month != day.month
    if "#" in term:
        weekday, _, nth = term.partition("#")
        earlier = sum(1 for weeks in range(5) if (day - 7 * weeks * DAY).month == day.month and day.day > 7 * weeks)
        return sunday_first == _weekday(weekday) and earlier == int(nth)
    if "-" in term:
        return sunday_first in _days_of_week(term)
    return sunday_first in {value % 7 for value in _term_values(term, 0, 7, WEEKDAYS, 0)}


def _days_of_week(term: str) -> list[int]:
    """A range of weekdays: counted with Sunday as 7 when it begins before it, around the week when it has to."""
    body, _, step = term.partition("/")
    start, end = (WEEKDAYS.index(text) if text in WEEKDAYS else int(text) for text in body.split("-"))
    walked = [start]
    while walked[-1] % 7 != end % 7 or (walked[-1] == 0 and end == 7):
        walked.append(walked[-1] + 1)
    return [value % 7 for value in walked[:: int(step or 1)]]


def _weekday(text: str) -> int:
    return WEEKDAYS.index(text) if text in WEEKDAYS else int(text) % 7


def walk(cron: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    """The fire times in since < t ≤ until, by visiting every minute."""
    fields, tz = Fields(cron), ZoneInfo(zone)
    moment = since.replace(second=0, microsecond=0)
    virtual = max(_local(moment - number * MINUTE, tz) for number in range(WARM_UP // MINUTE))
    fired = []
    while (moment := moment + MINUTE) <= until:
        local = _local(moment, tz)
        if fields.wildcard:
            fires = fields.match(local)
        else:
            fires = False
            while virtual < local:
                virtual += MINUTE
                fires = fields.match(virtual) or fires
        if fires:
            fired.append(moment)
    return fired


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


@dataclass(frozen=True)
class Window:
    """Whole UTC days, with every minute as a datetime; `local_midnight` is where local minutes are counted from."""

    since: datetime
    days: int
    minutes: list[datetime] = field(repr=False)

    @classmethod
    def of(cls, since: datetime, days: int) -> Window:
        return cls(since, days, [since + number * MINUTE for number in range(1440 * days)])

    @property
    def local_midnight(self) -> datetime:
        return self.since.replace(tzinfo=None) - timedelta(days=4)

    @property
    def local_days(self) -> int:
        return self.days + 8


NEVER = -1


class ZoneMinutes:
    """What the daemon does with every local minute of a window in one zone.

    `fixed[v]` is the UTC minute in which the virtual clock visits local minute v, `shown[v]` the one in which the
    local clock first shows it, `again` the local minutes shown once more. UTC minutes are indexes into the window.
    """

    def __init__(self, zone: str, window: Window) -> None:
        self.window = window
        count = 1440 * window.local_days
        self.fixed, self.shown = [NEVER] * count, [NEVER] * count
        self.again: dict[int, list[int]] = {}
        self.changes = 0
        self._walk(ZoneInfo(zone))

    def _walk(self, zone: ZoneInfo) -> None:
        warm_up, origin = WARM_UP // MINUTE, self.window.local_midnight.replace(tzinfo=UTC)
        early = [self.window.since - number * MINUTE for number in range(warm_up, 0, -1)]
        ahead = (early[0] - origin) // MINUTE
        virtual, known, shift = 0, None, 0
        for index, moment in enumerate([*early, *self.window.minutes]):
            offset = moment.astimezone(zone).utcoffset()
            if offset != known:
                assert offset is not None
                self.changes += known is not None
                known, shift = offset, ahead + offset // MINUTE
            local, utc = index + shift, index - warm_up
            virtual = virtual or local - 1
            while virtual < local:
                virtual += 1
                self.fixed[virtual] = utc
            if self.shown[local] == NEVER:
                self.shown[local] = utc
            else:
                self.again.setdefault(local, []).append(utc)

    def fire_times(self, fields: Fields, local_minutes: Sequence[int]) -> list[datetime]:
        """All fire times in the window, of a cron string whose matching local minutes are given."""
        if not fields.wildcard:
            indexes = sorted(set(map(self.fixed.__getitem__, local_minutes)))
        else:
            indexes = list(map(self.shown.__getitem__, local_minutes))
            if self.again:
                indexes += [utc for minute in set(local_minutes) & set(self.again) for utc in self.again[minute]]
            indexes = sorted(indexes)
        minutes = self.window.minutes
        return [minutes[index] for index in indexes if index >= 0]


def changes(zone: str, since: datetime, until: datetime) -> list[datetime]:
    """The UTC minutes at which a zone's offset becomes another one: asked every quarter of a day, then by minutes."""
    tz, step = ZoneInfo(zone), timedelta(hours=6)
    found = []
    moment, offset = since, _offset(since, tz)
    while moment < until:
        if _offset(moment + step, tz) != offset:
            minutes = (moment + number * MINUTE for number in range(1, step // MINUTE + 1))
            found.append(next(minute for minute in minutes if _offset(minute, tz) != offset))
            offset = _offset(moment + step, tz)
        moment += step
    return found


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


@cache
def zone_data(zone: str) -> bytes:
    """The compiled zone; equal bytes are the same zone under two names."""
    for directory in TZPATH:
        path = Path(directory) / zone
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()


def listed_changes(zone: str) -> list[int]:
    """The epoch seconds at which a compiled zone (RFC 9636) lists a change of its offset, in order."""
    data = zone_data(zone)
    first = _header(data, 0)
    size = 5 * first.times + 6 * first.types + first.letters + 8 * first.leaps + first.standard + first.universal
    at = 44 + size
    header = _header(data, at)
    times = struct.unpack_from(f">{header.times}q", data, at + 44)
    kinds = struct.unpack_from(f"{header.times}B", data, at + 44 + 8 * header.times)
    types = at + 44 + 9 * header.times
    offsets = [struct.unpack_from(">i", data, types + 6 * kind)[0] for kind in range(header.types)]
    shown = [offsets[kind] for kind in kinds]
    return [times[n] for n in range(1, len(times)) if shown[n] != shown[n - 1]]


class _Header(NamedTuple):
    universal: int
    standard: int
    leaps: int
    times: int
    types: int
    letters: int


def _header(data: bytes, at: int) -> _Header:
    return _Header(*struct.unpack_from(">6l", data, at + 20))


def random_cron(rng: Random) -> str:
    """A cron string of any shape: most fire a few times a day, often when clocks change, some hardly ever or never."""
    if rng.random() < 0.02:
        return rng.choice(list(ALIASES))
    minute = _pick(rng, (20, lambda: _some(rng, 0, 59, 2)), (1, lambda: _stepped(rng, 0, 59)), (0.1, lambda: "*"))
    hour = _pick(
        rng,
        (10, lambda: str(rng.choice([0, 1, 2, 3, 23]))),
        (10, lambda: _some(rng, 0, 23, 3)),
        (4, lambda: _stepped(rng, 0, 23)),
        (1, lambda: "*"),
    )
    day = _pick(
        rng,
        (10, lambda: "*"),
        (3, lambda: _some(rng, 1, 31, 3)),
        (1, lambda: _stepped(rng, 1, 31)),
        (1, lambda: rng.choice(["L", "LW", "15,L", "L,1"])),
    )
    month = _pick(
        rng, (12, lambda: "*"), (2, lambda: _some(rng, 1, 12, 3, MONTHS, 1)), (1, lambda: _stepped(rng, 1, 12))
    )
    weekday = _pick(
        rng,
        (10, lambda: "*"),
        (3, lambda: _some(rng, 0, 7, 3, WEEKDAYS, 0)),
        (1, lambda: _stepped(rng, 0, 7)),
        (1, lambda: f"{rng.choice([*WEEKDAYS, *'01234567'])}#{rng.randint(1, 5)}"),
        (1, lambda: f"{rng.choice([*WEEKDAYS, *'01234567'])}L"),
    )
    text = f"{minute} {hour} {day} {month} {weekday}"
    return text if rng.random() < 0.5 else text.lower()


def _pick(rng: Random, *choices: tuple[float, Callable[[], str]]) -> str:
    (_, make) = rng.choices(choices, [weight for weight, _ in choices])[0]
    return make()


def _some(rng: Random, low: int, high: int, most: int, names: tuple[str, ...] = (), first: int = 0) -> str:
    """A comma list of values and, now and then, ranges (also ones that wrap around, also with a step)."""

    def value() -> str:
        number = rng.randint(low, high)
        named = names and number - first < len(names) and rng.random() < 0.5
        return names[number - first] if named else str(number)

    terms = []
    for _ in range(rng.randint(1, most)):
        shape = rng.random()
        if shape < 0.75:
            terms.append(value())
        else:
            terms.append(f"{value()}-{value()}" + (f"/{rng.randint(1, 9)}" if shape > 0.85 else ""))
    return ",".join(terms)


def _stepped(rng: Random, low: int, high: int) -> str:
    step = rng.randint(1, max(2, (high - low) // 2))
    return f"*/{step}" if rng.random() < 0.7 else f"{rng.randint(low, high)}/{step}"
