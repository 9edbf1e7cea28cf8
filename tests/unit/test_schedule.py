"""What a caller of Schedule may rely on: bounds, dates, refusals, remarks, speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from minisched.domain.errors import InvalidSchedule
from minisched.domain.schedule import Schedule, validate

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BERLIN_SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
NEW_YORK_AUTUMN = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def shown(moments: list[datetime]) -> list[str]:
    return [f"{moment:%m-%d %H:%M}" for moment in moments]


def refusal(**airflow_config: Any) -> InvalidSchedule:
    with pytest.raises(InvalidSchedule) as caught:
        validate({"scheduleInterval": "0 2 * * *", **airflow_config})
    return caught.value


# Instants


def test_since_is_exclusive_and_until_inclusive() -> None:
    schedule = Schedule.parse("*/10 * * * *")
    assert shown(list(schedule.due(NOON, NOON + 20 * MINUTE))) == ["05-05 12:10", "05-05 12:20"]
    tick = timedelta(microseconds=1)
    assert shown(list(schedule.due(NOON - tick, NOON))) == ["05-05 12:00"]
    assert list(schedule.due(NOON, NOON + 10 * MINUTE - tick)) == []
    assert list(schedule.due(NOON, NOON)) == []
    assert list(schedule.due(NOON, NOON - 60 * MINUTE)) == []


def test_consecutive_windows_hold_every_instant_once() -> None:
    schedule = Schedule.parse("*/7 1-3 * * *", "Australia/Lord_Howe")
    begin, end = datetime(2026, 4, 3, tzinfo=UTC), datetime(2026, 4, 7, tzinfo=UTC)
    whole = list(schedule.due(begin, end))
    pieces: list[datetime] = []
    since, step = begin, timedelta(seconds=913, microseconds=7)
    while since < end:
        pieces += schedule.due(since, min(since + step, end))
        since += step
    assert pieces == whole
    assert len(whole) > 60


def test_fire_times_are_aware_utc_datetimes_on_the_minute() -> None:
    for moment in Schedule.parse("30 2 * * *", "Asia/Kolkata").next(NOON, 5):
        assert moment.tzinfo is UTC
        assert (moment.hour, moment.minute, moment.second, moment.microsecond) == (21, 0, 0, 0)


def test_other_zones_are_understood_as_input() -> None:
    schedule = Schedule.parse("0 2 * * *")
    assert schedule.next(NOON.astimezone(ZoneInfo("Asia/Tokyo")), 1) == schedule.next(NOON, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda schedule, naive: schedule.due(naive, NOON),
        lambda schedule, naive: schedule.due(NOON, naive),
        lambda schedule, naive: schedule.next(naive, 1),
        lambda schedule, naive: schedule.explain(naive),
        lambda schedule, naive: Schedule.parse("0 2 * * *", start=naive),
        lambda schedule, naive: Schedule.parse("0 2 * * *", end=naive),
    ],
)
def test_naive_datetimes_are_a_value_error_at_once(call: Callable[[Schedule, datetime], object]) -> None:
    with pytest.raises(ValueError, match="naive datetime"):
        call(Schedule.parse("0 2 * * *"), NOON.replace(tzinfo=None))


def test_next_gives_as_many_as_asked_for() -> None:
    schedule = Schedule.parse("0 2 * * *")
    assert schedule.next(NOON, 0) == []
    assert shown(schedule.next(NOON, 2)) == ["05-06 02:00", "05-07 02:00"]


def test_rare_schedules_are_found_decades_ahead() -> None:
    assert [moment.year for moment in Schedule.parse("0 0 * 2 mon#5", "Europe/Berlin").next(NOON, 2)] == [2044, 2072]


def test_time_has_an_end() -> None:
    assert Schedule.parse("0 2 * * *", "Pacific/Kiritimati").next(datetime(9999, 12, 31, tzinfo=UTC), 1) == []
    assert Schedule.parse("0 2 * * *").next(datetime(1, 1, 1, tzinfo=UTC), 1) == [datetime(1900, 1, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_there_is_nothing_to_say_about_the_ends_of_time(moment: datetime) -> None:
    schedule = Schedule.parse("0 2 * * *", "America/New_York")
    assert schedule.explain(moment) is None
    assert schedule.made_up(moment) == []
    assert list(schedule.clock_changes(moment, moment)) == []


def test_asking_changes_nothing() -> None:
    schedule = Schedule.parse("0 2 * * *", "Europe/Berlin")
    first = schedule.next(NOON, 5)
    schedule.next(NOON + timedelta(days=100), 5)
    assert schedule.next(NOON, 5) == first


def test_equal_schedules_are_equal() -> None:
    assert Schedule.parse(" 0 2 * * * ", "Europe/Berlin") == Schedule.parse("0 2 * * *", "Europe/Berlin")
    assert Schedule.parse("0 2 * * *", "Europe/Berlin") != Schedule.parse("0 2 * * *", "Europe/Paris")
    assert len({Schedule.parse("0 2 * * *"), Schedule.parse("0 2 * * *")}) == 1


# startDate and endDate


def test_start_and_end_are_the_first_and_last_possible_instants() -> None:
    start, end = datetime(2026, 5, 7, 2, tzinfo=UTC), datetime(2026, 5, 9, 2, tzinfo=UTC)
    schedule = Schedule.parse("0 2 * * *", start=start, end=end)
    assert shown(schedule.next(NOON, 10)) == ["05-07 02:00", "05-08 02:00", "05-09 02:00"]
    assert list(schedule.due(NOON, start)) == [start]
    assert list(schedule.due(end, NOON + timedelta(days=365))) == []


def test_a_missing_time_is_made_up_for_only_between_the_dates() -> None:
    late = Schedule.parse("30 2 * * *", "Europe/Berlin", start=BERLIN_SPRING + MINUTE)
    assert shown(late.next(BERLIN_SPRING - MINUTE, 1)) == ["03-30 00:30"]
    assert late.explain(BERLIN_SPRING) is None
    exact = Schedule.parse("30 2 * * *", "Europe/Berlin", start=BERLIN_SPRING, end=BERLIN_SPRING)
    assert exact.next(BERLIN_SPRING - timedelta(days=9), 9) == [BERLIN_SPRING]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-10T00:00:00Z", "05-10 00:30"),
        ("2026-05-10T00:00:00.000Z", "05-10 00:30"),
        ("2026-05-10T02:30:00+02:00", "05-10 00:30"),
        ("2026-05-10T02:31:00+02:00", "05-11 00:30"),
        ("2026-05-10T02:30:00", "05-10 00:30"),
        ("2026-05-10", "05-10 00:30"),
        (1778371200000, "05-10 00:30"),
        ("", "05-06 00:30"),
        (None, "05-06 00:30"),
    ],
)
def test_dates_are_iso_8601_in_the_pipelines_zone_unless_they_say_otherwise(text: object, expected: str) -> None:
    config = {"scheduleInterval": "30 2 * * *", "pipelineTimezone": "Europe/Berlin", "startDate": text}
    schedule = Schedule.of(config)
    assert schedule is not None
    assert shown(schedule.next(NOON, 1)) == [expected]


@pytest.mark.parametrize("value", ["tomorrow", "2026-13-01", "2026-02-30T00:00:00Z", True, {}, 10**20])
def test_bad_dates_are_refused(value: object) -> None:
    for key in ("startDate", "endDate"):
        error = refusal(**{key: value})
        assert error.field == f"airflowConfig.{key}"
        assert "is not a date" in error.message
        assert "2026-03-29T02:30:00+02:00" in (error.hint or "")


def test_an_end_before_the_start_is_refused() -> None:
    error = refusal(startDate="2026-05-10", endDate="2026-05-09")
    assert error.field == "airflowConfig.endDate"
    assert "is before startDate" in error.message


def test_dates_with_no_fire_time_between_them_are_refused() -> None:
    error = refusal(scheduleInterval="0 0 29 2 *", startDate="2026-01-01", endDate="2027-12-31")
    assert error.field == "airflowConfig.endDate"
    assert "never fires between" in error.message


def test_a_schedule_that_has_ended_can_still_be_deployed() -> None:
    validate({"scheduleInterval": "0 2 * * *", "endDate": "2020-01-01T00:00:00Z"})


# airflowConfig


@pytest.mark.parametrize("cron", [None, "", "   "])
def test_no_cron_string_means_on_demand(cron: str | None) -> None:
    assert Schedule.of({"scheduleInterval": cron}) is None
    assert Schedule.of({}) is None


@pytest.mark.parametrize("zone", [None, "", "UTC"])
def test_the_default_zone_is_utc(zone: str | None) -> None:
    schedule = Schedule.of({"scheduleInterval": "@daily", "pipelineTimezone": zone})
    assert schedule is not None
    assert (schedule.cron, schedule.timezone) == ("@daily", "UTC")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "Did you mean Europe/Berlin?"),
        ("Europe/Berln", "Did you mean Europe/Berlin?"),
        ("Berlin", "Did you mean Europe/Berlin?"),
        ("new york", "Did you mean America/New_York?"),
        ("America/Los Angeles", "Did you mean America/Los_Angeles?"),
        ("UTC+2", "an offset cannot tell"),
        ("+02:00", "an offset cannot tell"),
        ("Mars/Olympus_Mons", "Use a name such as"),
        ("../../etc/passwd", "Use a name such as"),
        ("/etc/localtime", "Use a name such as"),
        ("Europe", "Europe/"),
        ("localtime", "Use a name such as"),
        ("x" * 5000, "Use a name such as"),
    ],
)
def test_unknown_zones_are_refused_with_the_nearest_name(zone: str, hint: str) -> None:
    error = refusal(pipelineTimezone=zone)
    assert error.field == "airflowConfig.pipelineTimezone"
    assert hint in (error.hint or "")
    assert len(str(error)) < 400


@pytest.mark.parametrize("key", ["scheduleInterval", "pipelineTimezone"])
@pytest.mark.parametrize("value", [5, True, ["0 2 * * *"], {"cron": "0 2 * * *"}])
def test_only_strings_are_schedules_and_zones(key: str, value: object) -> None:
    error = refusal(**{key: value})
    assert error.field == f"airflowConfig.{key}"
    assert "has to be a string" in error.message


def test_a_bad_cron_string_is_refused_with_its_field() -> None:
    error = refusal(scheduleInterval="61 * * * *")
    assert error.field == "airflowConfig.scheduleInterval"
    assert "'61' is not a valid minute field." in str(error)


# Remarks


@pytest.mark.parametrize(
    ("cron", "zone", "instant", "remark"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            BERLIN_SPRING,
            "local time 02:30 does not exist that day; fires at 03:00",
        ),
        (
            "*/20,5 2 * * *",
            "Europe/Berlin",
            BERLIN_SPRING,
            None,
        ),
        (
            "0-59/20 2 * * *",
            "Europe/Berlin",
            BERLIN_SPRING,
            "local times 02:00 to 02:40 do not exist that day; fires once at 03:00",
        ),
        (
            "0 12 * * *",
            "Pacific/Apia",
            datetime(2011, 12, 30, 10, tzinfo=UTC),
            "local time 2011-12-30 12:00 does not exist that day; fires at 2011-12-31 00:00",
        ),
        ("30 2 * * *", "Europe/Berlin", BERLIN_SPRING + timedelta(hours=23, minutes=30), None),
        ("30 1 * * *", "America/New_York", NEW_YORK_AUTUMN, "local time 01:30 happens twice; fires at the first"),
        (
            "30 1 * * *",
            "America/New_York",
            NEW_YORK_AUTUMN + timedelta(hours=1),
            "local time 01:30 happens twice; fires at the first",
        ),
        ("45 1 * * *", "America/New_York", NEW_YORK_AUTUMN, None),
        (
            "*/30 * * * *",
            "America/New_York",
            NEW_YORK_AUTUMN,
            "local time 01:30 happens twice; fires at both, this is the first",
        ),
        (
            "*/30 * * * *",
            "America/New_York",
            NEW_YORK_AUTUMN + timedelta(hours=1),
            "local time 01:30 happens twice; fires at both, this is the second",
        ),
        ("30 1 * * *", "UTC", NEW_YORK_AUTUMN, None),
    ],
)
def test_changes_of_the_clocks_are_explained(cron: str, zone: str, instant: datetime, remark: str | None) -> None:
    assert Schedule.parse(cron, zone).explain(instant) == remark


def test_made_up_names_the_local_times_that_do_not_exist() -> None:
    schedule = Schedule.parse("0,30 2 * * *", "Europe/Berlin")
    assert [f"{local}" for local in schedule.made_up(BERLIN_SPRING)] == ["2026-03-29 02:00:00", "2026-03-29 02:30:00"]
    assert all(local.tzinfo is None for local in schedule.made_up(BERLIN_SPRING))
    assert schedule.made_up(BERLIN_SPRING + timedelta(days=1)) == []
    assert Schedule.parse("*/30 2 * * *", "Europe/Berlin").made_up(BERLIN_SPRING) == []


def test_clock_changes_name_what_they_do_to_a_schedule() -> None:
    year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)

    def told(cron: str) -> list[tuple[str, ...]]:
        return [
            (
                f"{change.at:%m-%d %H:%M}",
                f"{change.local_before:%H:%M}-{change.local_after:%H:%M}",
                *(
                    f"{name} {' '.join(f'{local:%H:%M}' for local in getattr(change, name))}"
                    for name in ("made_up", "lost", "once", "doubled")
                    if getattr(change, name)
                ),
            )
            for change in Schedule.parse(cron, "Europe/Berlin").clock_changes(*year)
        ]

    assert told("15,45 2 * * *") == [
        ("03-29 01:00", "02:00-03:00", "made_up 02:15 02:45"),
        ("10-25 01:00", "03:00-02:00", "once 02:15 02:45"),
    ]
    assert told("*/30 2 * * *") == [
        ("03-29 01:00", "02:00-03:00", "lost 02:00 02:30"),
        ("10-25 01:00", "03:00-02:00", "doubled 02:00 02:30"),
    ]
    assert told("0 3 * * *") == []
    assert told("15 4 * * *") == []


def test_a_change_around_new_year_is_told_once() -> None:
    schedule = Schedule.parse("0 12 * * *", "Pacific/Apia")
    decade = schedule.clock_changes(datetime(2005, 1, 1, tzinfo=UTC), datetime(2015, 1, 1, tzinfo=UTC))
    assert [change.at for change in decade] == [datetime(2011, 12, 30, 10, tzinfo=UTC)]


# Speed: bounds far above what is measured, there to notice a walk by minutes or days


def fastest(call: Callable[[], object], times: int = 20) -> float:
    def seconds() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return min(seconds() for _ in range(times))


@pytest.mark.parametrize("cron", ["0 2 * * *", "* * * * *", "0 0 29 2 *", "15 3 L * *", "0 22-2 * * fri#2"])
def test_next_is_fast(cron: str) -> None:
    schedule = Schedule.parse(cron, "Europe/Berlin")
    assert fastest(lambda: schedule.next(NOON, 1)) < 0.001


def test_a_day_of_minutes_is_fast() -> None:
    schedule = Schedule.parse("* * * * *", "Europe/Berlin")
    assert len(list(schedule.due(NOON, NOON + timedelta(days=1)))) == 1440
    assert fastest(lambda: list(schedule.due(NOON, NOON + timedelta(days=1)))) < 0.005


def test_fixed_offsets_are_accepted_as_input_too() -> None:
    offset = timezone(timedelta(hours=5, minutes=30))
    assert Schedule.parse("0 2 * * *").next(NOON.astimezone(offset), 1) == Schedule.parse("0 2 * * *").next(NOON, 1)
