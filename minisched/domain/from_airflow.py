"""What a pipeline that Airflow's plugin ran means here: what is read otherwise, and which secrets lie open in its file.

Sentences are for people and hold no value of the document but schedules, zones, dates and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from minisched.domain.airflow_schedule import reads_days_otherwise
from minisched.domain.errors import InvalidSchedule
from minisched.domain.json_strings import strings
from minisched.domain.pipeline import Document
from minisched.domain.run import DEFAULT_RETRY_DELAY_S
from minisched.domain.schedule import Schedule
from minisched.domain.secrets import MASK, secret_values

# A secret that stays in the secrets manager of OpenMetadata, and only its name travels.
_SECRET_REFERENCE = "secret:"  # noqa: S105 - a prefix
# What Airflow replaces when it reads a file, if its environment has the name.
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[^}]+\})", re.ASCII)

_KINDS: dict[str, type] = {"name": str, "sourceConfig": dict, "airflowConfig": dict, "service": dict}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the pipeline asks for and that Airflow's plugin did otherwise. `field` is its path."""

    field: str
    text: str


def differences(document: Document, *, now: datetime) -> tuple[Difference, ...]:
    """In the order of importance: when it runs, how it runs, what it runs with."""
    config = document.get("airflowConfig") or {}
    return (*_of_schedule(config, now), *_of_runs(config), *_of_environment(document))


def clear_secrets(document: Document) -> int:
    """How many secrets the document holds in clear."""
    return sum(not value.startswith(_SECRET_REFERENCE) and value != MASK for value in secret_values(document))


def masked_secrets(document: Document) -> int:
    """How many secrets are nothing but `*********`: a run would send the asterisks."""
    return sum(value == MASK for value in secret_values(document))


def problem_with(document: object) -> str | None:
    """Why this is not the file of a pipeline, or None when it looks like one."""
    if not isinstance(document, dict):
        return f"it holds a {type(document).__name__}, not a pipeline."
    missing = [key for key in ("name", "pipelineType", "sourceConfig") if not document.get(key)]
    if missing:
        return f"it is not a pipeline: {', '.join(missing)} missing."
    odd = [key for key, kind in _KINDS.items() if not isinstance(document.get(key) or kind(), kind)]
    return f"it is not a pipeline: {', '.join(odd)} of another kind than a pipeline's." if odd else None


def _of_schedule(config: Document, now: datetime) -> Iterator[Difference]:
    cron, zone = config.get("scheduleInterval"), config.get("pipelineTimezone") or "UTC"
    if not cron:
        return
    if zone != "UTC":
        yield Difference(
            "airflowConfig.pipelineTimezone", f"'{cron}' is read in {zone}; Airflow's plugin reads it in UTC."
        )
    try:
        if reads_days_otherwise(config):
            yield Difference(
                "airflowConfig.scheduleInterval",
                f"'{cron}' fires on days that match both day fields, as cron does; Airflow takes either.",
            )
        schedule = Schedule.of(config)
    except InvalidSchedule:
        return  # whoever deploys it says what is wrong
    if schedule and schedule.start and schedule.start > now:
        yield Difference(
            "airflowConfig.startDate",
            f"It does not fire before {schedule.start:%Y-%m-%d %H:%M} UTC; plugins since 1.7 ignore startDate.",
        )
    if config.get("pipelineCatchup"):
        yield Difference(
            "airflowConfig.pipelineCatchup",
            "Instants missed while the server is down are made up for; plugins since 1.7 have none.",
        )


def _of_runs(config: Document) -> Iterator[Difference]:
    if limit := config.get("workflowTimeout"):
        yield Difference(
            "airflowConfig.workflowTimeout", f"A run ends after {limit} seconds; Airflow's plugin takes it for days."
        )
    if not (retries := config.get("retries")):
        return
    yield Difference(
        "airflowConfig.retries",
        f"Each retry, {retries} at most, is a run of its own; in Airflow they are tries of one run.",
    )
    delay = config.get("retryDelay")
    if delay not in (None, DEFAULT_RETRY_DELAY_S):
        yield Difference(
            "airflowConfig.retryDelay",
            f"A retry waits {delay} s; Airflow's plugin ignores it (Airflow's default: 300 s).",
        )


def _of_environment(document: Document) -> Iterator[Difference]:
    for path, value in strings(document):
        if _VARIABLE.search(value):
            yield Difference(
                path, "A $ stays what it is; Airflow puts an environment variable of that name in its place."
            )
