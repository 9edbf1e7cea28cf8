"""Which orchestrator gets what, by the rules of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minisched.domain.client_rules import automation_subject, first_fitting, rule_of
from minisched.domain.errors import ConfigurationError, InvalidInput
from minisched.domain.pipeline import Document
from minisched.settings import load_settings

PIPELINE: Document = {
    "name": "nightly",
    "fullyQualifiedName": "shop.nightly",
    "pipelineType": "autoClassification",
    "service": {"type": "databaseService", "name": "shop", "fullyQualifiedName": "shop"},
    "domains": [{"fullyQualifiedName": "Finance"}, {"fullyQualifiedName": "Sales.Retail"}],
}


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ({}, True),
        ({"pipelineType": "AUTO*"}, True),
        ({"pipelineType": "metadata"}, False),
        ({"serviceType": "DatabaseService"}, True),
        ({"service": "sh?p"}, True),
        ({"service": "Shop"}, False),
        ({"pipeline": "night*"}, True),
        ({"pipeline": "shop.night*"}, True),
        ({"pipeline": "night"}, False),
        ({"domain": "Sales.*"}, True),
        ({"domain": "Sales"}, False),
        ({"domain": "Finance", "pipeline": "night*"}, True),
        ({"domain": "Finance", "pipeline": "day*"}, False),
    ],
)
def test_all_of_a_rule_has_to_fit(patterns: dict[str, str], fits: bool) -> None:
    assert first_fitting((rule_of({"client": "airflow", **patterns}),), PIPELINE) == ("airflow" if fits else None)


def test_the_first_that_fits_decides() -> None:
    rules = tuple(
        rule_of(parts)
        for parts in (
            {"client": "noop", "pipeline": "weekly"},
            {"client": "local", "pipeline": "nightly"},
            {"client": "airflow"},
        )
    )
    assert first_fitting(rules, PIPELINE) == "local"
    assert first_fitting(rules, {**PIPELINE, "name": "x", "fullyQualifiedName": "shop.x"}) == "airflow"
    assert first_fitting(rules[:2], {"name": "x"}) is None


def test_a_pipeline_that_does_not_say_fits_no_pattern_of_it() -> None:
    assert first_fitting((rule_of({"client": "local", "domain": "*"}),), {"name": "x", "service": "shop"}) is None


def test_automations_go_by_their_service() -> None:
    asked = {"name": "test", "request": {"serviceType": "Database", "serviceName": "shop"}}
    for patterns in ({"serviceType": "databaseService"}, {"service": "shop"}):
        assert first_fitting((rule_of({"client": "airflow", **patterns}),), automation_subject(asked)) == "airflow"
    by_type = (rule_of({"client": "airflow", "pipelineType": "*"}),)
    assert first_fitting(by_type, automation_subject(asked)) is None
    assert first_fitting(by_type, automation_subject({"request": None})) is None


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"pipeline": "x"}, "needs a client, which is one of local, airflow, noop"),
        ({"client": "Airflow"}, "needs a client"),
        ({"client": "local", "name": "x"}, "'name' is no part of a rule; there are client, pipelineType, serviceType"),
    ],
)
def test_rules_that_make_no_sense_are_refused(parts: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        rule_of(parts)


def refusal(directory: Path, text: str) -> str:
    file = directory / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file, {"HOME": str(directory)})
    return str(refused.value)


def test_wrong_rules_are_refused_at_start_with_their_place(tmp_path: Path) -> None:
    said = refusal(tmp_path, "client_rules:\n  - {client: local}\n  - {client: local, tag: big}\n")
    assert said.startswith("client_rules.1 (")
    assert "'tag' is no part of a rule; there are client," in said


def test_a_rule_that_names_airflow_needs_to_know_where_it_is(tmp_path: Path) -> None:
    rules = "client_rules:\n  - {client: local, pipeline: a}\n  - {client: airflow}\n"
    assert "client_rules.1: client: airflow needs airflow.url and airflow.password" in refusal(tmp_path, rules)
    file = tmp_path / "config.yaml"
    file.write_text(rules + "airflow: {url: 'http://airflow:8080', password: p}\n")
    settings: Any = load_settings(file, {"HOME": str(tmp_path)})
    assert [parts["client"] for parts in settings.client_rules] == ["local", "airflow"]
