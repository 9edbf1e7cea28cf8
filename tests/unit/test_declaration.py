"""Pipelines as files under version control: what is said, what goes without saying, and where secrets are."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from minisched.cli.yaml_files import file_names, text_of
from minisched.domain.declaration import brief, declare
from minisched.domain.entity import References, new_entity
from minisched.domain.entity_versions import Stamp
from minisched.domain.json_strings import map_strings, strings
from minisched.domain.pipeline import Document
from minisched.domain.secret_references import MissingVariable, refer, resolve, variables
from minisched.domain.secrets import mask

SERVICE = {"id": "1", "type": "databaseService", "name": "mysql", "fullyQualifiedName": "mysql"}


def entity(config: Document | None = None, airflow_config: Document | None = None, **request: Any) -> Document:
    """As the front API stores one that was created like this: all defaults filled in."""
    whole = {
        "name": "daily",
        "pipelineType": "metadata",
        "sourceConfig": {"config": {"type": "DatabaseMetadata", **(config or {})}},
        "airflowConfig": airflow_config or {},
        **request,
    }
    return new_entity(whole, References(service=SERVICE), entity_id="2", stamp=Stamp(at_ms=1, by="me"))


def test_a_pipeline_of_defaults_says_next_to_nothing() -> None:
    assert declare(entity()) == {
        "name": "daily",
        "service": {"type": "databaseService", "fullyQualifiedName": "mysql"},
        "pipelineType": "metadata",
        "airflowConfig": {},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
    }


def test_what_is_not_the_default_is_said_in_one_order() -> None:
    one = entity(
        {"threads": 4, "includeViews": False}, {"scheduleInterval": "0 2 * * *", "retries": 1}, raiseOnError=False
    )
    other = entity(
        {"includeViews": False, "threads": 4}, {"retries": 1, "scheduleInterval": "0 2 * * *"}, raiseOnError=False
    )
    assert text_of(declare(one)) == text_of(declare(other))
    assert text_of(declare(one)) == (
        "name: daily\n"
        "service:\n"
        "  type: databaseService\n"
        "  fullyQualifiedName: mysql\n"
        "pipelineType: metadata\n"
        "raiseOnError: false\n"
        "airflowConfig:\n"
        "  retries: 1\n"
        "  scheduleInterval: 0 2 * * *\n"
        "sourceConfig:\n"
        "  config:\n"
        "    type: DatabaseMetadata\n"
        "    includeViews: false\n"
        "    threads: 4\n"
    )


def test_what_a_service_passes_on_is_not_said_and_what_is_disabled_is() -> None:
    document = {
        **entity(),
        "enabled": False,
        "owners": [
            {"id": "3", "type": "user", "name": "me", "href": "x"},
            {"id": "4", "type": "team", "inherited": True},
        ],
        "domains": [{"id": "5", "type": "domain", "fullyQualifiedName": "Sales"}],
    }
    said = declare(document)
    assert said["enabled"] is False
    assert said["owners"] == [{"id": "3", "type": "user", "name": "me"}]
    assert said["domains"] == ["Sales"]


@pytest.mark.parametrize("config", [{}, {"threads": 4, "ownerConfig": {"b": 1, "a": [{"d": 1, "c": 2}]}}])
def test_a_declaration_read_back_makes_the_same_entity(config: Document) -> None:
    first = entity(config, {"scheduleInterval": "0 2 * * *"}, loggerLevel="DEBUG", description="größer")
    said = yaml.safe_load(text_of(declare(first)))
    again = entity(said["sourceConfig"]["config"], said["airflowConfig"], loggerLevel="DEBUG", description="größer")
    assert again == first
    assert declare(again) == declare(first) == brief(said)


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_become_references_that_are_resolved_by_the_environment() -> None:
    config = {"dbtConfigSource": {"password": "s3cret", "tokens": ["a"], "accessToken": "t"}, "type": "DBT"}
    masked = mask({"sourceConfig": {"config": config}})
    referring = refer(masked, 'mysql."my.daily"')
    assert variables(referring) == [
        "MYSQL_MY_DAILY_DBTCONFIGSOURCE_PASSWORD",
        "MYSQL_MY_DAILY_DBTCONFIGSOURCE_ACCESSTOKEN",
    ]
    environ = {"MYSQL_MY_DAILY_DBTCONFIGSOURCE_PASSWORD": "s3cret", "MYSQL_MY_DAILY_DBTCONFIGSOURCE_ACCESSTOKEN": "t"}
    assert resolve(referring, environ) == ({"sourceConfig": {"config": config}}, [])
    _, missing = resolve(referring, {"MYSQL_MY_DAILY_DBTCONFIGSOURCE_PASSWORD": ""})
    assert missing == [
        MissingVariable("sourceConfig.config.dbtConfigSource.password", "MYSQL_MY_DAILY_DBTCONFIGSOURCE_PASSWORD"),
        MissingVariable(
            "sourceConfig.config.dbtConfigSource.accessToken", "MYSQL_MY_DAILY_DBTCONFIGSOURCE_ACCESSTOKEN"
        ),
    ]


@pytest.mark.parametrize("value", ["${env:HOME}", "$${env:HOME}", "$HOME", "${HOME}", "a${env:HOME}", "^x$", "$"])
def test_a_value_that_looks_like_a_reference_survives_the_way_there_and_back(value: str) -> None:
    there = refer({"filter": [value]}, "mysql.daily")
    assert resolve(there, {"HOME": "replaced"}) == ({"filter": [value]}, [])


def test_a_variable_never_begins_with_a_digit() -> None:
    assert variables(refer({"password": "*********"}, "1st.daily")) == ["_1ST_DAILY_PASSWORD"]


def test_strings_are_found_and_changed_by_their_paths() -> None:
    document = {"a": [{"b": "x"}, 1, None], "c": "y"}
    assert list(strings(document)) == [("a[0].b", "x"), ("c", "y")]
    assert map_strings(document, lambda path, value: path + value) == {"a": [{"b": "a[0].bx"}, 1, None], "c": "cy"}


# --- files ------------------------------------------------------------------------------------------------------------


def test_every_pipeline_has_a_file_of_its_own() -> None:
    fqns = ["mysql.daily", 'mysql."a.b"', "mysql.a b", "mysql.a_b", "名.前", "名.後", f"mysql.{'x' * 300}", "../../etc"]
    names = file_names(fqns)
    assert names["mysql.daily"] == "mysql-daily.yaml"
    assert len(set(names.values())) == len(fqns)
    assert all("/" not in name and len(name) < 200 for name in names.values())
    assert file_names(reversed(fqns)) == names
