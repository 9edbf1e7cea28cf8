"""Several callers change the same pipelines at once: nothing is lost, nothing is doubled, nobody is kept waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from minisched.domain.errors import EntityExists, VersionConflict
from minisched.domain.pipeline import Document, Pipeline
from minisched.keyed_locks import KeyedLocks
from minisched.ports import ClientResponse
from tests.api_worlds import World, a_world, in_process
from tests.contract.conftest import api_of
from tests.contract.ingestion_pipelines import CHANGE, Api, document, refused
from tests.waiting import wait_until

CALLERS = 8


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_process(tmp_path, scripted=True) as world:
        yield world


@pytest.fixture
def api(world: World) -> Api:
    return api_of(world)


def test_no_change_is_lost_and_every_one_is_a_version(tmp_path: Path) -> None:
    with a_world(tmp_path, scripted=True) as world, ThreadPoolExecutor(CALLERS) as callers:
        pipelines, request = world.cases.pipelines, _request()
        made = pipelines.create(request, user="ann")

        def change(number: int) -> None:
            def add(stored: Document) -> Document:
                config = {**stored["sourceConfig"]["config"], f"option{number}": True}
                return {**stored, "sourceConfig": {"config": config}}

            pipelines.patch(made.id, add, user=f"user{number}")

        list(callers.map(change, range(20)))
        after = pipelines.get(made.id)
        assert {f"option{number}" for number in range(20)} <= after.document["sourceConfig"]["config"].keys()
        assert after.version == 2.1
        assert [version.version for version in pipelines.versions(made.id)] == [n / 10 for n in range(21, 0, -1)]


def test_what_is_deployed_last_is_what_is_stored(tmp_path: Path) -> None:
    with a_world(tmp_path, scripted=True) as world, ThreadPoolExecutor(CALLERS) as callers:
        pipelines, lifecycle = world.cases.pipelines, world.cases.lifecycle
        made = pipelines.create(_request(), user="ann")
        lifecycle.deploy(made.id, user="ann")

        def level(number: int) -> None:
            wanted = ("DEBUG", "INFO", "WARN", "ERROR")[number % 4]
            pipelines.patch(made.id, lambda stored: {**stored, "loggerLevel": wanted}, user="ann")

        list(callers.map(level, range(16)))
        assert world.scripted.asked("deploy")[-1].subject == pipelines.get(made.id).document


def test_the_same_name_is_created_once(tmp_path: Path) -> None:
    with a_world(tmp_path, scripted=True) as world, ThreadPoolExecutor(CALLERS) as callers:
        request = _request()
        answers = list(callers.map(lambda _: world.cases.pipelines.put(request, user="ann"), range(CALLERS)))
        assert len({answer.pipeline.id for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1


def test_a_put_that_loses_the_race_to_create_updates(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    request = api.request()
    create = world.stores.pipelines.create

    def slower(pipeline: Pipeline) -> None:
        monkeypatch.setattr(world.stores.pipelines, "create", create)
        theirs = {"id": "00000000-0000-4000-8000-000000000000", "description": "theirs"}
        create(Pipeline({**pipeline.document, **theirs}))
        raise EntityExists

    monkeypatch.setattr(world.stores.pipelines, "create", slower)
    answer = api.put(body={**request, "description": "mine"})
    assert (answer.status_code, answer.headers[CHANGE]) == (200, "entityUpdated")
    assert answer.json()["description"] == "mine"


def test_a_change_by_another_process_meanwhile_is_built_upon(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = api.created()
    replace = world.stores.pipelines.replace
    lost: list[Pipeline] = []

    def after_somebody_else(changed: Pipeline, *, expected: Pipeline) -> None:
        if not lost:
            lost.append(changed)
            other = {**expected.document, "displayName": "Theirs", "version": 0.2}
            replace(Pipeline(other), expected=expected)
        replace(changed, expected=expected)

    monkeypatch.setattr(world.stores.pipelines, "replace", after_somebody_else)
    after = document(api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "ours"}))
    assert (after["displayName"], after["description"], after["version"]) == ("Theirs", "ours", 0.3)


def test_a_change_that_always_loses_says_so(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = api.created()
    attempts: list[int] = []

    def conflict(*_: Any, **__: Any) -> None:
        attempts.append(1)
        raise VersionConflict

    monkeypatch.setattr(world.stores.pipelines, "replace", conflict)
    answer = api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "ours"})
    refused(answer, 409, "changed by somebody else")
    assert len(attempts) == 3


def test_a_slow_deploy_keeps_only_its_own_pipeline_waiting(tmp_path: Path) -> None:
    with a_world(tmp_path, scripted=True) as world, ThreadPoolExecutor(CALLERS) as callers:
        pipelines, lifecycle = world.cases.pipelines, world.cases.lifecycle
        slow, other = (pipelines.create(_request(name), user="ann") for name in ("slow", "other"))
        reached, go_on = threading.Event(), threading.Event()

        def deploy(sent: Document) -> ClientResponse:
            if sent["name"] == "slow":
                reached.set()
                assert go_on.wait(10)
            return ClientResponse(200, None, "scripted")

        world.scripted.script("deploy", deploy)
        deploying = callers.submit(lifecycle.deploy, slow.id, user="ann")
        assert reached.wait(10)
        patching = callers.submit(pipelines.patch, slow.id, lambda stored: {**stored, "description": "x"}, user="ann")
        assert lifecycle.deploy(other.id, user="ann").code == 200
        assert pipelines.get(slow.id).deployed is False
        assert not patching.done()
        go_on.set()
        assert deploying.result(10).code == 200
        after = patching.result(10).pipeline
        assert (after.deployed, after.document["description"], after.version) == (True, "x", 0.3)


def test_locks_are_kept_only_while_they_are_used() -> None:
    locks = KeyedLocks()
    with ThreadPoolExecutor(CALLERS) as callers:
        inside: list[str] = []

        def enter(number: int) -> None:
            key = f"key{number % 3}"
            with locks.hold(key):
                assert key not in inside
                inside.append(key)
                inside.remove(key)

        list(callers.map(enter, range(300)))
    wait_until(lambda: not locks._held)


def _request(name: str = "nightly") -> Document:
    return {
        "name": name,
        "pipelineType": "metadata",
        "service": {"id": "891b373d-a253-4639-ad54-fc17491a7d5d", "type": "databaseService"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "airflowConfig": {"scheduleInterval": "0 2 * * *"},
    }
