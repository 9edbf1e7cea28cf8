"""What pipelines of Airflow mean here: payloads of several lines of the plugin, as small as they can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minisched.domain.airflow_schedule import AirflowSchedule, reads_days_otherwise
from minisched.domain.errors import InvalidSchedule
from minisched.domain.from_airflow import clear_secrets, differences, masked_secrets, problem_with
from minisched.domain.pipeline import Document
from minisched.domain.shadow import Shadow, shadow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def payload(config: Document | None = None, **changes: Any) -> Document:
    """As plugins write it: what was not set is null."""
    return {
        "id": "9e555cea-6a5a-4fe5-a9ad-4ff65efc8289",
        "name": "shop daily",
        "pipelineType": "metadata",
        "fullyQualifiedName": "mysql.shop daily",
        "sourceConfig": {"config": {"type": "DatabaseMetadata", "schemaFilterPattern": {"includes": ["^shop$"]}}},
        "openMetadataServerConnection": {"hostPort": "http://om:8585/api", "securityConfig": {"jwtToken": "eyJ.a.b"}},
        "airflowConfig": {
            "scheduleInterval": "0 2 * * *",
            "startDate": None,
            "pipelineTimezone": "UTC",
            "retries": 0,
            "retryDelay": 300,
            "pipelineCatchup": False,
            "workflowTimeout": None,
            **(config or {}),
        },
        "pipelineStatuses": None,
        **changes,
    }


def fields(document: Document) -> list[str]:
    return [difference.field for difference in differences(document, now=NOW)]


@pytest.mark.parametrize(
    "document",
    [
        payload(owner={"id": "1", "type": "user"}, pipelineStatuses={"runId": "1", "pipelineState": "success"}),
        payload(owners=[{"id": "1", "type": "user"}], domain={"id": "2", "type": "domain"}),
        payload(domains=[], followers=None, impersonatedBy=None, pipelineStatuses=[]),
        payload({"scheduleInterval": None, "pipelineTimezone": "Europe/Berlin", "pipelineCatchup": True}),
        payload({"startDate": "2022-10-01T00:00:00+00:00"}),
    ],
    ids=["0.13", "1.5", "2.0", "on demand", "started"],
)
def test_a_payload_of_any_line_means_the_same_where_it_asks_for_nothing_special(document: Document) -> None:
    assert problem_with(document) is None
    assert fields(document) == []


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        ({"pipelineTimezone": "Europe/Berlin"}, "pipelineTimezone", "Europe/Berlin; Airflow's plugin reads it in UTC"),
        ({"scheduleInterval": "0 2 */2 * mon"}, "scheduleInterval", "Airflow takes either"),
        ({"startDate": "2026-06-01"}, "startDate", "2026-06-01 00:00 UTC"),
        ({"pipelineCatchup": True}, "pipelineCatchup", "made up for"),
        ({"workflowTimeout": 3600}, "workflowTimeout", "3600 seconds"),
        ({"retries": 2}, "retries", "2 at most"),
    ],
)
def test_what_is_read_otherwise_is_named_with_its_value(config: Document, field: str, said: str) -> None:
    (difference,) = differences(payload(config), now=NOW)
    assert difference.field == f"airflowConfig.{field}"
    assert said in difference.text


def test_a_delay_matters_only_with_retries() -> None:
    assert fields(payload({"retryDelay": 60})) == []
    assert fields(payload({"retryDelay": 60, "retries": 1})) == ["airflowConfig.retries", "airflowConfig.retryDelay"]


@pytest.mark.parametrize("value", ["a$HOME", "${PASSWORD}x"])
def test_what_airflow_would_have_expanded_is_named_by_its_place_and_not_by_its_value(value: str) -> None:
    document = payload(sourceConfig={"config": {"type": "Custom", "list": [{"password": value}]}})
    (difference,) = differences(document, now=NOW)
    assert difference.field == "sourceConfig.config.list[0].password"
    assert value not in difference.text


def test_a_schedule_that_cannot_be_read_is_left_to_whoever_deploys_it() -> None:
    assert fields(payload({"scheduleInterval": "@once", "workflowTimeout": 5})) == ["airflowConfig.workflowTimeout"]


def test_secrets_in_clear_are_counted_and_references_are_not() -> None:
    document = payload(appPrivateConfig={"token": "s3cret", "list": ["other", "secret:/in/the/manager"]})
    assert clear_secrets(document) == 3
    document["openMetadataServerConnection"]["securityConfig"]["jwtToken"] = "secret:/bot/jwt"
    assert clear_secrets(document) == 2
    document["openMetadataServerConnection"]["securityConfig"]["jwtToken"] = "*********"
    assert (clear_secrets(document), masked_secrets(document)) == (2, 1)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "a list"),
        ("text", "a str"),
        (None, "a NoneType"),
        ({"name": "x"}, "pipelineType, sourceConfig missing"),
        ({"name": "", "pipelineType": "metadata", "sourceConfig": {}}, "name, sourceConfig missing"),
    ],
)
def test_what_is_no_pipeline_is_told(document: object, said: str) -> None:
    assert said in (problem_with(document) or "")


# --- when Airflow fires -----------------------------------------------------------------------------------------------

# Instants from 2026-01-01 00:00:30 to 2026-04-01, as CronTriggerTimetable of Airflow 3.3.2 (croniter) has them.
OBSERVED = {
    "0 2 * * *": (90, "2026-01-01T02:00"),
    "0 2 */2 * 1": (53, "2026-01-01T02:00"),
    "0 2 1 * 1": (16, "2026-01-01T02:00"),
    "0 2 1 * */2": (52, "2026-01-01T02:00"),
    "0 0 */1 * 1": (90, "2026-01-02T00:00"),
    "0 0 2-30/2 * 1-5": (76, "2026-01-02T00:00"),
    "0 0 */2 * */3": (64, "2026-01-03T00:00"),
    "0 2 * * 0": (13, "2026-01-04T02:00"),
    "0 2 * * 7": (13, "2026-01-04T02:00"),
    "0 2 * * fri-mon": (52, "2026-01-02T02:00"),
    "0 0 * * */2": (51, "2026-01-03T00:00"),
    "0 0 13 * 5": (14, "2026-01-02T00:00"),
    "0 0 ? * 1": (13, "2026-01-05T00:00"),
    "0 0 * * 5#2": (3, "2026-01-09T00:00"),
    "0 0 L * *": (3, "2026-01-31T00:00"),
    "@quarterly": (1, "2026-04-01T00:00"),
    "@weekly": (13, "2026-01-04T00:00"),
}


@pytest.mark.parametrize("cron", OBSERVED)
def test_airflow_fires_as_it_was_seen_to(cron: str) -> None:
    schedule = AirflowSchedule.of(
        {"scheduleInterval": cron, "pipelineTimezone": "Asia/Tokyo", "startDate": "2030-01-01"}
    )
    assert schedule is not None
    instants = list(schedule.due(NOW + timedelta(seconds=30), datetime(2026, 4, 1, tzinfo=UTC)))
    assert (len(instants), f"{instants[0]:%Y-%m-%dT%H:%M}") == OBSERVED[cron]


def test_airflow_keeps_the_end_and_takes_a_day_field_that_never_matches_for_nothing() -> None:
    schedule = AirflowSchedule.of({"scheduleInterval": "0 0 30 2 1", "endDate": "2026-02-09T00:00:00Z"})
    assert schedule is not None
    assert [f"{instant:%d}" for instant in schedule.due(NOW, NOW + timedelta(days=365))] == ["02", "09"]
    with pytest.raises(InvalidSchedule):
        AirflowSchedule.of({"scheduleInterval": "0 0 30 2 *"})


@pytest.mark.parametrize(
    ("cron", "otherwise"),
    [
        ("0 2 */2 * 1", True),
        ("0 2 1 * */2", True),
        ("0 2 1 * 1", False),
        ("0 2 * * 1", False),
        ("0 2 ? * 1", False),
        ("@daily", False),
        (None, False),
    ],
)
def test_days_are_read_otherwise_where_one_field_begins_with_a_star(cron: str | None, otherwise: bool) -> None:
    assert reads_days_otherwise({"scheduleInterval": cron}) is otherwise


# --- side by side -----------------------------------------------------------------------------------------------------


def beside(days: int = 30, since: datetime = NOW, **config: Any) -> Shadow:
    return shadow(config, since, since + timedelta(days=days))


def test_the_same_schedule_has_no_difference_and_no_reason() -> None:
    same = beside(scheduleInterval="0 2 * * *")
    assert (len(same.here), same.only_here, same.only_there, same.reasons) == (30, (), (), ())
    assert beside(pipelineTimezone="Europe/Berlin") == Shadow((), (), ())


@pytest.mark.parametrize(
    ("config", "reasons"),
    [
        ({"scheduleInterval": "0 2 * * *", "pipelineTimezone": "Europe/Berlin"}, ["zone: Europe/Berlin here"]),
        ({"scheduleInterval": "0 2 */2 * mon"}, ["weekday"]),
        ({"scheduleInterval": "0 2 * * *", "startDate": "2026-01-10"}, ["startDate: not before 2026-01-10 00:00"]),
    ],
)
def test_a_difference_has_its_reason(config: Document, reasons: list[str]) -> None:
    found = beside(**config)
    assert found.here != found.there
    assert len(found.reasons) == len(reasons)
    assert all(reason.startswith(expected) for reason, expected in zip(found.reasons, reasons, strict=True))


def test_a_change_of_the_clocks_is_a_reason_of_its_own() -> None:
    found = beside(
        since=datetime(2026, 3, 25, tzinfo=UTC), days=7, scheduleInterval="30 2 * * *", pipelineTimezone="Europe/Berlin"
    )
    assert found.reasons == (
        "zone: Europe/Berlin here, UTC in Airflow",
        "clocks of Europe/Berlin change on 2026-03-29",
    )
    assert [f"{instant:%d %H:%M}" for instant in found.only_here] == [
        "25 01:30",
        "26 01:30",
        "27 01:30",
        "28 01:30",
        "29 01:00",
        "30 00:30",
        "31 00:30",
    ]


def test_a_zone_that_makes_no_difference_is_none() -> None:
    assert beside(scheduleInterval="0 * * * *", pipelineTimezone="Europe/Berlin").reasons == ()
