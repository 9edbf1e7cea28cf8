"""What a PlacementStore does, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.errors import NameCollision
from minisched.domain.placement import Placement
from minisched.store.engine import Database, open_database
from minisched.store.placements import SqlPlacementStore
from minisched.store.secrets import SecretBox, new_key
from tests.databases import DATABASES, url_for
from tests.store_kinds import EPOCH

BOX = SecretBox([new_key()])
DOCUMENT = {"name": "nightly", "openMetadataServerConnection": {"securityConfig": {"jwtToken": "tok3n"}}}


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with closing(open_database(url_for(request.param, request))) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> SqlPlacementStore:
    return SqlPlacementStore(database, BOX)


def a_placement(name: str = "nightly", **changes: Any) -> Placement:
    plain = Placement(str(uuid4()), name, f"shop.{name}", "metadata", "shop", "airflow", EPOCH)
    return replace(plain, **changes)


def test_a_placement_comes_back_whole_after_a_restart(store: SqlPlacementStore, database: Database) -> None:
    placement = a_placement('täglich "a.b"', came_from="local", also_in="local", enabled=False)
    store.put(placement, DOCUMENT)
    for seen in (store, SqlPlacementStore(database, BOX)):
        assert seen.get(placement.pipeline_id) == placement
        assert seen.find(placement.clean_name) == placement
        assert seen.document(placement.pipeline_id) == DOCUMENT


def test_what_is_not_placed_is_none(store: SqlPlacementStore) -> None:
    assert store.get(str(uuid4())) is None
    assert store.find("nightly") is None
    assert store.document(str(uuid4())) is None
    assert store.all() == []


def test_a_change_keeps_the_document_and_a_replacement_does_not(store: SqlPlacementStore, database: Database) -> None:
    placement = a_placement()
    store.put(placement, DOCUMENT)
    moved = replace(placement, client="local", came_from="airflow", since=EPOCH + timedelta(hours=1))
    store.update(moved)
    assert store.document(placement.pipeline_id) == DOCUMENT
    store.put(moved, None)
    assert store.document(placement.pipeline_id) is None
    assert SqlPlacementStore(database, BOX).all() == [moved]


def test_two_pipelines_cannot_share_a_clean_name(store: SqlPlacementStore, database: Database) -> None:
    first = a_placement("a.b")
    store.put(first, None)
    with pytest.raises(NameCollision):
        store.put(a_placement("a b"), None)
    for seen in (store, SqlPlacementStore(database, BOX)):
        assert seen.all() == [first]
    store.remove(first.pipeline_id)
    store.remove(first.pipeline_id)
    assert store.find("a_b") is None
    store.put(a_placement("a b"), None)


def test_a_new_name_is_found_and_the_old_one_is_not(store: SqlPlacementStore) -> None:
    placement = a_placement("old")
    store.put(placement, None)
    store.update(replace(placement, name="new"))
    assert store.find("old") is None
    assert store.find("new") == replace(placement, name="new")


def test_all_are_listed_by_fqn(store: SqlPlacementStore) -> None:
    names = ["b", "a", "É", "Z", "aa"]
    for name in names:
        store.put(a_placement(f"x{names.index(name)}", fqn=name), None)
    assert [placement.fqn for placement in store.all()] == sorted(names)
