"""What is asked of the installer for each release line."""

from __future__ import annotations

import pytest

from minisched.domain.errors import InvalidInput
from minisched.runtimes.recipe import recipe_for


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        (None, "openmetadata-ingestion[postgres]>=2.0,<2.1"),
        ("2.0.7.0", "openmetadata-ingestion[postgres]==2.0.7.0"),
        ("2.0.7", "openmetadata-ingestion[postgres]==2.0.7.*"),
        ("2.0", "openmetadata-ingestion[postgres]==2.0.*"),
        ("v1.12.3", "openmetadata-ingestion[postgres]==1.12.3.*"),
        ("2.1.0.0.dev3", "openmetadata-ingestion[postgres]==2.1.0.0.dev3"),
        ("2.1.0rc1", "openmetadata-ingestion[postgres]==2.1.0rc1"),
    ],
)
def test_a_version_a_line_or_a_servers_version(version: str | None, requirement: str) -> None:
    assert recipe_for(version, ["postgres"]).requirement == requirement


def test_extras_are_the_usual_ones_or_those_asked_for() -> None:
    assert recipe_for("2.0").requirement == "openmetadata-ingestion[postgres,mysql]==2.0.*"
    assert recipe_for("2.0", []).requirement == "openmetadata-ingestion==2.0.*"
    assert recipe_for("2.0", ["b", "a", "b"]).requirement == "openmetadata-ingestion[b,a]==2.0.*"


@pytest.mark.parametrize(
    "version", ["", "2", "latest", ">=2.0", "2.0.7.0.1", "2.0; rm -rf /", "2.0 --index-url x", "2.x"]
)
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(InvalidInput, match="not a version"):
        recipe_for(version)


@pytest.mark.parametrize("extra", ["", "a]", "a,b", "--x", "postgres==1"])
def test_what_is_no_extra_is_refused(extra: str) -> None:
    with pytest.raises(InvalidInput, match="not the name of an extra"):
        recipe_for(None, [extra])


@pytest.mark.parametrize(
    ("version", "additions"),
    [
        ("1.5.15.2", ("setuptools<81",)),
        ("1.6", ("setuptools<81",)),
        ("1.7", ("cachetools", "google-cloud-bigquery")),
        ("1.8.12.0", ("cachetools", "google-cloud-bigquery")),
        ("1.9", ("cachetools",)),
        ("1.12.14.2", ("cachetools",)),
        ("1.13", ()),
        ("2.0", ()),
        (None, ()),
    ],
)
def test_each_line_gets_what_it_forgot_to_ask_for(version: str | None, additions: tuple[str, ...]) -> None:
    assert recipe_for(version).additions == additions


def test_what_cannot_be_had_everywhere_is_overridden_on_every_line() -> None:
    for version in (None, "1.5", "1.12", "2.0"):
        overrides = recipe_for(version).overrides
        assert "dbt-core-experimental-parser; sys_platform == 'never'" in overrides
        assert "certifi>=2026.5" in overrides


def test_old_lines_get_the_parser_under_the_name_that_they_import() -> None:
    old = [
        version
        for version in ("1.1", "1.2", "1.3", "2.0")
        if any("sqllineage" in o for o in recipe_for(version).overrides)
    ]
    assert old == ["1.1", "1.2"]


@pytest.mark.parametrize(
    ("version", "request_", "fits", "does_not"),
    [
        ("2.0", ">=3.10,<3.14", (3, 11), (3, 14)),
        ("1.12", ">=3.9,<3.13", (3, 12), (3, 13)),
        ("1.5", ">=3.8,<3.12", (3, 8), (3, 12)),
        ("1.2", ">=3.8,<3.11", (3, 10), (3, 11)),
    ],
)
def test_each_line_has_its_pythons(
    version: str, request_: str, fits: tuple[int, int], does_not: tuple[int, int]
) -> None:
    recipe = recipe_for(version)

    assert recipe.python_request == request_
    assert recipe.runs_on(fits)
    assert not recipe.runs_on(does_not)
