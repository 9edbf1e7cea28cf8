"""Secrets on their way through a patch: they move with what holds them and nowhere else."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minisched.api.patches import apply_patch
from minisched.domain.entity import hide, reveal
from minisched.domain.secrets import MASK, mask, secret_values

STORED: dict[str, Any] = {
    "description": "d",
    "sourceConfig": {
        "config": {
            "password": "s3cret",
            "host": "db",
            "targets": [
                {"host": "one", "token": "first"},
                {"host": "two", "token": "second"},
            ],
        }
    },
}


def after(*operations: dict[str, Any]) -> dict[str, Any]:
    return reveal(apply_patch(hide(STORED), list(operations)), STORED)


def config_after(*operations: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = after(*operations)["sourceConfig"]["config"]
    return config


def test_a_patch_of_something_else_keeps_the_secrets() -> None:
    assert after({"op": "replace", "path": "/description", "value": "e"}) == {**STORED, "description": "e"}


def test_a_patch_sees_masks() -> None:
    config_after({"op": "test", "path": "/sourceConfig/config/password", "value": MASK})
    assert "s3cret" not in json.dumps(hide(STORED))


def test_a_secret_moves_with_its_item() -> None:
    targets = config_after({"op": "remove", "path": "/sourceConfig/config/targets/0"})["targets"]
    assert targets == [{"host": "two", "token": "second"}]


def test_a_secret_copied_with_its_item_is_a_secret_there_too() -> None:
    copied = config_after(
        {"op": "copy", "from": "/sourceConfig/config/targets/1", "path": "/sourceConfig/config/targets/-"}
    )
    assert copied["targets"][2] == {"host": "two", "token": "second"}


def test_a_secret_moved_into_the_open_stays_hidden() -> None:
    moved = after({"op": "move", "from": "/sourceConfig/config/password", "path": "/displayName"})
    assert moved["displayName"] == MASK
    assert "s3cret" not in json.dumps(moved)


def test_a_mask_that_was_sent_back_means_unchanged() -> None:
    sent = {"password": MASK, "host": "other"}
    assert config_after({"op": "replace", "path": "/sourceConfig/config", "value": sent}) == {
        "password": "s3cret",
        "host": "other",
    }


def test_a_new_secret_replaces_the_old() -> None:
    changed = config_after({"op": "replace", "path": "/sourceConfig/config/password", "value": "new"})
    assert changed["password"] == "new"


KEYS = st.sampled_from(["password", "token", "host", "apiKey", "name", "jwtToken", "appPrivateConfig"])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(st.text(), st.integers(), st.booleans(), st.none()),
        lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(KEYS, children, max_size=3)),
        max_leaves=12,
    ),
    max_size=4,
)


@given(DOCUMENTS)
def test_hiding_and_revealing_changes_nothing(document: dict[str, Any]) -> None:
    assert reveal(hide(document), document) == document


@given(DOCUMENTS)
def test_what_is_hidden_looks_like_what_is_masked(document: dict[str, Any]) -> None:
    assert json.dumps(hide(document)) == json.dumps(mask(document))


@given(DOCUMENTS)
def test_what_is_masked_and_sent_back_is_what_was_stored(document: dict[str, Any]) -> None:
    assert reveal(json.loads(json.dumps(mask(document))), document) == document


@given(DOCUMENTS)
def test_a_copy_of_a_hidden_document_still_knows_its_secrets(document: dict[str, Any]) -> None:
    revealed = reveal(copy.deepcopy(hide(document)), {})
    assert list(secret_values(revealed)) == list(secret_values(document))
