"""Patches as clients send them: computed from a part of the entity, applied to the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.errors import InvalidInput
from minisched.sandbox.patching import patched

TABLE = {"id": "1", "columns": [{"name": "a", "tags": []}, {"name": "b"}]}


def apply(*operations: Any) -> dict[str, Any]:
    return patched(TABLE, list(operations))


def test_a_patch_leaves_the_original_alone() -> None:
    assert apply({"op": "add", "path": "/columns/0/tags/0", "value": "PII"})["columns"][0]["tags"] == ["PII"]
    assert TABLE["columns"][0] == {"name": "a", "tags": []}


def test_lists_and_objects_that_are_missing_are_made() -> None:
    assert apply({"op": "add", "path": "/columns/1/tags/0", "value": "PII"})["columns"][1]["tags"] == ["PII"]
    assert apply({"op": "add", "path": "/tags/-", "value": "x"})["tags"] == ["x"]
    assert apply({"op": "add", "path": "/lifeCycle/created/timestamp", "value": 1})["lifeCycle"] == {
        "created": {"timestamp": 1}
    }


def test_replacing_what_is_missing_adds_it_and_removing_it_does_nothing() -> None:
    assert apply({"op": "replace", "path": "/description", "value": "d"})["description"] == "d"
    assert apply({"op": "remove", "path": "/description"}) == TABLE


def test_operations_see_what_the_earlier_ones_did() -> None:
    result = apply(
        {"op": "replace", "path": "/columns/0", "value": None},
        {"op": "remove", "path": "/columns/0"},
        {"op": "test", "path": "/columns/0/name", "value": "b"},
    )
    assert result["columns"] == [{"name": "b"}]


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"},
        ["add"],
        [{"op": "grow", "path": "/x", "value": 1}],
        [{"op": "add", "path": 7, "value": 1}],
        [{"op": "add", "path": "/description"}],
        [{"op": "add", "path": "no/slash", "value": 1}],
        [{"op": "add", "path": "/columns/77", "value": 1}],
        [{"op": "add", "path": "/columns/a", "value": 1}],
        [{"op": "add", "path": "/id/x", "value": 1}],
        [{"op": "test", "path": "/id", "value": "2"}],
        [{"op": "move", "path": "/x", "from": "/nowhere"}],
        [{"op": "replace", "path": "", "value": []}],
    ],
)
def test_what_cannot_be_applied_is_refused(operations: Any) -> None:
    with pytest.raises(InvalidInput):
        patched(TABLE, operations)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
    optional={"path": st.sampled_from(["", "/", "/columns/0", "/columns/-", "/a/b", "x", "/columns/0/tags/9"]) | _JSON,
              "from": st.sampled_from(["/id", "/columns", "/columns/0"]) | _JSON, "value": _JSON},
)  # fmt: skip


@given(st.lists(_OPERATION, max_size=4) | _JSON)
def test_any_patch_gives_an_object_or_is_refused(operations: Any) -> None:
    try:
        result = patched(TABLE, operations)
    except InvalidInput:
        return
    assert isinstance(result, dict)
