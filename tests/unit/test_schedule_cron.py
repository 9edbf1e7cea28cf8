"""Which cron strings are understood, and what is said about the others."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minisched.domain.cron import Cron
from minisched.domain.errors import InvalidSchedule
from tests.unit.calendar_oracle import Fields, random_cron

FAR = date(2080, 1, 1)


def first_days(text: str, count: int, since: date = date(2026, 1, 1)) -> list[str]:
    return [f"{day:%a %d %b %y}" for day in islice(Cron.parse(text).days(since, FAR), count)]


def times(text: str) -> list[str]:
    return [f"{datetime(2026, 1, 1, tzinfo=UTC) + offset:%H:%M}" for offset in Cron.parse(text).times]


def refusal(text: str) -> InvalidSchedule:
    with pytest.raises(InvalidSchedule) as caught:
        Cron.parse(text)
    assert caught.value.field == "airflowConfig.scheduleInterval"
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["02:30"]),
        ("0,30 2,4 * * *", ["02:00", "02:30", "04:00", "04:30"]),
        ("0 8-18/4 * * *", ["08:00", "12:00", "16:00"]),
        ("0 */6 * * *", ["00:00", "06:00", "12:00", "18:00"]),
        ("50-10/10 3 * * *", ["03:00", "03:10", "03:50"]),
        ("0 22-2 * * *", ["00:00", "01:00", "02:00", "22:00", "23:00"]),
        ("0 22-2/2 * * *", ["00:00", "02:00", "22:00"]),
        ("5/20 1 * * *", ["01:05", "01:25", "01:45"]),
        ("5-5/2 1 * * *", ["01:05"]),
        ("0 */90 * * *", ["00:00"]),
    ],
)
def test_times_of_a_day(text: str, expected: list[str]) -> None:
    assert times(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 * * 0", ["Sun 04 Jan 26", "Sun 11 Jan 26"]),
        ("0 0 * * 7", ["Sun 04 Jan 26", "Sun 11 Jan 26"]),
        ("0 0 * * Sun", ["Sun 04 Jan 26", "Sun 11 Jan 26"]),
        ("0 0 * * FRI-MON", ["Fri 02 Jan 26", "Sat 03 Jan 26", "Sun 04 Jan 26", "Mon 05 Jan 26", "Fri 09 Jan 26"]),
        ("0 0 * * fri-mon/2", ["Fri 02 Jan 26", "Sun 04 Jan 26", "Fri 09 Jan 26"]),
        ("0 0 * * 7-1", ["Sun 04 Jan 26", "Mon 05 Jan 26", "Sun 11 Jan 26"]),
        ("0 0 * * 6-7", ["Sat 03 Jan 26", "Sun 04 Jan 26", "Sat 10 Jan 26"]),
        ("0 0 * * */3", ["Sat 03 Jan 26", "Sun 04 Jan 26", "Wed 07 Jan 26"]),
        ("0 0 L * *", ["Sat 31 Jan 26", "Sat 28 Feb 26"]),
        ("0 0 LW * *", ["Fri 30 Jan 26", "Fri 27 Feb 26"]),
        ("0 0 * * fri#2", ["Fri 09 Jan 26", "Fri 13 Feb 26"]),
        ("0 0 * * 5L", ["Fri 30 Jan 26", "Fri 27 Feb 26"]),
        ("0 0 * * friL", ["Fri 30 Jan 26", "Fri 27 Feb 26"]),
        ("0 0 1 nov-feb *", ["Thu 01 Jan 26", "Sun 01 Feb 26", "Sun 01 Nov 26", "Tue 01 Dec 26"]),
        ("0 0 30-2 * *", ["Thu 01 Jan 26", "Fri 02 Jan 26", "Fri 30 Jan 26", "Sat 31 Jan 26", "Sun 01 Feb 26"]),
        ("0 0 29 2 *", ["Tue 29 Feb 28", "Sun 29 Feb 32"]),
        ("0 0 * 2 mon#5", ["Mon 29 Feb 44", "Mon 29 Feb 72"]),
    ],
)
def test_days(text: str, expected: list[str]) -> None:
    assert first_days(text, len(expected)) == expected


def test_a_day_has_to_match_either_of_two_restricted_day_fields() -> None:
    assert first_days("0 0 13 * fri", 4) == ["Fri 02 Jan 26", "Fri 09 Jan 26", "Tue 13 Jan 26", "Fri 16 Jan 26"]


def test_a_day_has_to_match_both_day_fields_when_one_begins_with_a_star() -> None:
    assert first_days("0 0 */2 * fri", 3) == ["Fri 09 Jan 26", "Fri 23 Jan 26", "Fri 13 Feb 26"]


@pytest.mark.parametrize(
    ("alias", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
    ],
)
def test_aliases(alias: str, fields: str) -> None:
    assert times(alias) == times(fields)
    assert first_days(alias, 30) == first_days(fields, 30)
    assert Cron.parse(alias).wildcard == Cron.parse(fields).wildcard


@pytest.mark.parametrize(
    ("text", "wildcard"),
    [("0 2 * * *", False), ("@daily", False), ("0,*/30 2 * * *", False), ("*/30 2 * * *", True), ("0 * * * *", True)],
)
def test_wildcard_schedules_are_those_whose_minute_or_hour_begins_with_a_star(text: str, wildcard: bool) -> None:
    assert Cron.parse(text).wildcard is wildcard


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("0 0 2 * * *", "has 6 fields", "without them this would be '0 2 * * *'"),
        ("0 0 2 ? * mon 2026", "has 7 fields", "without them this would be '0 2 * * mon'"),
        ("0 2 * *", "has 4 fields", "minute, hour, day-of-month, month, day-of-week"),
        ("", "has 0 fields", "Five fields are needed"),
        ("daily", "has 1 field.", "Five fields are needed"),
        ("@reboot", "'@reboot' is not a schedule alias", "trigger it"),
        ("@once", "not a schedule alias", "Leave the schedule empty"),
        ("@every 5m", "'@every 5m' is not a schedule alias", "*/5 * * * *"),
        ("@dayly", "not a schedule alias", "Did you mean @daily?"),
        ("@sometimes", "not a schedule alias", "@hourly"),
        ("@daily 5", "'@daily 5' is not a schedule alias", "@daily"),
        ("60 * * * *", "'60' is not a valid minute field", "from 0 to 59"),
        ("0 24 * * *", "'24' is not a valid hour field", "from 0 to 23"),
        ("0 0 0 * *", "'0' is not a valid day-of-month field", "from 1 to 31"),
        ("0 0 1,32 * *", "'1,32' is not a valid day-of-month field", "'32' is not a day-of-month"),
        ("0 0 * 13 *", "'13' is not a valid month field", "jan to dec"),
        ("0 0 * * 8", "'8' is not a valid day-of-week field", "sun to sat"),
        ("0 0 * * monday", "'monday' is not a valid day-of-week field", "Did you mean 'mon'?"),
        ("0 0 * january *", "'january' is not a valid month field", "Did you mean 'jan'?"),
        ("0 0 ? * mon", "day-of-month field", "Write '*' instead of '?'"),
        ("H 2 * * *", "minute field", "Write a number"),
        ("*/0 * * * *", "'*/0' is not a valid minute field", "from 1 on"),
        ("*/ * * * *", "'*/' is not a valid minute field", "'' is not a step"),
        ("*/-5 * * * *", "minute field", "'-5' is not a step"),
        ("1,,2 * * * *", "'1,,2' is not a valid minute field", "A value is missing"),
        ("1- * * * *", "'1-' is not a valid minute field", "A value is missing"),
        ("-5 * * * *", "minute field", "A value is missing"),
        ("1.5 * * * *", "minute field", "'1.5' is not a minute"),
        ("٣ * * * *", "minute field", "'٣' is not a minute"),
        ("0 0 * * fri#6", "day-of-week field", "'fri#6' is not a day-of-week"),
        ("0 0 * * 1-5#1", "day-of-week field", "'5#1' is not a day-of-week"),
        ("0 0 15W * *", "day-of-month field", "'15w' is not a day-of-month"),
        ("0 0 31 2 *", "'0 0 31 2 *' never fires", "'31 2' never occurs"),
        ("0 0 31 4,6,9,11 *", "never fires", "'31 4,6,9,11' never occurs"),
        ("0 0 */30 2 mon#5", "never fires", "both day fields have to match"),
        ("0" * 1001, "longer than 1000 characters", ""),
    ],
)
def test_refusals_name_the_value_and_a_remedy(text: str, message: str, hint: str) -> None:
    error = refusal(text)
    assert message in error.message
    assert hint in (error.hint or "")


def test_a_schedule_that_never_fires_is_refused_quickly() -> None:
    for text in ("0 0 31 2 *", "* * 30,31 feb *", "0 0 */30 2 mon#5", "0 0 31 4 */7"):
        started = time.perf_counter()
        refusal(text)
        assert time.perf_counter() - started < 0.25


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_refused_exactly_when_no_day_of_any_kind_of_year_matches(rng: Random) -> None:
    text = random_cron(rng)
    fields = Fields(text)
    fires = any(fields.match_day(date(2000, 1, 1) + timedelta(days=day)) for day in range(28 * 366))
    if not fires:
        refusal(text)
    else:
        Cron.parse(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,#LWlw@ monjanx?", max_size=20))
def test_any_text_is_understood_or_refused_with_the_field_and_a_hint(text: str) -> None:
    assert _error(text) in (None, ("airflowConfig.scheduleInterval", True))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="0123456789*/-,#LWlmonjafrisu", min_size=1, max_size=6), min_size=5, max_size=5))
def test_any_five_words_are_understood_or_refused_with_the_field_and_a_hint(words: list[str]) -> None:
    assert _error(" ".join(words)) in (None, ("airflowConfig.scheduleInterval", True))


def _error(text: str) -> tuple[str | None, bool] | None:
    try:
        Cron.parse(text)
    except InvalidSchedule as error:
        return error.field, bool(error.hint)
    return None
