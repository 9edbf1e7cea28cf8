"""A secret that was sent is in no answer, no log entry and no file afterwards (contract §3.18)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from minisched.domain.pipeline import Document
from minisched.domain.run import RunState
from minisched.ports import RunQuery
from tests.api_worlds import PIPELINES, in_process
from tests.contract.conftest import api_of
from tests.contract.ingestion_pipelines import a_status, document, encoded

CANARY = "canary-7c1e55"


def config(suffix: str = "") -> Document:
    return {
        "type": "Application",
        "appConfig": {
            "type": "Mailer",
            "password": CANARY + suffix,
            "targets": [{"token": CANARY + suffix}],
            "nested": {"apiKey": CANARY + suffix},
        },
        "appPrivateConfig": {"anything": CANARY + suffix},
    }


def test_a_canary_is_never_seen_again(tmp_path: Path) -> None:
    answers: list[Any] = []
    with capture_logs() as logs, in_process(tmp_path) as world:
        api = api_of(world)
        request = api.request(pipelineType="application", sourceConfig={"config": config()})
        pipeline = document(api.post(body=request))
        path, fqn = f"/{pipeline['id']}", encoded(pipeline["fullyQualifiedName"])
        secret = "/sourceConfig/config/appConfig/password"
        answers += [
            api.post(body=request),
            api.put(body={**request, "sourceConfig": {"config": config("-2")}}),
            api.patch(path, {"op": "replace", "path": secret, "value": CANARY + "-3"}),
            api.patch(path, {"op": "test", "path": secret, "value": CANARY}),
            api.patch(path, {"op": "move", "from": secret, "path": "/description"}),
            api.patch(path, {"op": "copy", "from": "/sourceConfig/config/appPrivateConfig", "path": "/displayName"}),
            api.patch(path, {"op": "replace", "path": "/sourceConfig", "value": CANARY}),
            api.patch(path, {"op": "replace", "path": "/airflowConfig", "value": {"retries": CANARY}}),
            api.post(f"/deploy/{pipeline['id']}"),
            api.post("/bulk/deploy", [pipeline["id"]]),
            api.post(f"/trigger/{pipeline['id']}", {"appConfigOverride": {"password": CANARY + "-4"}}),
            api.put(f"/{fqn}/pipelineStatus", a_status(config={"appConfig": {"password": CANARY}})),
            api.post(f"/toggleIngestion/{pipeline['id']}"),
            api.post(f"/kill/{pipeline['id']}"),
        ]
        (run,) = world.stores.runs.search(RunQuery(states=(RunState.STOPPED,)))
        assert run.overrides == {"appConfig": {"password": CANARY + "-4"}}
        answers += [api.get(read, fields="*") for read in ("", path, f"/name/{fqn}")]
        answers += [api.get(read) for read in (f"{path}/versions", f"{path}/versions/0.1", f"/{fqn}/pipelineStatus")]
        answers += [world.http.get(f"/api/v1/minisched/runs{read}") for read in ("", f"/{run.id}", f"/{run.id}/log")]
        answers.append(api.delete(path, hardDelete="true"))
        deployed = world.alarm.schedules
        assert deployed == {}
        assert CANARY not in str(logs)
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert all(answer.status_code < 500 for answer in answers)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]


def test_the_orchestrator_gets_the_secret_itself(tmp_path: Path) -> None:
    with in_process(tmp_path, scripted=True) as world:
        api = api_of(world)
        pipeline = api.deployed(pipelineType="application", sourceConfig={"config": config()})
        api.put(body={**_again(pipeline), "displayName": "renamed", "loggerLevel": "DEBUG"})
        for call in world.scripted.asked("deploy"):
            assert call.subject["sourceConfig"]["config"] == config()
        assert world.http.get(f"{PIPELINES}/{pipeline['id']}").json()["version"] == 0.3


def _again(pipeline: Document) -> Document:
    """A create request made of what the API showed."""
    kept = ("name", "pipelineType", "sourceConfig", "airflowConfig", "service")
    return {field: pipeline[field] for field in kept}
