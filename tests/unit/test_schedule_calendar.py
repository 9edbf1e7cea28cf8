"""The proof of the calendar: every zone, random cron strings, changing clocks, against a brute-force oracle.

MINISCHED_LONG=1 compares every zone with MINISCHED_LONG_CRONS (2000) random cron strings over two years, minute by
minute: `MINISCHED_LONG=1 nice pytest -s tests/unit/test_schedule_calendar.py -k two_years`, over an hour of one core.
"""

from __future__ import annotations

import os
import re
from array import array
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from minisched.domain.errors import InvalidSchedule
from minisched.domain.schedule import Schedule
from minisched.domain.zone import stretch_at, zone_names
from tests.unit.calendar_oracle import (
    MINUTE,
    Fields,
    Window,
    ZoneMinutes,
    changes,
    listed_changes,
    random_cron,
    walk,
    zone_data,
)

ZONES = sorted(zone_names())
ODD_ZONES = ["Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca"]
LONG = bool(os.environ.get("MINISCHED_LONG"))
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fire_times(cron: str, zone: str, since: str, until: str) -> list[str]:
    """Told as local times with their offset, and checked against the oracle on the way."""
    due = list(Schedule.parse(cron, zone).due(at(since), at(until)))
    assert due == walk(cron, zone, at(since), at(until))
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for moment in due]


# What is known to go wrong elsewhere (pitfalls A1 to A9)


def test_a1_midnight_after_the_change_is_not_lost() -> None:
    new_york = ("America/New_York", "2026-03-08", "2026-03-10")
    assert fire_times("0 0 * * *", *new_york) == ["08 00:00 -0500", "09 00:00 -0400"]
    assert fire_times("30 0 * * *", *new_york) == ["08 00:30 -0500", "09 00:30 -0400"]


def test_a1_weekly_and_monthly_schedules_lose_no_week_and_no_month() -> None:
    assert fire_times("0 0 * * mon", "Europe/Berlin", "2026-03-20", "2026-04-07") == [
        "23 00:00 +0100",
        "30 00:00 +0200",
        "06 00:00 +0200",
    ]
    assert fire_times("0 0 1 * *", "Europe/Berlin", "2026-02-28", "2026-05-02") == [
        "01 00:00 +0100",
        "01 00:00 +0200",
        "01 00:00 +0200",
    ]


@pytest.mark.parametrize(
    ("cron", "zone", "day", "expected"),
    [
        ("30 2 * * *", "America/New_York", "2026-03-08", ["08 03:00 -0400", "09 02:30 -0400"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23", ["24 01:00 +0300", "25 00:00 +0300"]),
        ("0 0 * * *", "Asia/Beirut", "2026-03-28", ["29 01:00 +0300", "30 00:00 +0300"]),
        ("0 0 * * *", "America/Havana", "2026-03-08", ["08 01:00 -0400", "09 00:00 -0400"]),
        ("0 0 * * *", "America/Santiago", "2026-09-06", ["06 01:00 -0300", "07 00:00 -0300"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200", "30 02:30 +0200"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200", "30 03:00 +0200"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["30 02:00 +0200", "30 02:30 +0200"]),
        ("0 */12 * * *", "Africa/Cairo", "2026-04-23T12:00", ["24 12:00 +0300", "25 00:00 +0300", "25 12:00 +0300"]),
    ],
)
def test_a2_a_missing_time_fires_at_the_first_instant_after_the_gap(
    cron: str, zone: str, day: str, expected: list[str]
) -> None:
    until = (at(day) + 2 * DAY).isoformat()[:19]
    assert fire_times(cron, zone, day, until)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("30 1 * * *", "America/New_York", ["01 01:30 -0400"]),
        ("0 1,2 * * *", "America/New_York", ["01 01:00 -0400", "01 02:00 -0500"]),
        ("*/30 1 * * *", "America/New_York", [f"01 01:{m} {o}" for o in ("-0400", "-0500") for m in ("00", "30")]),
        ("15 * * * *", "America/New_York", ["01 01:15 -0400", "01 01:15 -0500", "01 02:15 -0500"]),
    ],
)
def test_a3_a_repeated_time_fires_once_unless_it_is_a_wildcard(cron: str, zone: str, expected: list[str]) -> None:
    assert fire_times(cron, zone, "2026-11-01T04:59", "2026-11-01T07:59") == expected


@pytest.mark.parametrize("cron", ["30 1 * * *", "*/10 * * * *", "0 0 * * *", "45 */2 * * *", "59 1,2 * * *"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll"])
def test_a4_nothing_gets_stuck_where_time_repeats(cron: str, zone: str) -> None:
    schedule = Schedule.parse(cron, zone)
    moment = at("2026-10-24")
    for _ in range(3000):
        (following,) = schedule.next(moment, 1)
        assert following > moment
        moment = following
    assert moment > at("2026-11-02")


def test_a5_the_two_passes_of_a_repeated_time_are_told_apart() -> None:
    zone = ZoneInfo("America/New_York")
    first = datetime(2026, 11, 1, 1, 30, tzinfo=zone)
    second = first.replace(fold=1)
    assert first == second, "this is the trap: an hour apart, and equal"
    every_half_hour = Schedule.parse("*/30 * * * *", zone.key)
    assert list(every_half_hour.due(first, second)) == [at("2026-11-01T06:00"), at("2026-11-01T06:30")]
    once = Schedule.parse("30 1 * * *", zone.key)
    assert list(once.due(first - MINUTE, first)) == [at("2026-11-01T05:30")]
    assert list(once.due(first, second)) == []
    assert once.next(second, 1) == [at("2026-11-02T06:30")]


@pytest.mark.parametrize(
    ("cron", "weekday"), [("0 0 * * 0", "Sun"), ("0 0 * * 7", "Sun"), ("0 0 * * 1", "Mon"), ("0 0 * * 6", "Sat")]
)
def test_a6_sunday_is_0_and_7(cron: str, weekday: str) -> None:
    assert {f"{moment:%a}" for moment in Schedule.parse(cron).next(at("2026-01-01"), 60)} == {weekday}


def test_a7_either_day_field_is_enough_when_both_are_restricted() -> None:
    days = Schedule.parse("0 0 1,15 * 1").next(at("2026-08-29"), 4)
    assert [f"{day:%a %d %b}" for day in days] == ["Mon 31 Aug", "Tue 01 Sep", "Mon 07 Sep", "Mon 14 Sep"]


def test_a8_the_nth_weekday_is_not_every_weekday() -> None:
    assert [moment.day for moment in Schedule.parse("0 0 * * mon#1").next(at("2026-01-01"), 4)] == [5, 2, 2, 6]


def test_a8_a_date_that_never_comes_is_refused_instead_of_forgotten() -> None:
    with pytest.raises(InvalidSchedule):
        Schedule.parse("0 0 31 2 *")


def test_a9_the_same_question_has_the_same_answer() -> None:
    assert Schedule.parse("7 * * * *").next(at("2026-01-01"), 50) == Schedule.parse("7 * * * *").next(
        at("2026-01-01"), 50
    )


# Zones that are unlike the others


def test_a_change_of_half_an_hour() -> None:
    autumn = ("Australia/Lord_Howe", "2026-04-04T14:00", "2026-04-04T16:00")
    assert fire_times("45 1 * * *", *autumn) == ["05 01:45 +1100"]
    assert fire_times("*/15 1 * * *", *autumn) == [
        "05 01:15 +1100",
        "05 01:30 +1100",
        "05 01:45 +1100",
        "05 01:30 +1030",
        "05 01:45 +1030",
    ]
    assert fire_times("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T20:00") == ["04 02:30 +1100"]


def test_a_change_of_two_hours() -> None:
    assert fire_times("30 1,2 * * *", "Antarctica/Troll", "2026-03-29", "2026-03-29T12:00") == ["29 03:00 +0200"]
    assert fire_times("30 1,2 * * *", "Antarctica/Troll", "2026-10-24T12:00", "2026-10-25T12:00") == [
        "25 01:30 +0200",
        "25 02:30 +0200",
    ]


def test_summer_time_that_is_the_standard_one() -> None:
    assert fire_times("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00", "2026-02-15T12:00") == ["15 02:30 +0100"]
    assert fire_times("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00", "2026-03-22T12:00") == ["22 03:00 +0100"]


def test_a_day_that_does_not_exist() -> None:
    window = ("Pacific/Apia", "2011-12-29T12:00", "2011-12-31T12:00")
    assert fire_times("0 12 * * *", *window) == ["29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"]
    assert fire_times("0 12 30 12 *", *window) == ["31 00:00 +1400"]
    assert fire_times("0 */12 30 12 *", *window) == []


def test_a_change_at_the_instant_at_which_a_utc_year_begins() -> None:
    window = ("Africa/Niamey", "1959-12-30T12:00", "1960-01-02T12:00")
    assert fire_times("30 0 * * *", *window) == ["31 00:30 +0000", "01 01:00 +0100", "02 00:30 +0100"]


def test_clocks_that_go_back_past_midnight() -> None:
    assert fire_times("5 0 * * *", "America/St_Johns", "2009-10-31T12:00", "2009-11-01T12:00") == ["01 00:05 -0330"]
    assert fire_times("*/30 23 * * sat", "America/St_Johns", "2009-10-31T12:00", "2009-11-01T12:00") == [
        "31 23:00 -0230",
        "31 23:30 -0230",
        "31 23:30 -0330",
    ]


# Every zone against the oracle


@settings(max_examples=3000 if LONG else 80, deadline=None)
@given(st.sampled_from(ZONES), st.integers(1975, 2045), st.integers(0, 99), st.randoms(use_true_random=False))
def test_random_schedules_around_a_change_of_the_clocks(zone: str, year: int, which: int, rng: Random) -> None:
    begin = datetime(year, 1, 1, tzinfo=UTC)
    found = changes(zone, begin, begin + 366 * DAY) or [begin]
    middle = found[which % len(found)]
    since, until = middle - 30 * 60 * MINUTE, middle + 30 * 60 * MINUTE
    for _ in range(3):
        cron = random_cron(rng)
        try:
            schedule = Schedule.parse(cron, zone)
        except InvalidSchedule:
            continue
        assert list(schedule.due(since, until)) == walk(cron, zone, since, until), (cron, zone, middle)


def test_every_zone_across_its_changes_of_a_year() -> None:
    for same in zones_by_data(ZONES):
        for change in changes(same[0], at("2026-01-01"), at("2027-01-01")):
            since, until = change - 5 * 60 * MINUTE, change + 5 * 60 * MINUTE
            for cron in ("0,30 0-5 * * *", "*/20 */3 * * *"):
                expected = walk(cron, same[0], since, until)
                for zone in same:
                    assert list(Schedule.parse(cron, zone).due(since, until)) == expected, (cron, zone, change)


def zones_by_data(zones: list[str]) -> list[list[str]]:
    """The zones in groups of those that are the same zone under several names."""
    return [list(same) for _, same in groupby(sorted(zones, key=zone_data), key=zone_data)]


def test_fixed_times_fire_once_per_local_day_in_every_zone() -> None:
    """Whatever the clocks do, a daily schedule fires for each date of the calendar, the missing ones too."""
    since, until = at("2011-01-01T12:00"), at("2012-12-31T12:00")
    for zone, *_ in zones_by_data(ZONES):
        due = list(Schedule.parse("30 0 * * *", zone).due(since, until))
        assert abs(len(due) - 730) <= 1, zone
        assert due == sorted(set(due)), zone


def test_changes_of_an_offset_are_days_apart_in_every_zone() -> None:
    """What `zone.py` relies on when it looks at the offset once a day."""
    closest = min((later - earlier, zone) for zone in ZONES for earlier, later in pairwise(listed_changes(zone)))
    assert timedelta(seconds=closest[0]) > 2 * DAY, closest


def test_stretches_begin_where_the_compiled_zone_lists_a_change() -> None:
    epoch = at("1970-01-01")
    for zone, *_ in zones_by_data(ZONES):
        listed = [epoch + timedelta(seconds=second) for second in listed_changes(zone)]
        expected = {moment for moment in listed if at("2010-01-01") < moment < at("2014-01-01")}
        assert _stretch_starts(zone, at("2010-01-01"), at("2014-01-01")) == expected, zone


def _stretch_starts(zone: str, moment: datetime, until: datetime) -> set[datetime]:
    """The starts of the stretches at which the offset is another one than in the stretch before."""
    info, found = ZoneInfo(zone), set()
    before = stretch_at(info, moment)
    while (stretch := stretch_at(info, before.end)).start < until:
        if stretch.offset != before.offset:
            found.add(stretch.start)
        before = stretch
    return found


# A second opinion


@settings(max_examples=2000 if LONG else 60, deadline=None)
@given(st.sampled_from(ZONES), st.integers(1975, 2037), st.integers(0, 99), st.randoms(use_true_random=False))
def test_cronsim_agrees_where_it_is_reliable(zone: str, year: int, which: int, rng: Random) -> None:
    """For fixed times always; for wildcard schedules unless clocks change at midnight or not by or at a whole hour."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    found = changes(zone, begin, begin + 366 * DAY) or [begin]
    middle = found[which % len(found)]
    since, until = middle - 3 * DAY, middle + 3 * DAY
    ordinary = all(_ordinary(change, ZoneInfo(zone)) for change in changes(zone, since, until))
    for _ in range(5):
        cron = _simple(random_cron(rng))
        if Fields(cron).wildcard and not ordinary:
            continue
        try:
            schedule = Schedule.parse(cron, zone)
        except InvalidSchedule:
            continue
        assert list(schedule.due(since, until)) == _cronsim(cron, zone, since, until), (cron, zone, middle)


def _cronsim(cron: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    found = []
    for local in CronSim(cron, since.astimezone(ZoneInfo(zone))):
        moment = local.astimezone(UTC)
        if moment > until:
            break
        found.append(moment)
    return found


def _simple(cron: str) -> str:
    """A like cron string without what cronsim does not read as we do: aliases, ranges, and names before an L."""
    if cron.startswith("@"):
        return "0 0 * * *"
    terms = [re.sub(r"(?i)[a-z]{3}L$", "5L", term.split("-")[0]) for term in re.split("([ ,])", cron)]
    return "".join(terms)


def _ordinary(change: datetime, zone: ZoneInfo) -> bool:
    before, after = (change - MINUTE).astimezone(zone), change.astimezone(zone)
    moved = (after.utcoffset() or DAY) - (before.utcoffset() or DAY)
    on_the_hour = moved % timedelta(hours=1) == timedelta(0) and after.minute == 0
    return on_the_hour and after.date() == before.date() and (before + MINUTE).date() == before.date()


# Two whole years


@pytest.mark.timeout(0)
def test_two_years_minute_by_minute(capsys: pytest.CaptureFixture[str]) -> None:
    window = Window.of(at("2026-01-01"), 730)
    crons = _crons_that_fire(_number("MINISCHED_LONG_CRONS", 2000) if LONG else 12, window)
    zones = zones_by_data(ZONES if LONG else ODD_ZONES)
    instants = 0
    for names in zones:
        oracle = ZoneMinutes(names[0], window)
        for cron, fields, local_minutes in crons:
            expected = oracle.fire_times(fields, local_minutes)
            for zone in names:
                instants += _compare(cron, zone, window, expected)
    if LONG:
        with capsys.disabled():
            names_and_data = f"{sum(map(len, zones))} zones ({len(zones)} different)"
            print(f"\n{names_and_data} × {len(crons)} crons × 2 years: {instants} instants equal")
    assert instants > 10_000


def _compare(cron: str, zone: str, window: Window, expected: list[datetime]) -> int:
    due = list(Schedule.parse(cron, zone).due(window.since - MINUTE, window.minutes[-1]))
    if due != expected:
        ours, theirs = sorted(set(due) - set(expected)), sorted(set(expected) - set(due))
        pytest.fail(f"'{cron}' in {zone}: too many {ours[:3]}, missing {theirs[:3]}")
    return len(due)


def _crons_that_fire(count: int, window: Window) -> list[tuple[str, Fields, array[int]]]:
    rng = Random(_number("MINISCHED_LONG_SEED", 1))
    found: list[tuple[str, Fields, array[int]]] = []
    while len(found) < count:
        cron = random_cron(rng)
        fields = Fields(cron)
        local_minutes = array("i", fields.local_minutes(window.local_midnight, window.local_days))
        if local_minutes:
            found.append((cron, fields, local_minutes))
    return found


def _number(name: str, otherwise: int) -> int:
    return int(os.environ.get(name, otherwise))
