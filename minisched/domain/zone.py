"""Time zones as stretches of constant offset, and what a person may have meant by an unknown zone's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from minisched.domain.errors import InvalidSchedule

ZONE_FIELD = "airflowConfig.pipelineTimezone"

# In the database's directory, but no zones: the machine's own setting, and "not set".
_NOT_ZONES = frozenset({"localtime", "Factory", "posixrules"})

# Changes of an offset are days apart (the closest ones of the IANA database are 95 hours apart), so that looking once
# a day and halving in between finds each of them.
_SAMPLE = timedelta(days=1)
_SECOND = timedelta(seconds=1)

# How far a year's stretches look back, so that a change at the very end of the year before, or at its last instant, is
# still known: no clock is set by more than a day, which is what the date line is worth.
_LOOK_BACK = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time during which a zone's offset does not change: start ≤ instant < end, in UTC.

    `reached` is the local time at which the stretch before it ended. It lies before `local_start` when the clocks were
    put forward (the times between do not exist) and after it when they were put back (the times between come twice).
    Local times are labelled UTC, so that they compare and subtract as plain numbers.
    """

    start: datetime
    end: datetime
    offset: timedelta
    reached: datetime

    @property
    def local_start(self) -> datetime:
        return self.start + self.offset

    @property
    def local_end(self) -> datetime:
        return self.end + self.offset


def load_zone(name: str) -> ZoneInfo:
    """The IANA zone of this name. Raises InvalidSchedule, with the nearest name as a hint."""
    if name not in zone_names():
        raise InvalidSchedule(
            f"'{name[:100]}' is not an IANA time zone.", field=ZONE_FIELD, hint=_zone_hint(name[:100])
        )
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """All zones that this machine (or the tzdata package) knows."""
    return frozenset(available_timezones() - _NOT_ZONES)


def stretch_at(zone: ZoneInfo, instant: datetime) -> Stretch:
    """The stretch that holds a UTC instant; a year's end also ends a stretch, with nothing changing."""
    for stretch in _stretches(zone, instant.year):
        if instant < stretch.end:
            return stretch
    raise AssertionError(f"no stretch of {zone.key} holds {instant}")


@lru_cache(maxsize=8192)
def _stretches(zone: ZoneInfo, year: int) -> tuple[Stretch, ...]:
    """The stretches of a UTC year in order. Costs 0.3 ms, once per zone and year."""
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    begin = start - _LOOK_BACK
    reached = begin + _offset(zone, begin)
    found = []
    for edge in [*_changes(zone, begin, end), end]:
        stretch = Stretch(begin, edge, _offset(zone, begin), reached)
        if edge > start:
            found.append(stretch)
        begin, reached = edge, stretch.local_end
    return tuple(found)


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The instants in (start, end) from which on the zone has another offset than just before."""
    found = []
    known, last = start, end - _SECOND
    while known < last:
        sample = min(known + _SAMPLE, last)
        if _offset(zone, sample) != _offset(zone, known):
            found.append(_first_with_another_offset(zone, known, sample))
        known = sample
    return found


def _first_with_another_offset(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = _offset(zone, before)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _zone_hint(name: str) -> str:
    if re.fullmatch(r"(?i)(utc|gmt)?\s*[+-]\d{1,2}(:?\d{2})?", name):
        return "Use a zone with a name, such as Europe/Berlin: an offset cannot tell when summer time begins."
    close = _nearest(name)
    return f"Did you mean {close}?" if close else "Use a name such as Europe/Berlin or UTC."


def _nearest(name: str) -> str | None:
    """The zone most like this name, or most like its last part: `berlin` is Europe/Berlin."""
    wanted = name.strip().replace(" ", "_").lower()
    names = {zone.lower(): zone for zone in sorted(zone_names())}
    cities = {zone.rsplit("/", 1)[-1].lower(): zone for zone in sorted(zone_names(), reverse=True)}
    for known in (names, cities):
        if wanted in known:
            return known[wanted]
    for known, cutoff in ((names, 0.8), (cities, 0.75)):
        close = get_close_matches(wanted, known, n=1, cutoff=cutoff)
        if close:
            return known[close[0]]
    return None
