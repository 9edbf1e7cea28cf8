"""What the API does when the orchestrator refuses, is out of reach, or knows something else (contract §3.8-§3.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from minisched.domain.errors import (
    InvalidPipelineConfig,
    MinischedError,
    NameCollision,
    OrchestratorRejected,
    OrchestratorUnavailable,
    PipelineNotFound,
    RuntimeUnusable,
    StoreUnavailable,
)
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.ports import ClientResponse, LogPage
from tests.api_worlds import PIPELINES, World, in_process
from tests.contract.conftest import api_of
from tests.contract.ingestion_pipelines import Api, a_status, document, encoded, refused
from tests.waiting import wait_until

DOWN = OrchestratorUnavailable("The orchestrator does not answer.")
REFUSED = OrchestratorRejected("The orchestrator says no.")


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with in_process(tmp_path_factory.mktemp("api"), scripted=True) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    """Nothing scripted and nothing asked yet."""
    shared_world.scripted.answers.clear()
    shared_world.scripted.calls.clear()
    return shared_world


@pytest.fixture
def api(world: World) -> Api:
    return api_of(world)


def schedule(value: str) -> Document:
    return {"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": value}


# --- deploy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (REFUSED, 400),
        (RuntimeUnusable("No runtime."), 400),
        (InvalidPipelineConfig("is unknown", field="sourceConfig.config.x"), 400),
        (NameCollision("Taken."), 409),
        (DOWN, 503),
        (StoreUnavailable("The disk is full."), 503),
    ],
)
def test_a_refused_deploy_says_why_and_changes_nothing(
    world: World, api: Api, error: MinischedError, code: int
) -> None:
    pipeline = api.created()
    world.scripted.script("deploy", error)
    answer = api.post(f"/deploy/{pipeline['id']}")
    refused(answer, code, str(error))
    assert ("Retry-After" in answer.headers) is (code == 503)
    assert api.current(pipeline) == pipeline


def test_a_client_that_answers_with_another_code_did_not_deploy(world: World, api: Api) -> None:
    pipeline = api.created()
    world.scripted.script("deploy", ClientResponse(500, "no room", "scripted"))
    answer = document(api.post(f"/deploy/{pipeline['id']}"))
    assert answer == {"code": 500, "reason": "no room", "platform": "scripted"}
    assert api.current(pipeline)["deployed"] is False


def test_what_is_deployed_is_what_is_stored_with_its_secrets(world: World, api: Api) -> None:
    config = {"type": "Application", "appConfig": {"type": "Mailer", "password": "s3cret"}}
    pipeline = api.deployed(pipelineType="application", sourceConfig={"config": config})
    sent = world.scripted.asked("deploy")[-1].subject
    assert sent["sourceConfig"]["config"]["appConfig"]["password"] == "s3cret"
    assert sent == world.stores.pipelines.get(pipeline["id"]).document
    assert (sent["deployed"], sent["version"]) == (True, 0.2)


# --- deploying anew ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["patch", "put"])
@pytest.mark.parametrize("answer", [REFUSED, DOWN, ClientResponse(500, "The orchestrator says no.", "scripted")])
def test_a_change_that_cannot_be_deployed_is_not_saved(world: World, api: Api, change: str, answer: Any) -> None:
    pipeline = api.deployed()
    world.scripted.script("deploy", answer)
    if change == "patch":
        said = api.patch(f"/{pipeline['id']}", schedule("0 3 * * *"))
    else:
        said = api.put(body=api.request(name=pipeline["name"], airflowConfig={"scheduleInterval": "0 3 * * *"}))
    message = refused(said, 400)
    assert message.startswith("Deployment failed: The orchestrator ")
    assert message.endswith(". Changes not saved.")
    assert said.json()["errorType"] == "DEPLOYMENT_ERROR"
    assert api.current(pipeline) == pipeline


def test_a_change_is_deployed_before_it_is_stored(world: World, api: Api) -> None:
    pipeline = api.deployed()
    seen: list[str] = []

    def deploy(sent: Document) -> ClientResponse:
        stored = world.stores.pipelines.get(sent["id"]).document
        seen.append(stored["airflowConfig"]["scheduleInterval"] + " → " + sent["airflowConfig"]["scheduleInterval"])
        return ClientResponse(200, None, "scripted")

    world.scripted.script("deploy", deploy)
    api.patch(f"/{pipeline['id']}", schedule("0 3 * * *"))
    assert seen == ["0 2 * * * → 0 3 * * *"]


def test_what_the_orchestrator_does_not_act_on_is_not_deployed(world: World, api: Api) -> None:
    pipeline = api.deployed()
    world.scripted.calls.clear()
    api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "x"})
    undeployed = api.created()
    api.patch(f"/{undeployed['id']}", schedule("0 3 * * *"))
    assert world.scripted.calls == []


def test_what_could_not_be_stored_is_taken_back_from_the_orchestrator(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = api.deployed()

    def full(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The disk of the database is full.")

    monkeypatch.setattr(world.stores.pipelines, "replace", full)
    refused(api.patch(f"/{pipeline['id']}", schedule("0 3 * * *")), 503, "disk")
    crons = [call.subject["airflowConfig"]["scheduleInterval"] for call in world.scripted.asked("deploy")]
    assert crons == ["0 2 * * *", "0 3 * * *", "0 2 * * *"]


# --- toggle -----------------------------------------------------------------------------------------------------------


def test_a_toggle_tells_the_orchestrator_and_deploys(world: World, api: Api) -> None:
    pipeline = api.deployed()
    assert document(api.post(f"/toggleIngestion/{pipeline['id']}"))["enabled"] is False
    assert [call.details["enabled"] for call in world.scripted.asked("toggle")] == [False]
    assert world.scripted.asked("deploy")[-1].subject["enabled"] is False


def test_what_the_orchestrator_does_not_know_is_not_deployed_any_more(world: World, api: Api) -> None:
    pipeline = api.deployed()
    world.scripted.calls.clear()
    world.scripted.script("toggle", ClientResponse(404, "not deployed", "scripted"))
    after = document(api.post(f"/toggleIngestion/{pipeline['id']}"))
    assert (after["deployed"], after["enabled"]) == (False, True)
    assert world.scripted.asked("deploy") == []


@pytest.mark.parametrize(
    ("answer", "code"), [(ClientResponse(500, "no", "scripted"), 400), (REFUSED, 400), (DOWN, 503)]
)
def test_a_failed_toggle_changes_nothing(world: World, api: Api, answer: Any, code: int) -> None:
    pipeline = api.deployed()
    world.scripted.script("toggle", answer)
    refused(api.post(f"/toggleIngestion/{pipeline['id']}"), code)
    assert api.current(pipeline) == pipeline


def test_a_toggle_that_cannot_be_deployed_is_undone(world: World, api: Api) -> None:
    pipeline = api.deployed()
    world.scripted.script("deploy", REFUSED)
    refused(api.post(f"/toggleIngestion/{pipeline['id']}"), 400, "Changes not saved")
    assert [call.details["enabled"] for call in world.scripted.asked("toggle")] == [False, True]
    assert api.current(pipeline) == pipeline


# --- trigger and kill -------------------------------------------------------------------------------------------------


def test_a_trigger_passes_on_what_it_was_asked(world: World, api: Api) -> None:
    pipeline = api.deployed()
    overrides = {"appConfigOverride": {"a": 1}, "sourceConfigOverride": {"b": None}}
    path = f"{PIPELINES}/trigger/{pipeline['id']}"
    world.http.post(path, json=overrides, headers={"Idempotency-Key": "once"})
    options = world.scripted.asked("run")[-1].details["options"]
    assert (options.app_config_override, options.source_config_override) == ({"a": 1}, {"b": None})
    assert (options.idempotency_key, options.requested_by) == ("once", "admin")
    assert world.http.post(path, content=b"  ").status_code == 200


def test_a_run_that_only_the_orchestrator_knows_is_noted_as_queued(world: World, api: Api) -> None:
    pipeline, run_id = api.deployed(), str(uuid4())
    world.scripted.script("run", ClientResponse(200, "triggered", "scripted", run_id=run_id))
    assert document(api.post(f"/trigger/{pipeline['id']}"))["runId"] == run_id
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    now = to_ms(world.stores.clock.now())
    queued = {"runId": run_id, "pipelineState": "queued", "startDate": now, "timestamp": now}
    assert document(api.get(path))["data"] == [queued]
    world.stores.clock.advance(3601)
    assert document(api.get(path))["data"] == []


@pytest.mark.parametrize(("answer", "code"), [(REFUSED, 400), (DOWN, 503), (PipelineNotFound("x"), 400)])
@pytest.mark.parametrize(("verb", "asked"), [("trigger", "run"), ("kill", "kill")])
def test_a_refused_verb_says_why(world: World, api: Api, verb: str, asked: str, answer: Any, code: int) -> None:
    pipeline = api.deployed()
    world.scripted.script(asked, answer)
    body = api.post(f"/{verb}/{pipeline['id']}").json()
    assert (body["code"], body["errorType"]) == (code, "PIPELINE_SERVICE_ERROR")


def test_one_run_is_killed_among_several(world: World, api: Api) -> None:
    pipeline, run_id = api.deployed(), str(uuid4())
    assert api.post(f"/kill/{pipeline['id']}?runId={run_id}").json()["code"] == 200
    assert world.scripted.asked("kill")[0].details == {"run_id": run_id, "by": "admin"}


# --- delete -----------------------------------------------------------------------------------------------------------


def test_a_soft_delete_does_not_touch_the_orchestrator(world: World, api: Api) -> None:
    pipeline = api.deployed()
    api.delete(f"/{pipeline['id']}")
    assert world.scripted.asked("delete") == []
    api.delete(f"/{pipeline['id']}", hardDelete="true")
    assert [call.subject.id for call in world.scripted.asked("delete")] == [pipeline["id"]]


@pytest.mark.parametrize(("answer", "code"), [(DOWN, 503), (REFUSED, 400), (ClientResponse(500, "no", "s"), 400)])
def test_an_orchestrator_that_does_not_forget_keeps_the_pipeline(
    world: World, api: Api, answer: Any, code: int
) -> None:
    pipeline = api.deployed()
    world.scripted.script("delete", answer)
    refused(api.delete(f"/{pipeline['id']}", hardDelete="true"), code)
    assert api.current(pipeline) == pipeline
    forced = api.delete(f"/{pipeline['id']}", hardDelete="true", force="true")
    assert forced.headers["X-OpenMetadata-Runner-Cleanup"] == "skipped-unavailable"
    refused(api.get(f"/{pipeline['id']}", include="all"), 404)


def test_what_was_never_deployed_is_deleted_without_the_orchestrator(world: World, api: Api) -> None:
    pipeline = api.created()
    world.scripted.script("delete", REFUSED)
    assert api.delete(f"/{pipeline['id']}", hardDelete="true").status_code == 200


def test_a_delete_in_the_background_answers_first(world: World, api: Api) -> None:
    pipeline = api.deployed()
    answer = api.delete(f"/async/{pipeline['id']}", hardDelete="true")
    body = answer.json()
    assert answer.status_code == 202
    assert body["message"] == f"Delete operation initiated for {pipeline['name']}"
    assert (body["entityName"], body["hardDelete"], body["recursive"]) == (pipeline["name"], True, False)
    wait_until(lambda: api.get(f"/{pipeline['id']}", include="all").status_code == 404)


def test_a_delete_that_fails_in_the_background_is_logged(world: World, api: Api) -> None:
    pipeline = api.deployed()
    world.scripted.script("delete", DOWN)
    with capture_logs() as logs:
        assert api.delete(f"/async/{pipeline['id']}", hardDelete="true").status_code == 202
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["pipeline.job_failed"]
    assert api.current(pipeline) == pipeline


# --- status, address, statuses, logs ----------------------------------------------------------------------------------


def test_an_unhealthy_orchestrator_is_an_answer_and_no_error(world: World, api: Api) -> None:
    world.scripted.script("status", ClientResponse(500, "No runtime.", "scripted"))
    answer = api.get("/status")
    assert (answer.status_code, answer.json()) == (200, {"code": 500, "reason": "No runtime.", "platform": "scripted"})


def test_an_unknown_address_is_a_sentence(world: World, api: Api) -> None:
    world.scripted.script("ip", DOWN)
    assert document(api.get("/ip"))["ip"].startswith("Failed to find the IP")


def test_queued_runs_of_the_orchestrator_are_listed_with_what_was_reported(world: World, api: Api) -> None:
    pipeline, reported = api.deployed(), a_status(timestamp=2000)
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    api.put(path, reported)
    queued = {"runId": "queued-1", "pipelineState": "queued", "timestamp": 3000, "startDate": None, "endDate": None}
    known = {"runId": reported["runId"], "pipelineState": "queued", "timestamp": 1}
    world.scripted.script("statuses", [queued, known])
    listed = document(api.get(path))["data"]
    assert listed == [{"runId": "queued-1", "pipelineState": "queued", "timestamp": 3000}, reported]
    assert world.scripted.asked("statuses")[-1].details == {"only_queued": True}


@pytest.mark.parametrize("error", [DOWN, REFUSED, PipelineNotFound("x")])
def test_an_orchestrator_that_is_out_of_reach_hides_no_status(world: World, api: Api, error: MinischedError) -> None:
    pipeline, reported = api.deployed(), a_status()
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    api.put(path, reported)
    world.scripted.script("statuses", error)
    assert document(api.get(path))["data"] == [reported]


def paged(*texts: str) -> Callable[[int | None], LogPage]:
    def page(after: int | None) -> LogPage:
        index = after or 0
        return LogPage("usage_task", texts[index], len(texts), index + 1 if index + 1 < len(texts) else None)

    return page


def test_a_page_of_a_log_is_a_map_of_texts(world: World, api: Api) -> None:
    pipeline = api.deployed()
    world.scripted.script("logs", paged("one\n", "two\n", "three\n"))
    for key in (pipeline["id"], encoded(pipeline["fullyQualifiedName"])):
        assert document(api.get(f"/logs/{key}/last")) == {"usage_task": "one\n", "total": "3", "after": "1"}
        assert document(api.get(f"/logs/{key}/last", after="2")) == {"usage_task": "three\n", "total": "3"}
        assert document(api.get(f"/logs/{key}/last", after=""))["after"] == "1"


def test_a_log_is_downloaded_whole(world: World, api: Api) -> None:
    pipeline = api.deployed(name="名前 and\\more")
    world.scripted.script("logs", paged("one\n", "tw", "o\n", "日本\n"))
    answer = api.get(f"/logs/{pipeline['id']}/last/download")
    assert answer.content == "one\ntwo\n日本\n".encode()
    assert answer.headers["content-type"] == "application/octet-stream"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="ingestion_logs__and_more_')
    assert "filename*=UTF-8''ingestion_logs_%E5%90%8D%E5%89%8D%20and%5Cmore_" in disposition


def test_a_download_that_breaks_on_the_way_ends_there(world: World, api: Api) -> None:
    pipeline = api.deployed()
    pages = paged("one\n", "two\n")

    def breaking(after: int | None) -> LogPage:
        if after:
            raise DOWN
        return pages(after)

    world.scripted.script("logs", breaking)
    assert api.get(f"/logs/{pipeline['id']}/last/download").content == b"one\n"
    world.scripted.script("logs", DOWN)
    refused(api.get(f"/logs/{pipeline['id']}/last/download"), 503)


# --- mistakes of ours -------------------------------------------------------------------------------------------------


def test_an_unexpected_error_is_logged_once_and_not_told(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("s3cret detail")

    monkeypatch.setattr(world.stores.pipelines, "page", broken)
    with capture_logs() as logs:
        answer = api.get("")
    assert "s3cret" not in refused(answer, 500)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["http.unexpected"]


def test_a_store_that_does_not_answer_is_tried_again_later(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The database does not answer.")

    monkeypatch.setattr(world.stores.pipelines, "page", down)
    answer = api.get("")
    refused(answer, 503, "does not answer")
    assert answer.headers["Retry-After"] == "5"
