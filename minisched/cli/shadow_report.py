"""`import airflow --shadow`: when the pipelines fire here and in Airflow, side by side. Nothing is asked or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

from minisched.cli.airflow_import import Found, Inventory
from minisched.cli.printing import console, table
from minisched.domain.airflow_schedule import AirflowSchedule
from minisched.domain.errors import InvalidSchedule
from minisched.domain.instant import to_ms
from minisched.domain.shadow import Shadow, shadow

Document = dict[str, Any]

_SHOWN = 200
# Further ahead nothing is looked for when Airflow names an instant that is not the next one.
_HORIZON = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """`surprise` is what Airflow itself says of its next run when that is not what its schedule says."""

    found: Found
    shadow: Shadow | None
    problem: str | None = None
    surprise: str | None = None


def compare(inventory: Inventory, since: datetime, period: timedelta) -> list[Shadowed]:
    """Over since < t ≤ since + period, each pipeline taken for enabled on both sides."""
    return [_compare(found, since, period) for found in inventory.found]


def _compare(found: Found, since: datetime, period: timedelta) -> Shadowed:
    try:
        compared = shadow(found.airflow_config, since, since + period)
        return Shadowed(found, compared, surprise=_surprise(found, since))
    except InvalidSchedule as error:
        return Shadowed(found, None, problem=str(error))


def _surprise(found: Found, since: datetime) -> str | None:
    """Airflow's next run lies in the past when its scheduler is behind or the DAG is paused: then it says nothing."""
    said = found.dag.next_fire if found.dag else None
    if said is None or said <= since:
        return None
    schedule = AirflowSchedule.of(found.airflow_config)
    expected = next(schedule.due(since, since + _HORIZON), None) if schedule else None
    if expected == said:
        return None
    return f"Airflow's database says {_time(said)}, its schedule {_time(expected)}"


def print_shadow(shadowed: Sequence[Shadowed], since: datetime, period: timedelta) -> None:
    columns = ("PIPELINE", "SCHEDULE", "#HERE", "NEXT HERE (UTC)", "#AIRFLOW", "NEXT THERE (UTC)", "WHY")
    console().print(table(columns, map(_row, shadowed)))
    same = sum(one.shadow is not None and not one.shadow.reasons for one in shadowed)
    click.echo(
        f"\n{same} of {len(shadowed)} fire at the same instants from {_time(since)} to {_time(since + period)} UTC."
    )


def _row(one: Shadowed) -> tuple[object, ...]:
    config, compared = one.found.airflow_config, one.shadow
    schedule = config.get("scheduleInterval") or "on demand"
    if compared is None:
        return one.found.config.fqn, schedule, "", "", "", "", one.problem
    why = "; ".join([*compared.reasons, *([one.surprise] if one.surprise else [])])
    here, there = compared.here, compared.there
    return (
        one.found.config.fqn,
        schedule,
        len(here),
        _time(here[0] if here else None),
        len(there),
        _time(there[0] if there else None),
        why or ("the same" if here else ""),
    )


def shadow_document(shadowed: Sequence[Shadowed], since: datetime, period: timedelta) -> Document:
    """For `--json`: instants in epoch milliseconds, at most 200 of each kind."""
    return {"from": to_ms(since), "to": to_ms(since + period), "pipelines": [_document(one) for one in shadowed]}


def _document(one: Shadowed) -> Document:
    shown: Document = {"fullyQualifiedName": one.found.config.fqn, "problem": one.problem, "surprise": one.surprise}
    if one.shadow is None:
        return shown
    return shown | {
        "here": len(one.shadow.here),
        "inAirflow": len(one.shadow.there),
        "onlyHere": [to_ms(instant) for instant in one.shadow.only_here[:_SHOWN]],
        "onlyInAirflow": [to_ms(instant) for instant in one.shadow.only_there[:_SHOWN]],
        "reasons": list(one.shadow.reasons),
    }


def _time(moment: datetime | None) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M}" if moment else "never"
