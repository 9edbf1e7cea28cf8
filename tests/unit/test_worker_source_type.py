"""Whether a package has the connector that a workflow file names; with a package of our own in its place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.worker import source_type
from minisched.worker.source_type import UnknownSourceType, refuse_unknown

_DATABASES = """
from enum import Enum

class DatabaseServiceType(Enum):
    BigQuery = "BigQuery"
    Postgres = "Postgres"
    UnityCatalog = "UnityCatalog"
    CustomDatabase = "CustomDatabase"

class Colour(Enum):
    Red = "Red"
"""
_METADATA = """
from enum import Enum

class MetadataServiceType(Enum):
    MetadataES = "MetadataES"
"""
_CLASS_HELPER = """
def get_service_type_from_source_type(source_type):
    return "known" if source_type == "secretly-known" else None
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ingestion package with some service types, as every line has them."""
    services = tmp_path / "metadata" / "generated" / "schema" / "entity" / "services"
    services.mkdir(parents=True)
    (services / "databaseService.py").write_text(_DATABASES)
    (services / "metadataService.py").write_text(_METADATA)
    helper = tmp_path / "metadata" / "utils" / "class_helper.py"
    helper.parent.mkdir()
    helper.write_text(_CLASS_HELPER)
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "metadata"]:
            patch.delitem(sys.modules, name)
        patch.syspath_prepend(str(tmp_path))
        source_type.known_connectors.cache_clear()
        yield services
        for name in [name for name in sys.modules if name.partition(".")[0] == "metadata"]:
            del sys.modules[name]
    source_type.known_connectors.cache_clear()


def file_of(named: Any) -> dict[str, Any]:
    return {"source": {"type": named}}


def test_an_unknown_connector_is_refused_with_near_names(package: Path) -> None:
    with pytest.raises(UnknownSourceType) as raised:
        refuse_unknown(file_of("postgress-usage"), "usage")

    assert "source.type is 'postgress-usage': there is no connector" in str(raised.value)
    assert str(raised.value).endswith("; near: postgres")
    assert len(str(raised.value)) < 200
    assert raised.value.hint
    assert "source.type" in raised.value.hint


def test_nothing_near_is_named_where_nothing_is(package: Path) -> None:
    with pytest.raises(UnknownSourceType) as raised:
        refuse_unknown(file_of("nosuch"), "metadata")

    assert "near" not in str(raised.value)


@pytest.mark.parametrize(
    "named",
    [
        *("postgres", "Postgres", "POSTGRES", "postgres-usage", "bigquery-lineage", "unity_catalog", "unitycatalog"),
        *("metadata_elasticsearch", "customdatabase", "custom-anything", "secretly-known", None, 7),
    ],
)
def test_what_the_package_may_accept_passes(package: Path, named: Any) -> None:
    refuse_unknown(file_of(named), "metadata")


@pytest.mark.parametrize("kind", ["dbt", "TestSuite", "dataInsight", "elasticSearchReindex", "application"])
def test_kinds_whose_sources_are_no_connectors_are_not_judged(package: Path, kind: str) -> None:
    refuse_unknown(file_of("whatever"), kind)


def test_a_file_without_a_source_is_not_judged(package: Path) -> None:
    refuse_unknown({}, "metadata")


def test_models_that_cannot_be_imported_judge_nothing(package: Path) -> None:
    (package / "brokenService.py").write_text("1 / 0")

    refuse_unknown(file_of("nosuch"), "metadata")


def test_a_package_without_such_models_judges_nothing(package: Path) -> None:
    for file in package.iterdir():
        if file.is_file():
            file.unlink()

    refuse_unknown(file_of("nosuch"), "metadata")
