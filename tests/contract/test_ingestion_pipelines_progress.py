"""How far runs are, over HTTP: told by workflows, asked for, and followed to the end (contract §3.1 rows 36-39)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import Api, document, encoded, refused

CANARY = "canary-77aa10"


def an_update(run_id: str, **changes: Any) -> Document:
    return {"runId": run_id, "timestamp": 1735689600000, "updateType": "PROCESSING", **changes}


def a_metric(**changes: Any) -> Document:
    return {"category": "db_queries", "operation": "SELECT", "timestamp": 1735689600000, "durationMs": 10, **changes}


def progress_path(pipeline: Document, run_id: str) -> str:
    return f"/progress/{encoded(pipeline['fullyQualifiedName'])}/{run_id}"


def stream_path(pipeline: Document, run_id: str) -> str:
    return f"/progress/{encoded(pipeline['fullyQualifiedName'])}/stream/{run_id}"


def events(text: str) -> list[Document]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("name", ["plain", "a.b", "a/b c", "名前%"])
def test_what_a_workflow_tells_is_asked_for(api: Api, name: str) -> None:
    pipeline, run_id = api.created(name=f"{name} {uuid4().hex[:6]}"), str(uuid4())
    path = progress_path(pipeline, run_id)
    nothing = api.get(path)
    assert (nothing.status_code, nothing.content) == (204, b"")
    tree = {"entityType": "Database", "processed": 1, "expected": 3, "children": [{"label": "sales", "active": True}]}
    update = an_update(run_id, progress=tree, globalCounters=[{"entityType": "Table", "done": 4}])
    answer = api.put(path, update)
    assert (answer.status_code, answer.content) == (200, b"")
    assert document(api.get(path)) == update
    later = an_update(run_id, stepName="Mysql", estimatedSecondsRemaining=7)
    api.put(path, later)
    assert document(api.get(path)) == later


def test_the_run_is_the_one_of_the_path(api: Api) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    api.put(progress_path(pipeline, run_id.upper()), an_update("another"))
    assert document(api.get(progress_path(pipeline, run_id)))["runId"] == run_id


@pytest.mark.parametrize("last", ["PIPELINE_COMPLETE", "ERROR"])
def test_after_the_last_word_nothing_follows_until_the_run_begins_anew(api: Api, last: str) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    path = progress_path(pipeline, run_id)
    final = an_update(run_id, updateType=last, totalAssetsIngested=12)
    for update in (an_update(run_id), final, an_update(run_id, message="late")):
        assert api.put(path, update).status_code == 200
    assert document(api.get(path)) == final
    again = an_update(run_id, updateType="DISCOVERY")
    api.put(path, again)
    assert document(api.get(path)) == again


def test_a_stream_ends_with_the_last_word(api: Api) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    final = an_update(run_id, updateType="PIPELINE_COMPLETE")
    api.put(progress_path(pipeline, run_id), final)
    answer = api.get(stream_path(pipeline, run_id))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events(answer.text) == [final]


def test_the_operations_of_a_run_add_up(api: Api) -> None:
    pipeline = api.deployed()
    run_id = document(api.post(f"/trigger/{pipeline['id']}"))["runId"]
    path = f"/metrics/{encoded(pipeline['fullyQualifiedName'])}/{run_id}"
    batches = [
        [a_metric(), a_metric(durationMs=30, entityType="Table", success=False, errorMessage="no")],
        [a_metric(durationMs=20), a_metric(category="api_calls", operation="GET:/x")],
    ]
    for metrics in batches:
        answer = api.post(path, {"runId": run_id, "stepName": "Mysql", "metrics": metrics})
        assert (answer.status_code, answer.content) == (200, b"")
    sums = document(api.http.get(f"/api/v1/minisched/runs/{run_id}"))["operationMetrics"]
    assert (sums["totalOperations"], sums["totalSuccessful"], sums["totalFailed"]) == (4, 3, 1)
    selects = sums["byCategory"]["db_queries"]["SELECT"]
    assert selects["unknown"] == {
        "count": 2,
        "totalTimeMs": 30.0,
        "avgTimeMs": 15.0,
        "minTimeMs": 10.0,
        "maxTimeMs": 20.0,
    }
    assert selects["Table"]["count"] == 1


def test_a_run_that_ended_without_a_last_word_gets_one(api: Api) -> None:
    pipeline = api.deployed()
    run_id = document(api.post(f"/trigger/{pipeline['id']}"))["runId"]
    api.put(progress_path(pipeline, run_id), an_update(run_id))
    api.post(f"/kill/{pipeline['id']}")  # where no runtime is, it has failed already
    told = events(api.get(stream_path(pipeline, run_id)).text)
    assert (told[-1]["updateType"], told[-1]["runId"]) == ("ERROR", run_id)
    assert told[-1]["message"] == document(api.http.get(f"/api/v1/minisched/runs/{run_id}"))["message"]
    assert document(api.get(progress_path(pipeline, run_id))) == told[-1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"updateType": CANARY}, "updateType: "),
        ({"updateType": None}, "updateType: "),
        ({"timestamp": CANARY}, "timestamp: "),
        ({"timestamp": -1}, "timestamp: "),
        ({"runId": None}, "runId: "),
        ({"more": CANARY}, "more: Unrecognized field"),
        ({"progress": {"more": CANARY}}, "progress.more: Unrecognized field"),
        ({"progress": {"children": [{"processed": CANARY}]}}, "progress.children.0.processed: "),
        ({"progress": {"processed": 2**80}}, "progress.processed: "),
        ({"globalCounters": {}}, "globalCounters: "),
        ({"message": "\0"}, "message: "),
        ({"message": "x" * 100_000}, "larger than"),
    ],
)
def test_bad_progress_is_refused(api: Api, changes: Document, words: str) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    body = json.dumps(an_update(run_id, **changes)).encode()
    assert CANARY not in refused(api.send("PUT", progress_path(pipeline, run_id), body), 400, words)
    assert api.get(progress_path(pipeline, run_id)).status_code == 204


def test_a_tree_without_end_is_refused(api: Api) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    for depth in (80, 300, 3000):
        tree = '{"children":[' * depth + "]}" * depth
        body = f'{{"runId":"{run_id}","timestamp":1,"updateType":"ERROR","progress":{tree}}}'
        refused(api.send("PUT", progress_path(pipeline, run_id), body.encode()), 400)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "runId: "),
        ({"runId": "x", "stepName": "s", "metrics": [{}]}, "metrics.0.category: "),
        ({"runId": "x", "stepName": "s", "metrics": [a_metric(durationMs=-1)]}, "metrics.0.durationMs: "),
        ({"runId": "x", "stepName": "s", "metrics": [a_metric(more=1)]}, "metrics.0.more: Unrecognized field"),
        ({"runId": "x", "stepName": "s", "metrics": [], "more": 1}, "more: Unrecognized field"),
        ([], "object"),
    ],
)
def test_bad_metrics_are_refused(api: Api, body: Any, words: str) -> None:
    pipeline = api.created()
    refused(api.post(f"/metrics/{encoded(pipeline['fullyQualifiedName'])}/{uuid4()}", body), 400, words)


def test_progress_of_nothing_is_not_found(api: Api) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    unknown = {"fullyQualifiedName": "no.such"}
    for path in (progress_path(unknown, run_id), stream_path(unknown, run_id)):
        refused(api.get(path), 404, "no.such not found")
    refused(api.put(progress_path(unknown, run_id), an_update(run_id)), 404, "no.such not found")
    for path in (progress_path(pipeline, "7"), stream_path(pipeline, "..%2Fx")):
        refused(api.get(path), 404, "run instance for")
    refused(api.put(progress_path(pipeline, "7"), an_update(run_id)), 404, "run instance for 7 not found")


def test_a_service_is_known_before_it_is_watched(api: Api) -> None:
    refused(api.get("/progress/service/databaseService/nobody/stream"), 404, "databaseService instance for nobody")
    refused(api.get("/progress/service/nonsense/mysql/stream"), 400, "serviceType: is not a type of service")


def test_the_run_of_another_pipeline_is_not_watched_here(api: Api) -> None:
    one, other = api.deployed(), api.created()
    run_id = document(api.post(f"/trigger/{one['id']}"))["runId"]
    refused(api.get(stream_path(other, run_id)), 404, "has no run")
