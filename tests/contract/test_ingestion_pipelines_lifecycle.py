"""Deploy, trigger, toggle, kill and pipelineStatus over HTTP (contract §3.8-§3.11, §3.15)."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID, uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import CHANGE, Api, a_status, document, encoded, refused


def status_path(pipeline: Document) -> str:
    return f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"


# --- deploy -----------------------------------------------------------------------------------------------------------


def test_deploying_is_a_version_and_deploying_again_is_none(api: Api) -> None:
    pipeline = api.created()
    answer = document(api.post(f"/deploy/{pipeline['id']}"))
    assert answer["code"] == 200
    assert answer.keys() <= {"code", "reason", "platform", "version"}
    deployed = api.current(pipeline)
    assert (deployed["deployed"], deployed["version"]) == (True, 0.2)
    again = document(api.post(f"/deploy/{pipeline['id']}"))
    assert again["code"] == 200
    assert "unchanged" in again["reason"]
    assert api.current(pipeline) == deployed


def test_a_type_without_a_workflow_is_refused(api: Api) -> None:
    pipeline = api.created(pipelineType="policyAgent", sourceConfig={"config": {"type": "PolicyAgent"}})
    refused(api.post(f"/deploy/{pipeline['id']}"), 400, "policyAgent")
    assert api.current(pipeline)["deployed"] is False


def test_many_are_deployed_and_a_bad_one_stops_nothing(api: Api) -> None:
    one, other = api.created(), api.created()
    bad = api.created(pipelineType="policyAgent", sourceConfig={"config": {"type": "PolicyAgent"}})
    unknown = str(uuid4())
    answers = api.post("/bulk/deploy", [one["id"], bad["id"], unknown, other["id"]]).json()
    assert [answer["code"] for answer in answers] == [200, 500, 500, 200]
    assert answers[1]["reason"].startswith(f"Error deploying [{bad['id']}] due to [")
    assert "not found" in answers[2]["reason"]
    assert api.current(other)["deployed"] is True
    assert api.post("/bulk/deploy", []).json() == []


def test_a_change_of_what_is_deployed_is_deployed(api: Api) -> None:
    pipeline = api.deployed()
    path = f"/{pipeline['id']}"
    after = document(api.patch(path, {"op": "replace", "path": "/loggerLevel", "value": "DEBUG"}))
    assert after["version"] == pytest.approx(pipeline["version"] + 0.1)
    again = document(api.post(f"/deploy/{pipeline['id']}"))
    assert "unchanged" in again["reason"]


def test_an_invalid_schedule_changes_nothing(api: Api) -> None:
    pipeline = api.deployed()
    operation = {"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 0 31 2 *"}
    refused(api.patch(f"/{pipeline['id']}", operation), 400, "airflowConfig.scheduleInterval")
    assert api.current(pipeline) == pipeline


# --- toggle -----------------------------------------------------------------------------------------------------------


def test_toggling_twice_is_where_it_was(api: Api) -> None:
    pipeline = api.deployed()
    off = document(api.post(f"/toggleIngestion/{pipeline['id']}"))
    assert (off["enabled"], off["deployed"]) == (False, True)
    assert off["changeDescription"]["fieldsUpdated"][0]["name"] == "enabled"
    on = document(api.post(f"/toggleIngestion/{pipeline['id']}"))
    assert on["enabled"] is True


def test_what_is_not_deployed_is_not_toggled(api: Api) -> None:
    pipeline = api.created()
    answer = document(api.post(f"/toggleIngestion/{pipeline['id']}"))
    assert (answer["enabled"], answer["deployed"]) == (True, False)


# --- trigger ----------------------------------------------------------------------------------------------------------


def test_a_trigger_answers_with_a_run_that_is_listed(api: Api) -> None:
    pipeline = api.deployed()
    answer = document(api.post(f"/trigger/{pipeline['id']}"))
    assert answer["code"] == 200
    run_id = str(UUID(answer["runId"]))
    statuses = document(api.get(status_path(pipeline)))
    assert [status["runId"] for status in statuses["data"]] == [run_id]
    shown = document(api.get(f"/{pipeline['id']}", fields="pipelineStatuses"))
    assert [status["runId"] for status in shown["pipelineStatuses"]] == [run_id]
    run = document(api.http.get(f"/api/v1/minisched/runs/{run_id}"))
    assert (run["id"], run["pipelineId"], run["requestedBy"]) == (run_id, pipeline["id"], "admin")


def test_a_run_that_has_not_reported_is_an_empty_success(api: Api) -> None:
    pipeline = api.deployed()
    run_id = document(api.post(f"/trigger/{pipeline['id']}"))["runId"]
    nobody = api.get(f"{status_path(pipeline)}/{uuid4()}")
    assert (nobody.status_code, nobody.content) == (204, b"")
    answer = api.get(f"{status_path(pipeline)}/{run_id}")
    if answer.status_code == 200:  # where no runtime is, it may have failed by now, and that was reported for it
        assert document(answer)["pipelineState"] == "failed"
    else:
        assert (answer.status_code, answer.content) == (204, b"")


def test_the_same_key_is_the_same_run(api: Api) -> None:
    pipeline = api.deployed()
    path = f"/api/v1/services/ingestionPipelines/trigger/{pipeline['id']}"
    key = str(uuid4())
    first, second = (api.http.post(path, headers={"Idempotency-Key": key}).json()["runId"] for _ in range(2))
    other = api.http.post(path, headers={"Idempotency-Key": key + "x"}).json()["runId"]
    assert first == second != other


def test_what_is_disabled_is_triggered_all_the_same(api: Api) -> None:
    pipeline = api.deployed()
    api.post(f"/toggleIngestion/{pipeline['id']}")
    assert document(api.post(f"/trigger/{pipeline['id']}"))["code"] == 200


@pytest.mark.parametrize("verb", ["trigger", "kill"])
def test_what_is_not_deployed_has_to_be_deployed_first(api: Api, verb: str) -> None:
    pipeline = api.created()
    refused(api.post(f"/{verb}/{pipeline['id']}"), 400, "not deployed", "Deploy it first")
    refused(api.get(f"/logs/{pipeline['id']}/last"), 400, "not deployed")


def test_killing_nothing_is_refused(api: Api) -> None:
    refused(api.post(f"/kill/{api.deployed()['id']}"), 400, "no running or pending runs")


def test_the_log_of_what_never_ran_is_not_found(api: Api) -> None:
    pipeline = api.deployed()
    refused(api.get(f"/logs/{pipeline['id']}/last"), 404, "no run")
    refused(api.get(f"/logs/{pipeline['id']}/last", after="x"), 400, "after")
    refused(api.get(f"/logs/{pipeline['id']}/last", after="-1"), 400, "after")
    refused(api.get(f"/logs/{pipeline['id']}/last", after="9" * 40), 400, "after")
    refused(api.get(f"/logs/{pipeline['id']}/last", runId=str(uuid4())), 404)
    refused(api.get(f"/logs/{pipeline['id']}/last", runId="../../etc/passwd"), 404)


# --- the orchestrator -------------------------------------------------------------------------------------------------


def test_the_orchestrator_says_how_and_where_it_is(api: Api) -> None:
    status = document(api.get("/status"))
    assert status["code"] in (200, 500)
    assert status["platform"]
    assert document(api.get("/ip")).keys() == {"ip"}


# --- pipelineStatus ---------------------------------------------------------------------------------------------------


def test_a_reported_status_is_kept_as_it_was_reported(api: Api) -> None:
    pipeline = api.created()
    steps = [{"name": "Mysql", "records": 120, "errors": 2, "failures": [{"name": "db.t", "error": "boom"}]}]
    final = a_status(
        pipelineState="partialSuccess", status=steps, metadata={"workflow": {"serviceName": "x"}}, config={}
    )
    started = {**final, "pipelineState": "running"}
    del started["status"]
    first = api.put(status_path(pipeline), started)
    assert (first.status_code, first.headers[CHANGE]) == (201, "entityFieldsChanged")
    event = document(api.put(status_path(pipeline), final))
    assert (event["eventType"], event["entityType"]) == ("entityFieldsChanged", "ingestionPipeline")
    assert event["entityId"] == pipeline["id"]
    assert event["entityFullyQualifiedName"] == pipeline["fullyQualifiedName"]
    change = event["changeDescription"]["fieldsUpdated"][0]
    assert (change["name"], change["oldValue"], change["newValue"]) == ("pipelineStatus", started, final)
    assert document(api.get(f"{status_path(pipeline)}/{final['runId']}")) == final
    assert api.current(pipeline)["version"] == pipeline["version"]


def test_the_latest_five_are_listed_unless_more_are_asked_for(api: Api) -> None:
    pipeline = api.created()
    for day in range(8):
        api.put(status_path(pipeline), a_status(timestamp=1000 * day + 1))
    stamps = [status["timestamp"] for status in document(api.get(status_path(pipeline)))["data"]]
    assert stamps == [7001, 6001, 5001, 4001, 3001]
    assert len(document(api.get(status_path(pipeline), limit=7))["data"]) == 7
    some = document(api.get(status_path(pipeline), startTs=2001, endTs=4001))
    assert [status["timestamp"] for status in some["data"]] == [4001, 3001, 2001]
    assert some["paging"] == {
        "before": base64.b64encode(b"2001").decode(),
        "after": base64.b64encode(b"4001").decode(),
        "total": 3,
    }
    for params in ({"limit": 0}, {"limit": "x"}, {"startTs": -1}, {"endTs": 10**30}):
        refused(api.get(status_path(pipeline), **params), 400)


def test_statuses_are_forgotten_on_request(api: Api) -> None:
    pipeline, kept, gone = api.created(), a_status(), a_status()
    for status in (kept, gone):
        api.put(status_path(pipeline), status)
    path = f"/{pipeline['id']}/pipelineStatus"
    answer = api.delete(f"{path}/{gone['runId']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [status["runId"] for status in document(api.get(status_path(pipeline)))["data"]] == [kept["runId"]]
    assert document(api.delete(path))["id"] == pipeline["id"]
    assert document(api.get(status_path(pipeline)))["data"] == []


def test_the_run_id_of_a_question_is_a_uuid(api: Api) -> None:
    pipeline = api.created()
    for run_id in ("1", "not-a-uuid", "..%2Fx"):
        refused(api.send("GET", f"{status_path(pipeline)}/{run_id}", b""), 404)


def test_secrets_of_a_reported_status_are_masked(api: Api) -> None:
    pipeline = api.created()
    status: dict[str, Any] = a_status(config={"appConfig": {"password": "s3cret"}})
    answers = [api.put(status_path(pipeline), status)]
    answers += [api.get(status_path(pipeline)), api.get(f"{status_path(pipeline)}/{status['runId']}")]
    assert all("s3cret" not in answer.text and "*********" in answer.text for answer in answers)
