"""What every PipelineStatusStore does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.store_kinds import KINDS, Stores, opened

FQN = 'shop."täglich.a"'


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with opened(request.param, request) as found:
        yield found


def a_status(timestamp: int | None, state: str = "success", **changes: Any) -> Document:
    status = {"runId": str(uuid4()), "pipelineState": state, "config": {"password": "s3cret"}}
    return {**status, **({} if timestamp is None else {"timestamp": timestamp}), **changes}


def put_all(stores: Stores, fqn: str, *timestamps: int | None) -> list[Document]:
    statuses = [a_status(timestamp) for timestamp in timestamps]
    for status in statuses:
        stores.statuses.put(fqn, status)
    return statuses


def test_a_status_replaces_that_of_its_run_as_a_whole(stores: Stores) -> None:
    running = a_status(5, "running", status=[{"name": "Source"}])
    ended = {"runId": running["runId"], "pipelineState": "success", "timestamp": 6}
    assert stores.statuses.put(FQN, running) is None
    assert stores.statuses.put(FQN, ended) == running
    assert stores.statuses.get(FQN, running["runId"]) == ended
    assert stores.statuses.search(FQN) == [ended]


def test_an_unknown_status_is_none(stores: Stores) -> None:
    (status,) = put_all(stores, FQN, 1)
    assert stores.statuses.get(FQN, str(uuid4())) is None
    assert stores.statuses.get("shop.other", status["runId"]) is None
    assert stores.statuses.get(FQN.upper(), status["runId"]) is None


def test_search_is_newest_first_and_nulls_last(stores: Stores) -> None:
    none, early, late, middle = put_all(stores, FQN, None, 10, 30, 20)
    put_all(stores, "shop.other", 15)
    assert stores.statuses.search(FQN) == [late, middle, early, none]
    assert stores.statuses.search(FQN, limit=2) == [late, middle]


def test_a_range_includes_its_ends(stores: Stores) -> None:
    _, early, middle, late = put_all(stores, FQN, None, 10, 20, 30)
    assert stores.statuses.search(FQN, start_ms=10, end_ms=20) == [middle, early]
    assert stores.statuses.search(FQN, start_ms=20) == [late, middle]
    assert stores.statuses.search(FQN, end_ms=20) == [middle, early]
    assert stores.statuses.search(FQN, start_ms=0, end_ms=2**63 + 5, limit=1) == [late]


def test_latest_of_many_pipelines(stores: Stores) -> None:
    one = put_all(stores, "shop.one", 1, 3, 2)
    other = put_all(stores, "shop.other", 7)
    found = stores.statuses.latest(["shop.one", "shop.other", "shop.none"], each=2)
    assert found == {"shop.one": [one[1], one[2]], "shop.other": [other[0]]}
    assert stores.statuses.latest([], each=2) == {}


def test_delete_one_or_all(stores: Stores) -> None:
    first, second, _ = put_all(stores, FQN, 1, 2, 3)
    (other,) = put_all(stores, "shop.other", 1)
    stores.statuses.delete(FQN, first["runId"])
    stores.statuses.delete(FQN, first["runId"])
    assert second in stores.statuses.search(FQN)
    stores.statuses.delete(FQN)
    assert stores.statuses.search(FQN) == []
    assert stores.statuses.search("shop.other") == [other]
