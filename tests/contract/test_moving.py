"""A pipeline moves from one orchestrator to another and back: always in one place, and never firing in two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from minisched import failpoints
from minisched.domain.client_rules import ClientName
from minisched.domain.errors import (
    InvalidPipelineConfig,
    MinischedError,
    OrchestratorRejected,
    OrchestratorUnavailable,
    PipelineNotFound,
    RunsActive,
)
from minisched.domain.pipeline import Document, PipelineRef
from minisched.ports import ClientResponse, RunOptions
from tests.contract.orchestrators import (
    Both,
    Machine,
    Orchestrator,
    a_pipeline,
    as_one,
    behind_the_dialect,
    ref,
    state_of,
    this_machine,
)
from tests.waiting import wait_until

STEPS = ("intended", "disabled", "deployed", "placed", "enabled", "forgotten")
OTHER: dict[ClientName, ClientName] = {"local": "airflow", "airflow": "local"}


@dataclass
class World:
    """This machine, and another one that is Airflow to it."""

    near: Machine
    far: Machine
    airflow: Orchestrator
    both: Both

    def restarted(self) -> Both:
        """What a new server knows: what is in the tables."""
        return as_one(self.near, self.airflow, "local")

    def machine(self, name: ClientName) -> Machine:
        return self.near if name == "local" else self.far

    def fires(self, pipeline: Document) -> dict[ClientName, bool | None]:
        """By place; None where it is not known."""
        known = {name: self.machine(name).deployments.get(pipeline["id"]) for name in OTHER}
        return {name: None if one is None else one.enabled for name, one in known.items()}

    def deployed(self, **changes: Any) -> Document:
        pipeline = a_pipeline(airflowConfig={"scheduleInterval": "0 4 * * *"}, **changes)
        self.both.client.deploy_pipeline(pipeline)
        return pipeline


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with (
        this_machine(tmp_path / "near") as near,
        this_machine(tmp_path / "far") as far,
        behind_the_dialect(far) as airflow,
    ):
        wait_until(lambda: airflow.client.get_service_status().code == 200, timeout_s=30)
        yield World(near, far, airflow, as_one(near, airflow, "local"))


@pytest.mark.parametrize("enabled", [True, False])
def test_it_moves_there_and_back_as_it_was(world: World, enabled: bool) -> None:
    pipeline, mover, client = world.deployed(enabled=enabled), world.both.mover, world.both.client
    there = mover.move(ref(pipeline), "airflow")
    assert (there.unfinished, there.placement.client, there.placement.came_from) == (None, "airflow", "local")
    assert world.fires(pipeline) == {"local": None, "airflow": enabled}
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(world.far.client, pipeline, run_id) == "success", timeout_s=30)
    back = mover.move(ref(pipeline), "local")
    assert (back.unfinished, back.placement.client, back.placement.came_from) == (None, "local", "airflow")
    assert world.fires(pipeline) == {"local": enabled, "airflow": None}
    here = world.near.deployments.get(pipeline["id"])
    assert here is not None
    assert here.document == {**pipeline, "enabled": enabled}
    assert mover.unfinished() == []


def test_what_was_disabled_by_hand_stays_disabled(world: World) -> None:
    pipeline = world.deployed()
    for place, other in OTHER.items():
        world.both.client.toggle_ingestion(ref(pipeline), enabled=False)
        world.both.mover.move(ref(pipeline), other)
        assert world.fires(pipeline) == {place: None, other: False}
        world.both.client.toggle_ingestion(ref(pipeline), enabled=True)


def test_what_it_does_otherwise_there_is_said(world: World) -> None:
    pipeline = world.deployed()
    document = {**pipeline, "airflowConfig": {"scheduleInterval": "0 4 * * *", "pipelineTimezone": "Europe/Berlin"}}
    world.both.client.deploy_pipeline(document)
    assert "pipelineTimezone" in " ".join(world.both.mover.move(ref(pipeline), "airflow").notes)


def test_moving_to_where_it_is_changes_nothing(world: World) -> None:
    pipeline = world.deployed()
    before = world.both.mover.placement(ref(pipeline))
    assert world.both.mover.move(ref(pipeline), "local").placement == before


@pytest.mark.parametrize("place", ["local", "airflow"])
def test_active_runs_are_left_in_peace_unless_by_force(world: World, place: ClientName) -> None:
    pipeline, mover = world.deployed(), world.both.mover
    if place == "airflow":
        mover.move(ref(pipeline), "airflow")
    world.both.behave(pipeline["id"], "hang")
    run_id = world.both.client.run_pipeline(ref(pipeline), RunOptions()).run_id
    source = world.machine(place).client
    wait_until(lambda: state_of(source, pipeline, run_id) == "running", timeout_s=30)
    for refused in (mover.check, mover.move):
        with pytest.raises(RunsActive, match="a run that is not over"):
            refused(ref(pipeline), OTHER[place])
    assert (state_of(source, pipeline, run_id), world.fires(pipeline)[place]) == ("running", True)
    mover.check(ref(pipeline), OTHER[place], force=True)
    assert mover.move(ref(pipeline), OTHER[place], force=True).unfinished is None
    assert world.fires(pipeline) == {place: None, OTHER[place]: True}


def test_a_run_that_its_schedule_began_meanwhile_is_left_in_peace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, client = world.deployed(), world.near.client
    world.both.behave(pipeline["id"], "hang")
    toggle = client.toggle_ingestion

    def late(ref_: PipelineRef, *, enabled: bool) -> ClientResponse:
        if not enabled:
            client.run_pipeline(ref_, RunOptions())
        return toggle(ref_, enabled=enabled)

    monkeypatch.setattr(client, "toggle_ingestion", late)
    with pytest.raises(RunsActive):
        world.both.mover.move(ref(pipeline), "airflow")
    assert world.fires(pipeline) == {"local": True, "airflow": None}
    [status] = client.get_pipeline_status(ref(pipeline), only_queued=False)
    assert status["pipelineState"] in ("queued", "running")


def test_a_trigger_waits_for_the_move_and_runs_where_the_pipeline_is_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, deploy = world.deployed(), world.airflow.client.deploy_pipeline
    arrived, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow(document: Document, **options: Any) -> ClientResponse:
        arrived.set()
        assert go_on.wait(30)
        return deploy(document, **options)

    def trigger() -> str | None:
        run_id = world.both.client.run_pipeline(PipelineRef(pipeline["name"]), RunOptions()).run_id
        done.set()
        return run_id

    monkeypatch.setattr(world.airflow.client, "deploy_pipeline", slow)
    with ThreadPoolExecutor(2) as pool:
        moved = pool.submit(world.both.mover.move, ref(pipeline), "airflow")
        assert arrived.wait(30)
        triggered = pool.submit(trigger)
        assert not done.wait(0.2)
        go_on.set()
        assert moved.result(60).unfinished is None
        run_id = triggered.result(60)
    wait_until(lambda: state_of(world.far.client, pipeline, run_id) == "success", timeout_s=30)


def test_what_nobody_has_cannot_be_moved(world: World) -> None:
    with pytest.raises(PipelineNotFound):
        world.both.mover.move(ref(a_pipeline()), "airflow")
    with pytest.raises(OrchestratorRejected, match="as an orchestrator"):
        world.both.mover.move(ref(world.deployed()), "noop")


def test_what_belongs_to_a_runtime_stays(world: World) -> None:
    pipeline = a_pipeline()
    world.both.client.deploy_pipeline(pipeline, runtime="default")
    with pytest.raises(OrchestratorRejected, match=r"runtime 'default'.*without /runtimes/"):
        world.both.mover.move(ref(pipeline), "airflow")
    assert world.fires(pipeline) == {"local": True, "airflow": None}


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("get_service_status", ClientResponse(500, "It is down.", "Airflow")),
        ("deploy_pipeline", InvalidPipelineConfig("Airflow does not like it.")),
        ("deploy_pipeline", OrchestratorUnavailable("No answer in time.")),
        ("deploy_pipeline", ClientResponse(500, "Hm.", "Airflow")),
        ("get_pipeline_status", PipelineNotFound("Airflow does not know it.")),
    ],
)
def test_what_fails_leaves_it_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str, answer: MinischedError | ClientResponse
) -> None:
    pipeline = world.deployed()
    real = getattr(world.airflow.client, verb)

    def failing(*arguments: Any, **options: Any) -> ClientResponse:
        if verb == "deploy_pipeline":
            real(*arguments, **options)  # it may have arrived, whatever was answered
        if isinstance(answer, MinischedError):
            raise answer
        return answer

    monkeypatch.setattr(world.airflow.client, verb, failing)
    with pytest.raises((MinischedError,), match=r"down|like|answer|Hm|not known there yet"):
        world.both.mover.move(ref(pipeline), "airflow")
    assert world.fires(pipeline) == {"local": True, "airflow": None}
    assert world.both.mover.unfinished() == []
    placement = world.restarted().mover.placement(ref(pipeline))
    assert placement is not None
    assert placement.client == "local"


def test_an_old_place_that_does_not_answer_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = world.deployed()
    world.both.mover.move(ref(pipeline), "airflow")

    def silent(*_: Any) -> None:
        raise OrchestratorUnavailable("Airflow does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(world.airflow.client, "delete_pipeline", silent)
        moved = world.both.mover.move(ref(pipeline), "local")
        assert moved.unfinished == "Airflow does not answer."
        assert world.fires(pipeline) == {"local": True, "airflow": False}
        with pytest.raises(OrchestratorUnavailable):
            world.both.mover.settle(ref(pipeline))
    assert [placement.pipeline_id for placement in world.both.mover.unfinished()] == [pipeline["id"]]
    # Whoever changes the pipeline next ends the move first.
    world.both.client.deploy_pipeline({**pipeline, "enabled": False})
    assert world.fires(pipeline) == {"local": False, "airflow": None}
    assert world.both.mover.unfinished() == []


class Died(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("origin", ["local", "airflow"])
@pytest.mark.parametrize("step", STEPS)
def test_wherever_it_is_cut_off_the_pipeline_is_in_one_place_at_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, origin: ClientName, enabled: bool
) -> None:
    pipeline, target = world.deployed(enabled=enabled), OTHER[origin]
    if origin == "airflow":
        world.both.mover.move(ref(pipeline), "airflow")
    seen: list[str] = []

    def reach(name: str) -> None:
        if name.startswith("after_move_"):
            seen.append(name.removeprefix("after_move_"))
            assert list(world.fires(pipeline).values()).count(True) <= 1
            if seen[-1] == step:
                raise Died

    monkeypatch.setattr(failpoints, "reach", reach)
    with pytest.raises(Died):
        world.both.mover.move(ref(pipeline), target)
    assert seen == list(STEPS[: STEPS.index(step) + 1])
    next_look = world.restarted()
    [cut_off] = next_look.mover.unfinished()
    next_look.mover.settle(ref(pipeline))
    place = origin if STEPS.index(step) < STEPS.index("placed") else target
    assert world.fires(pipeline) == {place: enabled, OTHER[place]: None}
    settled = next_look.mover.placement(ref(pipeline))
    assert settled == replace(cut_off, also_in=None)
    assert settled is not None
    assert settled.client == place
    assert next_look.client.run_pipeline(ref(pipeline), RunOptions()).code == 200
