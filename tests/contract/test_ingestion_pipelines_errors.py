"""Bad input gets OpenMetadata's kind of error, which names the place and never the value (contract §3.17)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.ingestion_pipelines import Api, a_status, encoded, refused

CANARY = "canary-5f1a0c"


def deep(levels: int) -> Any:
    nested: Any = CANARY
    for _ in range(levels):
        nested = [nested]
    return nested


BAD_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: "),
    ({"name": ""}, "name: "),
    ({"name": "x" * 257}, "name: "),
    ({"name": "a\nb"}, "name: holds a control character"),
    ({"name": "a\0b"}, "name: holds a control character"),
    ({"name": "a::b"}, "name: holds '::'"),
    ({"name": 7}, "name: "),
    ({"pipelineType": CANARY}, "pipelineType: "),
    ({"pipelineType": "Metadata"}, "pipelineType: "),
    ({"sourceConfig": CANARY}, "sourceConfig: "),
    ({"sourceConfig": {"config": CANARY}}, "sourceConfig.config: "),
    ({"sourceConfig": {"config": {}, "more": CANARY}}, "sourceConfig.more: Unrecognized field"),
    ({"sourceConfig": {"config": {"x": deep(70)}}}, "sourceConfig.config: is nested deeper"),
    ({"sourceConfig": {"config": {"x": 2**64}}}, "sourceConfig.config: holds an integer"),
    ({"sourceConfig": {"config": {"x": "\0" + CANARY}}}, "sourceConfig.config: holds the character"),
    ({"sourceConfig": {"config": {"password": "*********"}}}, "masked"),
    ({"airflowConfig": None}, "airflowConfig: "),
    ({"airflowConfig": {"retries": CANARY}}, "airflowConfig.retries: Input should be a valid integer"),
    ({"airflowConfig": {"retries": "3"}}, "airflowConfig.retries: Input should be a valid integer"),
    ({"airflowConfig": {"retries": True}}, "airflowConfig.retries: Input should be a valid integer"),
    ({"airflowConfig": {"retries": -1}}, "airflowConfig.retries: "),
    ({"airflowConfig": {"workflowTimeout": 10**12}}, "airflowConfig.workflowTimeout: "),
    ({"airflowConfig": {"maxActiveRuns": 0}}, "airflowConfig.maxActiveRuns: "),
    ({"airflowConfig": {"schedule": CANARY}}, "airflowConfig.schedule: Unrecognized field"),
    ({"airflowConfig": {"email": CANARY}}, "airflowConfig.email: "),
    ({"airflowConfig": {"scheduleInterval": "61 * * * *"}}, "airflowConfig.scheduleInterval"),
    ({"airflowConfig": {"scheduleInterval": "* * * * *", "pipelineTimezone": "Mars/Base"}}, "pipelineTimezone"),
    ({"airflowConfig": {"scheduleInterval": "* * * * *", "startDate": "yesterday"}}, "startDate"),
    ({"service": {"type": "databaseService"}}, "service.id: "),
    ({"service": {"id": CANARY, "type": "databaseService"}}, "service.id: is not a UUID"),
    ({"service": {"id": str(uuid4()), "type": "table"}}, "service.type: is not a type of service"),
    ({"owners": {"id": CANARY}}, "owners: "),
    ({"owners": [{"id": CANARY, "type": "user"}]}, "owners.0.id: is not a UUID"),
    ({"owners": [{"id": str(uuid4()), "type": "bot"}]}, "owners.type: is not a type of owner"),
    ({"owner": {"id": str(uuid4()), "type": "user"}, "owners": []}, "exclude each other"),
    ({"loggerLevel": CANARY}, "loggerLevel: "),
    ({"raiseOnError": "yes"}, "raiseOnError: "),
    ({"provider": CANARY}, "provider: "),
    ({"deployed": True}, "deployed: Unrecognized field"),
    ({"pipelines": CANARY}, "pipelines: Unrecognized field"),
    ({"user": CANARY, "view": CANARY}, "user: Unrecognized field"),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("changes", "words"), BAD_REQUESTS)
def test_a_bad_request_names_the_place_and_not_the_value(
    api: Api, method: str, changes: dict[str, Any], words: str
) -> None:
    request = api.request(**changes)
    message = refused(api.send(method, "", json.dumps(request).encode()), 400, words)
    assert CANARY not in message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_no_json_object_is_refused(api: Api, method: str, content: bytes) -> None:
    refused(api.send(method, "", content), 400)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000])
def test_odd_numbers_are_refused(api: Api, number: str) -> None:
    text = json.dumps(api.request(sourceConfig={"config": {"x": "HERE"}})).replace('"HERE"', number)
    refused(api.send("POST", "", text.encode()), 400)


def test_half_a_character_is_refused(api: Api) -> None:
    text = json.dumps(api.request()).replace('"DatabaseMetadata"', '"\\ud800"')
    refused(api.send("POST", "", text.encode()), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/{}"),
        ("GET", "/{}/versions"),
        ("GET", "/{}/versions/0.1"),
        ("DELETE", "/{}"),
        ("DELETE", "/async/{}"),
        ("POST", "/deploy/{}"),
        ("POST", "/trigger/{}"),
        ("POST", "/toggleIngestion/{}"),
        ("POST", "/kill/{}"),
        ("DELETE", "/{}/pipelineStatus"),
        ("GET", "/logs/{}/last"),
        ("GET", "/logs/{}/last/download"),
        ("GET", "/name/{}"),
        ("DELETE", "/name/{}"),
        ("GET", "/{}/pipelineStatus"),
    ],
)
@pytest.mark.parametrize(
    "key", [str(uuid4()), "not-a-uuid", "..%2F..%2Fetc%2Fpasswd", "%2e%2e", "x" * 3000, "%E5%90%8D"]
)
def test_an_unknown_pipeline_is_not_found(api: Api, method: str, path: str, key: str) -> None:
    refused(api.send(method, path.format(key), b""), 404, "not found")


@pytest.mark.parametrize("path", ["/{}", "/name/{}"])
def test_a_patch_of_an_unknown_pipeline_is_not_found(api: Api, path: str) -> None:
    refused(api.patch(path.format(uuid4())), 404, "not found")


def test_a_character_that_no_store_holds_is_refused(api: Api) -> None:
    refused(api.send("GET", "/name/a%00b", b""), 400, "U+0000")
    refused(api.get("", service="a\0b"), 400, "U+0000")


@pytest.mark.parametrize("path", ["/a/b/c/d", "/logs", "/deploy", "/bulk"])
def test_an_unknown_path_is_json_too(api: Api, path: str) -> None:
    assert api.get(path).status_code in (404, 405)
    refused(api.http.get(f"/api/v1/nothing{path}"), 404, "nothing")


def test_a_wrong_method_says_which_are_right(api: Api) -> None:
    answer = api.delete("")
    refused(answer, 405, "DELETE is not allowed")
    assert {"GET", "POST", "PUT"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runId": None}, "runId: "),
        ({"runId": ""}, "runId: "),
        ({"runId": "x" * 65}, "runId: "),
        ({"pipelineState": CANARY}, "pipelineState: "),
        ({"startDate": CANARY}, "startDate: "),
        ({"timestamp": -1}, "timestamp: "),
        ({"endDate": 10**20}, "endDate: "),
        ({"status": [{"records": 1}]}, "status.0.name: "),
        ({"status": [{"name": "x", "records": CANARY}]}, "status.0.records: "),
        ({"status": [{"name": "x", "progress": deep(80)}]}, "nested deeper"),
        ({"config": CANARY}, "config: "),
        ({"more": CANARY}, "more: Unrecognized field"),
    ],
)
def test_a_bad_status_is_refused(api: Api, changes: dict[str, Any], words: str) -> None:
    pipeline = api.created()
    status = json.dumps(a_status(**changes)).encode()
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    assert CANARY not in refused(api.send("PUT", path, status), 400, words)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/restore", {"id": CANARY}, "id: is not a UUID"),
        ("/restore", {}, "id: "),
        ("/bulk/deploy", {"id": CANARY}, "array"),
        ("/bulk/deploy", [CANARY], "0: is not a UUID"),
        ("/trigger/{id}", {"conf": CANARY}, "conf: Unrecognized field"),
        ("/trigger/{id}", {"appConfigOverride": CANARY}, "appConfigOverride: "),
        ("/trigger/{id}", [CANARY], "object"),
    ],
)
def test_other_bodies_are_checked_too(api: Api, path: str, body: Any, words: str) -> None:
    pipeline = api.deployed()
    method = "PUT" if path == "/restore" else "POST"
    answer = api.send(method, path.format(id=pipeline["id"]), json.dumps(body).encode())
    assert CANARY not in refused(answer, 400, words)


def test_an_idempotency_key_has_a_sensible_length(api: Api) -> None:
    pipeline = api.deployed()
    path = f"/api/v1/services/ingestionPipelines/trigger/{pipeline['id']}"
    refused(api.http.post(path, headers={"Idempotency-Key": "x" * 257}), 400, "Idempotency-Key")


def test_fractions_of_a_millisecond_as_old_workflows_report_them_are_cut_off(api: Api) -> None:
    pipeline = api.created()
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    status = a_status(endDate=1735689600123.75)
    assert api.send("PUT", path, json.dumps(status).encode()).status_code == 201
    assert api.get(f"{path}/{status['runId']}").json()["endDate"] == 1735689600123
