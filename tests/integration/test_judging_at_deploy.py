"""What becomes of a deployment by what the models of its runtime say, whichever interface deploys it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.api.airflow_plugin import AirflowPlugin, airflow_plugin_routers
from minisched.domain.errors import InvalidPipelineConfig, OrchestratorUnavailable
from minisched.domain.pipeline import Document, Judgement
from tests.airflow_java_client import basic, deploy_payload
from tests.api_worlds import PIPELINES, SERVICE_ID, World, a_create_request, in_process
from tests.fakes import FakeRuntimeChoice

HEADERS = {"Authorization": basic("admin", "pw")}
PROBLEMS = "Missing parameter 'a' in 'sourceConfig.config'\nInvalid parameter value for 'b' in 'airflowConfig'"
LEFT_OUT = "Left out when it runs, because openmetadata-ingestion 1.5.15.0 does not know it: sourceConfig.config.x, y"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_process(tmp_path) as world:
        plugin = AirflowPlugin(client=world.client, username="admin", password="pw", audit_trail=world.trail)
        for router in airflow_plugin_routers(plugin):
            world.app.register(router)
        yield world


def payload(**changes: Any) -> Document:
    return deploy_payload("http://om:8585/api", service={"id": SERVICE_ID, "name": "mysql"}, **changes)


def deployed_by_plugin(world: World, document: Document, start: str = "") -> tuple[int, Document]:
    answer = world.http.post(f"{start}/api/v1/openmetadata/deploy", json=document, headers=HEADERS)
    return answer.status_code, answer.json()


def listed(world: World) -> list[Document]:
    found: list[Document] = world.http.get("/api/v1/minisched/deployments").json()["data"]
    return found


def test_problems_are_said_line_by_line_and_nothing_is_deployed(world: World) -> None:
    world.judge.answer = InvalidPipelineConfig(PROBLEMS)
    entity = world.http.post(PIPELINES, json=a_create_request()).json()
    answer = world.http.post(f"{PIPELINES}/deploy/{entity['id']}")
    assert answer.status_code == 400
    assert PROBLEMS in answer.json()["message"]
    assert deployed_by_plugin(world, payload()) == (400, {"error": PROBLEMS})
    assert listed(world) == []


def test_what_a_run_leaves_out_is_named_in_the_answer_and_kept(world: World) -> None:
    world.judge.answer = Judgement("1.5.15.0", ("sourceConfig.config.x", "y"))
    document = payload()
    code, body = deployed_by_plugin(world, document)
    assert (code, body["message"]) == (200, f"Workflow [{document['name']}] has been created. {LEFT_OUT}")
    entity = world.http.post(PIPELINES, json=a_create_request()).json()
    assert LEFT_OUT in world.http.post(f"{PIPELINES}/deploy/{entity['id']}").json()["reason"]
    for deployment in listed(world):
        assert (deployment["checkedBy"], deployment["leftOut"]) == ("1.5.15.0", ["sourceConfig.config.x", "y"])
        assert "openMetadataServerConnection" not in deployment
    stored = world.stores.deployments.get(document["id"])
    assert stored is not None
    assert stored.document == document


def test_without_a_judge_it_is_deployed_and_said_so(world: World) -> None:
    world.judge.answer = OrchestratorUnavailable(
        "The runtime main is not ready: it is being started", hint="Try again."
    )
    document = payload()
    code, body = deployed_by_plugin(world, document)
    assert code == 200
    assert "was not checked by the models that will run it. The runtime main is not ready" in body["message"]
    [deployment] = listed(world)
    assert "checkedBy" not in deployment
    world.judge.answer = Judgement("2.0.7.0")
    said = f"Workflow [{document['name']}] has been created"
    assert deployed_by_plugin(world, document) == (200, {"message": said})
    assert listed(world)[0]["checkedBy"] == "2.0.7.0"


def test_the_endpoints_runtime_judges_and_runs(world: World) -> None:
    document = payload()
    assert deployed_by_plugin(world, document, "/runtimes/main")[0] == 200
    assert world.judge.asked[-1][1] == "main"
    assert listed(world)[0]["runtime"] == "main"


def test_a_runtime_that_does_not_exist_takes_nothing(world: World) -> None:
    code, body = deployed_by_plugin(world, payload(), "/runtimes/absent")
    assert (code, body["error"]) == (404, "There is no runtime 'absent'.")
    assert listed(world) == []


def test_nobody_is_asked_for_a_version_to_deploy(world: World) -> None:
    choice = world.client._chooser  # type: ignore[attr-defined]
    assert isinstance(choice, FakeRuntimeChoice)
    choice.undecided = True
    code, body = deployed_by_plugin(world, payload())
    assert code == 200
    assert "depends on the version of a server" in body["message"]
    assert world.judge.asked == []
