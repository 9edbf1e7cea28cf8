"""What the installed line's models know; with models of our own in their place."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from minisched.worker import models


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Inner(Closed):
    a: int = 0


class Pattern(RootModel[dict[str, str]]):
    pass


class Kind(Enum):
    X = "X"


class Outer(Closed):
    type: Kind | None = Kind.X
    inner: Inner | None = None
    either: Inner | Pattern | None = None
    many: list[Inner] = []
    anything: dict[str, Any] = {}
    schema_: str = Field("", alias="schema")


class Open(BaseModel):
    a: int = 0


def dropped_of(document: dict[str, Any], *candidates: Any) -> tuple[Any, list[str]]:
    dropped: list[str] = []
    return models.drop_unknown(document, list(candidates), "", dropped), dropped


def test_unknown_keys_go_at_every_depth() -> None:
    document = {"new": 1, "inner": {"a": 1, "b": 2}, "many": [{"a": 1}, {"c": 1}], "schema": "s"}

    kept, dropped = dropped_of(document, Outer)

    assert kept == {"inner": {"a": 1}, "many": [{"a": 1}, {}], "schema": "s"}
    assert dropped == ["new", "inner.b", "many.c"]
    assert document["new"] == 1


def test_a_null_says_nothing_that_could_be_missed() -> None:
    assert dropped_of({"new": None, "inner": {"a": 1, "b": None}}, Outer) == ({"inner": {"a": 1}}, [])


def test_values_of_unknown_shape_are_kept() -> None:
    document = {"anything": {"x": 1}, "either": {"x": "1"}}

    assert dropped_of(document, Outer) == (document, [])


def test_open_models_keep_everything() -> None:
    assert dropped_of({"b": 1}, Open) == ({"b": 1}, [])
    assert dropped_of({"b": 1}) == ({"b": 1}, [])


def test_a_key_that_any_candidate_knows_is_kept() -> None:
    assert dropped_of({"a": 1, "type": "X"}, Inner, Outer) == ({"a": 1, "type": "X"}, [])


def test_absent_package_means_nothing_is_known() -> None:
    assert models.model("no.such.module", "X") is None
    assert models.source_config_models("DatabaseMetadata") == []
