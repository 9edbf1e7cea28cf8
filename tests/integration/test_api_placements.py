"""The routes that say where pipelines are and move them, over one orchestrator and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.domain.errors import RunsActive
from tests.api_worlds import PIPELINES, World, a_create_request, in_process

OURS = "/api/v1/minisched"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_process(tmp_path) as world:
        yield world


def deployed(world: World, name: str) -> dict[str, Any]:
    pipeline = dict(world.http.post(PIPELINES, json=a_create_request(name=name)).json())
    assert world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
    return pipeline


def test_everything_that_is_deployed_is_somewhere(world: World) -> None:
    names = ["b", "a"]
    pipelines = [deployed(world, name) for name in names]
    world.http.post(PIPELINES, json=a_create_request(name="not_deployed"))
    listed = world.http.get(f"{OURS}/placements").json()["data"]
    assert [(one["fullyQualifiedName"], one["client"]) for one in listed] == [
        ("mysql.a", "local"),
        ("mysql.b", "local"),
    ]
    for key in (pipelines[1]["id"], "mysql.a", "a"):
        assert world.http.get(f"{OURS}/pipelines/{key}/placement").json() == listed[0]


@pytest.mark.parametrize("key", ["nobody", "mysql.nobody", "9e555cea-6a5a-4fe5-a9ad-4ff65efc8289"])
def test_what_does_not_exist_is_nowhere(world: World, key: str) -> None:
    assert world.http.get(f"{OURS}/pipelines/{key}/placement").status_code == 404
    assert world.http.post(f"{OURS}/pipelines/{key}/move", json={"to": "local"}).status_code == 404


def test_what_is_not_deployed_is_nowhere(world: World) -> None:
    pipeline = world.http.post(PIPELINES, json=a_create_request(name="new")).json()
    answer = world.http.get(f"{OURS}/pipelines/{pipeline['id']}/placement")
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        "Pipeline mysql.new is not deployed. Deploy it first.",
    )


def test_what_is_there_already_is_not_moved(world: World) -> None:
    pipeline = deployed(world, "a")
    answer = world.http.post(f"{OURS}/pipelines/{pipeline['id']}/move", json={"to": "local"})
    assert answer.json() == {
        "pipelineId": pipeline["id"],
        "fullyQualifiedName": "mysql.a",
        "from": "local",
        "to": "local",
        "verdict": "there_already",
        "notes": [],
    }


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_airflow_that_nobody_named_is_no_place(world: World, dry_run: bool) -> None:
    deployed(world, "a")
    answer = world.http.post(f"{OURS}/pipelines/a/move", json={"to": "airflow", "dryRun": dry_run})
    assert answer.status_code == 400
    assert answer.json()["message"].endswith("Set airflow.url and airflow.password.")


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({}, 400, "Say either"),
        ({"to": "local", "undo": True}, 400, "Say either"),
        ({"to": "noop"}, 400, "to: "),
        ({"to": "local", "now": True}, 400, "now: Unrecognized field"),
        ({"undo": True}, 409, "mysql.a was never moved: it was deployed in this machine."),
    ],
)
def test_what_cannot_be_meant_is_refused(world: World, body: dict[str, Any], code: int, text: str) -> None:
    deployed(world, "a")
    answer = world.http.post(f"{OURS}/pipelines/a/move", json=body)
    assert answer.status_code == code
    assert answer.json()["message"].startswith(text)


def test_runs_that_are_not_over_are_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(world, "a")
    moves: Any = world.cases.moves

    def refuse(*_: Any, **__: Any) -> None:
        raise RunsActive("mysql.a has a run that is not over.")

    monkeypatch.setattr(moves._mover, "move", refuse)
    assert world.http.post(f"{OURS}/pipelines/a/move", json={"to": "airflow"}).status_code == 409
