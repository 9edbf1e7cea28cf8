"""Versions and change descriptions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.entity_versions import (
    TRACKED,
    Stamp,
    describe,
    next_major_version,
    next_version,
    same,
    stamped,
)

STAMP = Stamp(by="bob", at_ms=5)
OLD: dict[str, Any] = {"version": 0.1, "updatedAt": 1, "updatedBy": "ann", "enabled": True, "owners": []}


@pytest.mark.parametrize(("version", "expected"), [(0.1, 0.2), (0.9, 1.0), (1.0, 1.1), (1.9, 2.0), (9.9, 10.0)])
def test_a_change_is_one_tenth(version: float, expected: float) -> None:
    assert next_version(version) == expected


def test_a_breaking_change_is_a_whole() -> None:
    assert next_major_version(1.1) == 2.1


@given(st.integers(min_value=1, max_value=1_000_000))
def test_versions_have_one_decimal_and_grow_for_ever(steps: int) -> None:
    version = steps / 10
    following = next_version(version)
    assert following > version
    assert f"{following:.1f}" == f"{(steps + 1) // 10}.{(steps + 1) % 10}"
    assert float(f"{following:.1f}") == following


def test_versions_counted_from_the_first_never_drift() -> None:
    version, seen = 0.1, set()
    for _ in range(10_000):
        seen.add(version)
        version = next_version(version)
    assert len(seen) == 10_000
    assert version == 1000.1


@pytest.mark.parametrize(("one", "other"), [(None, []), ([], None), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_what_means_the_same(one: object, other: object) -> None:
    assert same(one, other)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (None, ""), (1, 1.5), ([1, 2], [2, 1]), (None, False)])
def test_what_means_something_else(one: object, other: object) -> None:
    assert not same(one, other)


def test_nothing_changed_leaves_everything_as_it_was() -> None:
    assert stamped(OLD, {**OLD, "owners": [], "untracked": 1}, STAMP) is OLD


def test_a_change_is_stamped_and_described() -> None:
    new = stamped(OLD, {**OLD, "enabled": False}, STAMP)
    change = {
        "fieldsAdded": [],
        "fieldsUpdated": [{"name": "enabled", "oldValue": True, "newValue": False}],
        "fieldsDeleted": [],
        "previousVersion": 0.1,
    }
    assert new["version"] == 0.2
    assert (new["updatedAt"], new["updatedBy"]) == (5, "bob")
    assert new["changeDescription"] == new["incrementalChangeDescription"] == change


def test_added_and_deleted_fields_are_told_apart() -> None:
    old = {**OLD, "description": "x"}
    change = describe(old, {**OLD, "displayName": "Nightly"})
    assert change is not None
    assert change["fieldsAdded"] == [{"name": "displayName", "newValue": "Nightly"}]
    assert change["fieldsDeleted"] == [{"name": "description", "oldValue": "x"}]


def test_configs_are_described_as_json_and_the_source_config_not_at_all() -> None:
    old = {**OLD, "airflowConfig": {"retries": 0}, "sourceConfig": {"config": {"password": "old-s3cret"}}}
    new = {**OLD, "airflowConfig": {"retries": 1}, "sourceConfig": {"config": {"password": "new-s3cret"}}}
    change = describe(old, new)
    assert change is not None
    assert change["fieldsUpdated"] == [
        {"name": "sourceConfig", "oldValue": "old-encrypted-value", "newValue": "new-encrypted-value"},
        {"name": "airflowConfig", "oldValue": '{"retries": 0}', "newValue": '{"retries": 1}'},
    ]
    assert "s3cret" not in str(change)


@pytest.mark.parametrize("field", TRACKED)
def test_every_tracked_field_makes_a_version(field: str) -> None:
    assert stamped(OLD, {**OLD, field: {"some": "thing"}}, STAMP)["version"] == 0.2
