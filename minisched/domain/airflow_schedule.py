"""When Airflow fires a pipeline that OpenMetadata's plugin made a DAG of (contract §1.18).

The plugin passes on the cron string and the end date. Airflow reads the string in UTC, whatever `pipelineTimezone`
says, and fires at the instants of the string. Of its two day fields either one suffices as soon as neither is `*`:
cron, and minisched, want both where one of them begins with `*`, as in `0 2 */2 * mon`.

`startDate` is ignored: plugins from 1.7 on put the time of the deploy in its place, earlier ones used it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from typing import Any

from minisched.domain.cron import CRON_FIELD
from minisched.domain.errors import InvalidSchedule
from minisched.domain.schedule import Schedule

# What Airflow calls presets and cron does not know.
_PRESETS = {"@quarterly": "0 0 1 */3 *"}
_ANY_DAY = ("*", "?")


@dataclass(frozen=True, slots=True)
class AirflowSchedule:
    """Airflow fires each instant of `either` once, up to `end`: one schedule, or one per day field."""

    either: tuple[Schedule, ...]
    end: datetime | None

    @classmethod
    def of(cls, airflow_config: dict[str, Any]) -> AirflowSchedule | None:
        """None for a pipeline that only runs on demand. Raises InvalidSchedule for what cannot be read here."""
        cron = _cron(airflow_config)
        if not cron:
            return None
        always = Schedule.of({"scheduleInterval": "* * * * *", "endDate": airflow_config.get("endDate")})
        return cls(tuple(_possible(_either(cron))), always.end if always else None)

    def due(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The fire times t with since < t ≤ until, ascending."""
        last = min(until, self.end) if self.end else until
        for instant, _ in groupby(merge(*(schedule.due(since, last) for schedule in self.either))):
            yield instant


def _possible(crons: list[str]) -> list[Schedule]:
    """Those that fire at all: a day field alone may never match. Raises InvalidSchedule when none does."""
    found: list[Schedule] = []
    refused: InvalidSchedule | None = None
    for cron in crons:
        try:
            found.append(Schedule.parse(cron))
        except InvalidSchedule as error:
            refused = error
    if refused is not None and not found:
        raise refused
    return found


def reads_days_otherwise(airflow_config: dict[str, Any]) -> bool:
    """Whether Airflow takes either day field where cron wants both."""
    fields = _cron(airflow_config).split()
    if len(fields) != 5 or len(_either(" ".join(fields))) == 1:
        return False
    return fields[2].startswith("*") or fields[4].startswith("*")


def _cron(airflow_config: dict[str, Any]) -> str:
    value = airflow_config.get("scheduleInterval")
    if value is not None and not isinstance(value, str):
        raise InvalidSchedule(f"scheduleInterval has to be a string, not {type(value).__name__}.", field=CRON_FIELD)
    text = (value or "").strip()
    return _PRESETS.get(text.lower(), text)


def _either(cron: str) -> list[str]:
    fields = cron.split()
    if len(fields) != 5:
        return [cron]
    minute, hour, day_of_month, month, day_of_week = ("*" if field == "?" else field for field in fields)
    if day_of_month in _ANY_DAY or day_of_week in _ANY_DAY:
        return [f"{minute} {hour} {day_of_month} {month} {day_of_week}"]
    return [f"{minute} {hour} {day_of_month} {month} *", f"{minute} {hour} * {month} {day_of_week}"]
