"""Documents for ingestion lines that refuse what they do not know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from

from minisched.domain.line_fields import for_line
from minisched.domain.source_config import DEFAULTS, with_defaults
from minisched.domain.versions import Line

LINES: list[Line] = [(1, minor) for minor in range(3, 14)] + [(2, 0)]


def entity(kind: str = "DatabaseMetadata", **asked: Any) -> dict[str, Any]:
    """As it is kept: with every default, and what only newer lines know."""
    return {
        "name": "nightly",
        "pipelineType": "metadata",
        "raiseOnError": True,
        "enableStreamableLogs": False,
        "sourceConfig": with_defaults({"config": {"type": kind, **asked}}, "databaseService"),
    }


def config_of(document: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = document["sourceConfig"]["config"]
    return config


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_the_newest_line_gets_everything(kind: str) -> None:
    assert for_line(entity(kind), (2, 0)) == entity(kind)


def test_an_old_line_gets_no_defaults_that_it_does_not_know() -> None:
    document = for_line(entity(), (1, 6))
    assert "markDeletedSchemas" in config_of(entity())
    assert "markDeletedSchemas" not in config_of(document)
    assert config_of(document)["includeViews"] is True
    assert not {"raiseOnError", "enableStreamableLogs"} & set(document)
    assert document["name"] == "nightly"


def test_what_was_asked_for_stays_so_that_the_line_can_refuse_it() -> None:
    assert config_of(for_line(entity(markDeletedSchemas=True), (1, 6)))["markDeletedSchemas"] is True


def test_a_document_without_a_source_configuration_stays_one() -> None:
    assert for_line({"name": "n", "raiseOnError": True}, (1, 3)) == {"name": "n"}


@given(sampled_from(sorted(DEFAULTS)), sampled_from(LINES), sampled_from(LINES))
def test_an_older_line_never_gets_more(kind: str, one: Line, other: Line) -> None:
    older, newer = (for_line(entity(kind), line) for line in sorted((one, other)))
    assert set(older) <= set(newer)
    assert config_of(older).items() <= config_of(newer).items()
