"""What every DocumentStore does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from minisched.domain.errors import EntityExists
from minisched.domain.pipeline import Document
from minisched.ports import DocumentStore
from tests.store_kinds import opened_documents


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DocumentStore]:
    with opened_documents(request.param, tmp_path) as found:
        yield found


def a_table(fqn: str, **changes: object) -> Document:
    return {"id": str(uuid4()), "name": fqn.rsplit(".")[-1], "fullyQualifiedName": fqn, **changes}


def fqns(documents: list[Document]) -> list[str]:
    return [str(document["fullyQualifiedName"]) for document in documents]


def test_a_document_comes_back_whole(store: DocumentStore) -> None:
    table = a_table('shop."Große.Ware"', columns=[{"name": "\U0001f680", "dataLength": 1}], password="s3cret")
    store.put("table", [table])
    assert store.get("table", table["id"]) == table
    assert store.get_by_fqn("table", table["fullyQualifiedName"]) == table
    assert store.get("topic", table["id"]) is None
    assert store.get_by_fqn("topic", table["fullyQualifiedName"]) is None


def test_put_replaces_by_id_even_when_the_fqn_changes(store: DocumentStore) -> None:
    table = a_table("shop.a")
    store.put("table", [table])
    renamed = {**table, "fullyQualifiedName": "shop.b", "name": "b"}
    store.put("table", [renamed])
    assert store.count("table") == 1
    assert store.get_by_fqn("table", "shop.a") is None
    assert store.get_by_fqn("table", "shop.b") == renamed


def test_an_fqn_belongs_to_one_document_of_a_kind(store: DocumentStore) -> None:
    store.put("table", [a_table("shop.a")])
    store.put("topic", [a_table("shop.a")])
    with pytest.raises(EntityExists):
        store.put("table", [a_table("shop.b"), a_table("shop.a")])
    assert fqns(store.page("table", limit=9)) == ["shop.a"]


def test_pages_follow_the_fqn(store: DocumentStore) -> None:
    names = ["shop.É", "shop.a", "shop.B", "shop.a.x", "other.a"]
    store.put("table", [a_table(name) for name in names])
    ordered = sorted(names)
    assert fqns(store.page("table", limit=2)) == ordered[:2]
    assert fqns(store.page("table", limit=9, after=ordered[1])) == ordered[2:]
    assert store.page("topic", limit=9) == []


def test_a_prefix_keeps_what_is_below(store: DocumentStore) -> None:
    store.put("table", [a_table(fqn) for fqn in ("s.a", "s.a.x", "s.a.y", "s.a-b", "s.ab", "s.a/c", "S.a.x")])
    assert fqns(store.page("table", limit=9, prefix="s.a")) == ["s.a.x", "s.a.y"]
    assert store.count("table", prefix="s.a") == 2
    assert fqns(store.page("table", limit=9, prefix="s.a", after="s.a.x")) == ["s.a.y"]


def test_kinds_without_fqns_are_filed_under_their_ids(store: DocumentStore) -> None:
    ids = sorted(str(uuid4()) for _ in range(3))
    documents: list[Document] = [{"id": identity, "value": n} for n, identity in enumerate(ids)]
    store.put("event", documents)
    assert store.page("event", limit=2) == documents[:2]
    assert store.page("event", limit=2, after=ids[1]) == documents[2:]


def test_kinds_and_counts(store: DocumentStore) -> None:
    assert store.kinds() == {}
    store.put("topic", [a_table("s.t")])
    store.put("table", [a_table("s.a"), a_table("s.b")])
    store.put("user", [])
    assert store.kinds() == {"table": 2, "topic": 1}
    assert store.count("table") == 2


def test_delete_and_clear(store: DocumentStore) -> None:
    table = a_table("s.a")
    store.put("table", [table, a_table("s.b")])
    assert store.delete("table", table["id"]) is True
    assert store.delete("table", table["id"]) is False
    assert fqns(store.page("table", limit=9)) == ["s.b"]
    store.clear()
    assert store.kinds() == {}
