"""A pipeline whose two halves disagree, as a crash between two writes leaves them, is made one again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.domain import entity
from minisched.domain.pipeline import Pipeline, PipelineRef
from tests.api_worlds import PIPELINES, World, a_create_request, in_process


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_process(tmp_path) as world:
        yield world


def deployed(world: World, **changes: Any) -> dict[str, Any]:
    pipeline = dict(world.http.post(PIPELINES, json=a_create_request(**changes)).json())
    assert world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
    return dict(world.http.get(f"{PIPELINES}/{pipeline['id']}").json())


def stored(world: World, pipeline: dict[str, Any]) -> Pipeline:
    return world.stores.pipelines.get(pipeline["id"])


def replace(world: World, pipeline: dict[str, Any], **changes: Any) -> None:
    """Change the entity and nothing else."""
    old = stored(world, pipeline)
    world.stores.pipelines.replace(Pipeline({**old.document, **changes}), expected=old)


def test_what_agrees_is_left_alone(world: World) -> None:
    pipelines = [deployed(world), dict(world.http.post(PIPELINES, json=a_create_request()).json())]
    before = [stored(world, pipeline) for pipeline in pipelines]
    assert world.cases.reconciliation.reconcile() == 0
    assert [stored(world, pipeline) for pipeline in pipelines] == before


def test_a_toggle_that_was_cut_short_is_undone(world: World) -> None:
    pipeline = deployed(world)
    world.stores.deployments.set_enabled(pipeline["id"], enabled=False, at=world.stores.clock.now())
    assert world.cases.reconciliation.reconcile() == 1
    deployment = world.stores.deployments.get(pipeline["id"])
    assert deployment is not None
    assert (deployment.enabled, stored(world, pipeline).enabled) == (True, True)
    assert world.alarm.schedules[pipeline["id"]] == "0 2 * * *"


def test_a_change_that_reached_the_orchestrator_only_is_undone_there(world: World) -> None:
    pipeline = deployed(world)
    changed = {**stored(world, pipeline).document, "airflowConfig": {"scheduleInterval": "0 5 * * *"}}
    world.client.deploy_pipeline(changed)
    assert world.cases.reconciliation.reconcile() == 1
    deployment = world.stores.deployments.get(pipeline["id"])
    assert deployment is not None
    assert deployment.schedule == "0 2 * * *"


def test_a_deployment_that_was_cut_short_is_seen(world: World) -> None:
    pipeline = deployed(world)
    replace(world, pipeline, deployed=False)
    assert world.cases.reconciliation.reconcile() == 1
    assert stored(world, pipeline).deployed


def test_a_deletion_that_was_cut_short_is_seen(world: World) -> None:
    pipeline = deployed(world)
    world.client.delete_pipeline(PipelineRef(name=pipeline["name"], id=pipeline["id"]))
    assert world.cases.reconciliation.reconcile() == 1
    assert not stored(world, pipeline).deployed
    assert entity.needs_deploy(pipeline, stored(world, pipeline).document) is False


def test_many_are_looked_through(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.operations.reconciling._PAGE", 2)
    pipelines = [deployed(world) for _ in range(5)]
    for pipeline in pipelines[::2]:
        world.stores.deployments.set_enabled(pipeline["id"], enabled=False, at=world.stores.clock.now())
    assert world.cases.reconciliation.reconcile() == 3
    assert world.cases.reconciliation.reconcile() == 0


def test_what_others_have_deployed_here_is_none_of_its_business(world: World) -> None:
    pipeline = deployed(world)
    world.stores.pipelines.remove(pipeline["id"])
    assert world.cases.reconciliation.reconcile() == 0
    assert world.stores.deployments.get(pipeline["id"]) is not None
