"""Pipelines of an OpenMetadata server that are deployed and managed over minisched's own routes, without an entity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minisched.domain.pipeline import Document
from tests.api_worlds import PIPELINES, World, a_create_request, in_process

DEPLOYMENTS = "/api/v1/minisched/deployments"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with in_process(tmp_path_factory.mktemp("api")) as world:
        yield world


def a_payload(**changes: Any) -> Document:
    name = f"nightly_{uuid4().hex[:8]}"
    return {
        "id": str(uuid4()),
        "name": name,
        "fullyQualifiedName": f"mysql.{name}",
        "pipelineType": "metadata",
        "service": {"id": str(uuid4()), "type": "databaseService", "name": "mysql", "fullyQualifiedName": "mysql"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "openMetadataServerConnection": {
            "hostPort": "http://om:8585/api",
            "securityConfig": {"jwtToken": "eyJ-not-shown"},
        },
        "airflowConfig": {"scheduleInterval": "0 2 * * *", "startDate": None},
        "enabled": True,
        "updatedAt": 1_700_000_000_000,
        "somethingNew": {"kept": [1, True, None]},
        **changes,
    }


def take_over(world: World, pipeline: Document, **options: Any) -> Any:
    return world.http.post(DEPLOYMENTS, json={"pipeline": pipeline, **options})


def test_a_pipeline_is_taken_over_whole_and_disabled_unless_asked(world: World) -> None:
    payload = a_payload()
    answer = take_over(world, payload)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["standing"], answer.json()["enabled"]) == ("new", False)
    stored = world.stores.deployments.get(payload["id"])
    assert stored is not None
    assert stored.document == {**payload, "enabled": False}
    assert stored.enabled is False
    assert "eyJ-not-shown" not in world.http.get(DEPLOYMENTS).text


def test_taking_over_again_is_unchanged_and_leaves_what_was_enabled_here(world: World) -> None:
    payload = a_payload()
    take_over(world, payload)
    assert take_over(world, payload).json() == {"standing": "unchanged", "enabled": False, "notes": []}
    assert world.http.post(f"{DEPLOYMENTS}/{payload['name']}/enable").status_code == 200
    assert take_over(world, payload).json() == {"standing": "unchanged", "enabled": True, "notes": []}
    assert take_over(world, payload, enabled=False).json()["standing"] == "changed"


def test_a_runtime_that_was_chosen_stays_until_another_is(world: World) -> None:
    payload = a_payload()
    assert take_over(world, payload, runtime="main").json()["standing"] == "new"
    assert take_over(world, payload).json()["standing"] == "unchanged"
    take_over(world, {**payload, "loggerLevel": "DEBUG"})
    stored = world.stores.deployments.get(payload["id"])
    assert stored is not None
    assert stored.runtime == "main"
    unknown = take_over(world, a_payload(), runtime="nosuch")
    assert unknown.status_code == 404
    assert "nosuch" in unknown.json()["message"]


def test_what_openmetadata_deployed_later_is_not_replaced_but_can_be_enabled(world: World) -> None:
    later = a_payload(updatedAt=1_700_000_000_001)
    take_over(world, later)
    earlier = {**later, "updatedAt": 1_700_000_000_000, "loggerLevel": "DEBUG"}
    answer = take_over(world, earlier, enabled=True).json()
    assert (answer["standing"], answer["enabled"]) == ("outdated", True)
    stored = world.stores.deployments.get(later["id"])
    assert stored is not None
    assert (stored.document.get("loggerLevel"), stored.enabled) == (None, True)


def test_a_dry_run_says_the_same_and_changes_nothing(world: World) -> None:
    payload = a_payload()
    assert take_over(world, payload, dryRun=True, enabled=True).json()["standing"] == "new"
    assert world.stores.deployments.get(payload["id"]) is None


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"id": None}, 400, "Missing parameter 'id'"),
        ({"airflowConfig": {"scheduleInterval": "never"}}, 400, "airflowConfig.scheduleInterval"),
        (
            {"openMetadataServerConnection": {"hostPort": "http://om", "secretsManagerLoader": "airflow"}},
            400,
            "secretsManagerLoader",
        ),
    ],
)
def test_what_cannot_run_here_is_refused_without_a_value(
    world: World, dry_run: bool, changes: Document, code: int, said: str
) -> None:
    answer = take_over(world, a_payload(**changes), dryRun=dry_run)
    assert answer.status_code == code
    assert said in answer.json()["message"]
    assert "eyJ-not-shown" not in answer.text


@pytest.mark.parametrize("dry_run", [True, False])
def test_two_names_with_one_workflow_id_are_told_apart(world: World, dry_run: bool) -> None:
    take_over(world, a_payload(name="shop daily", fullyQualifiedName="a.shop daily"))
    answer = take_over(world, a_payload(name="shop.daily", fullyQualifiedName='b."shop.daily"'), dryRun=dry_run)
    assert answer.status_code == 409
    assert "a.shop daily" in answer.json()["message"]


def test_it_is_triggered_enabled_killed_and_deleted_by_name_fqn_or_id(world: World) -> None:
    payload = a_payload()
    take_over(world, payload)
    run_id = world.http.post(f"{DEPLOYMENTS}/{payload['fullyQualifiedName']}/trigger").json()["runId"]
    assert world.stores.runs.get(run_id).pipeline_id == payload["id"]
    for verb, enabled in (("enable", True), ("disable", False)):
        assert world.http.post(f"{DEPLOYMENTS}/{payload['name']}/{verb}").status_code == 200
        stored = world.stores.deployments.get(payload["id"])
        assert stored is not None
        assert stored.enabled is enabled
    assert world.http.post(f"{DEPLOYMENTS}/{payload['id']}/kill").status_code == 200
    assert world.http.post(f"{DEPLOYMENTS}/{payload['id']}/kill").status_code == 400
    assert world.http.delete(f"{DEPLOYMENTS}/{payload['id']}").status_code == 200
    assert world.http.delete(f"{DEPLOYMENTS}/{payload['id']}").status_code == 404
    assert world.http.get(f"{PIPELINES}/{payload['id']}").status_code == 404


def test_what_has_an_entity_here_is_changed_by_it_and_may_be_run(world: World) -> None:
    entity = world.http.post(PIPELINES, json=a_create_request()).json()
    assert world.http.post(f"{PIPELINES}/deploy/{entity['id']}").status_code == 200
    path = f"{DEPLOYMENTS}/{entity['id']}"
    answers = [
        world.http.post(f"{path}/disable"),
        world.http.post(f"{path}/enable"),
        world.http.delete(path),
        take_over(world, a_payload(id=entity["id"])),
    ]
    assert [answer.status_code for answer in answers] == [409] * 4
    assert all("minisched pipeline" in answer.json()["message"] for answer in answers)
    assert world.http.post(f"{path}/trigger").json()["runId"]


@pytest.mark.parametrize("verb", ["trigger", "enable", "disable", "kill"])
def test_what_is_not_deployed_is_not_found(world: World, verb: str) -> None:
    for key in ("nosuch", str(uuid4())):
        assert world.http.post(f"{DEPLOYMENTS}/{key}/{verb}").status_code == 404


def test_a_server_that_runs_nothing_itself_takes_nothing_over(tmp_path: Any) -> None:
    with in_process(tmp_path, scripted=True) as elsewhere:
        elsewhere.scripted.platform = "Airflow"
        answer = take_over(elsewhere, a_payload())
        assert answer.status_code == 400
        assert "client: local" in answer.json()["message"]


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from(["@daily", "UTC", "\0"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(sorted(a_payload())), VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["scheduleInterval", "startDate", "retries", "maxActiveRuns"]), VALUES, max_size=2),
    st.booleans(),
)
def test_no_payload_is_more_than_refused(world: World, changes: Document, config: Document, dry_run: bool) -> None:
    payload = a_payload()
    payload["airflowConfig"] |= config
    answer = take_over(world, {**payload, **changes}, dryRun=dry_run)
    assert answer.status_code < 500, answer.text
