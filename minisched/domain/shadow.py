"""Two schedules side by side: when a pipeline fires here, when Airflow fires it, and why that is not the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from minisched.domain.airflow_schedule import AirflowSchedule, reads_days_otherwise
from minisched.domain.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Shadow:
    """Fire times in UTC, ascending; `reasons` is empty when both fire at the same instants."""

    here: tuple[datetime, ...]
    there: tuple[datetime, ...]
    reasons: tuple[str, ...]

    @property
    def only_here(self) -> tuple[datetime, ...]:
        return tuple(sorted(set(self.here) - set(self.there)))

    @property
    def only_there(self) -> tuple[datetime, ...]:
        return tuple(sorted(set(self.there) - set(self.here)))


def shadow(airflow_config: dict[str, Any], since: datetime, until: datetime) -> Shadow:
    """Both schedules in since < t ≤ until, both taken for enabled. Raises InvalidSchedule."""
    ours, theirs = Schedule.of(airflow_config), AirflowSchedule.of(airflow_config)
    here = tuple(ours.due(since, until)) if ours else ()
    there = tuple(theirs.due(since, until)) if theirs else ()
    if ours is None or here == there:
        return Shadow(here, there, ())
    return Shadow(here, there, tuple(_reasons(airflow_config, ours, since, until)))


def _reasons(airflow_config: dict[str, Any], ours: Schedule, since: datetime, until: datetime) -> Iterator[str]:
    if ours.timezone != "UTC":
        yield f"zone: {ours.timezone} here, UTC in Airflow"
    yield from (f"clocks of {ours.timezone} change on {day}" for day in _changes(ours, since, until))
    if reads_days_otherwise(airflow_config):
        yield "weekday: both day fields have to match here, either one in Airflow"
    if ours.start and ours.start > since:
        yield f"startDate: not before {ours.start:%Y-%m-%d %H:%M} UTC here, ignored in Airflow"


def _changes(ours: Schedule, since: datetime, until: datetime) -> list[str]:
    """The days in the period from which on the local time is another hour in UTC."""
    zone = ZoneInfo(ours.timezone)
    touched = {change.at for change in ours.clock_changes(since, until)}
    fired = list(ours.due(since, until))
    for earlier, later in pairwise(fired):
        if earlier.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            touched.add(later)
    return sorted({f"{moment.astimezone(zone):%Y-%m-%d}" for moment in touched})
