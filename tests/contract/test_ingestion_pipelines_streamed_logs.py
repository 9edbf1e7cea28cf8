"""Logs that workflows send, over HTTP: taken, closed, listed, read and followed (contract §3.13)."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import Api, a_status, document, encoded, refused

CANARY = "canary-31c0de"


def logs_path(pipeline: Document, run_id: str, more: str = "") -> str:
    return f"/logs/{encoded(pipeline['fullyQualifiedName'])}/{run_id}{more}"


def stream_path(pipeline: Document, run_id: str) -> str:
    return f"/logs/{encoded(pipeline['fullyQualifiedName'])}/stream/{run_id}"


def a_batch(text: str, **changes: Any) -> Document:
    batch = {"logs": text, "timestamp": 1735689600000, "connectorId": "host-7", "compressed": False, "lineCount": 1}
    return {**batch, **changes}


def packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


def sent(api: Api, pipeline: Document, *texts: str, run_id: str | None = None) -> str:
    run_id = run_id or str(uuid4())
    for text in texts:
        answer = api.post(logs_path(pipeline, run_id), text)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
    return run_id


def events(text: str) -> list[Document]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def said(answer: Any, code: int, *words: str) -> None:
    """An error of the log routes: a message and no code."""
    assert answer.status_code == code, answer.text
    assert answer.json().keys() == {"message"}
    for word in words:
        assert word in answer.json()["message"]
    assert CANARY not in answer.text


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "a.b", 'with "quotes"', "名前 1"])
def test_what_was_sent_is_read(api: Api, name: str) -> None:
    pipeline, run_id = api.created(name=f"{name} {uuid4().hex[:6]}"), str(uuid4())
    path = logs_path(pipeline, run_id)
    answer = api.post(path, a_batch("one\ntwo\n"))
    assert (answer.status_code, answer.content) == (200, b"")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("PIPELINE_SESSION=mysql_")
    assert cookie.endswith(f"_{run_id}; Path=/; Max-Age=86400")
    api.post(path, a_batch(packed("drei\nvier ö\n"), compressed=True))
    api.post(path, "five\n")
    text = "[host-7] one\ntwo\n[host-7] drei\nvier ö\nfive\n"
    assert document(api.get(path)) == {"logs": text, "total": len(text.encode())}


def test_a_run_of_ours_has_its_log_already(api: Api) -> None:
    pipeline = api.deployed()
    run_id = document(api.post(f"/trigger/{pipeline['id']}"))["runId"]
    sent(api, pipeline, "once more\n", run_id=run_id)
    assert "once more" not in document(api.get(logs_path(pipeline, run_id)))["logs"]


def test_closing_may_be_repeated(api: Api) -> None:
    pipeline = api.created()
    for run_id in (sent(api, pipeline, "x\n"), str(uuid4())):
        for _ in range(2):
            answer = api.post(logs_path(pipeline, run_id, "/close"), {"connectorId": "host-7", "timestamp": 1})
            assert (answer.status_code, answer.json()) == (200, {"message": "Log stream closed successfully"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Malformed JSON"),
        (b"{", "Malformed JSON"),
        (b"\xff", "Malformed JSON"),
        (b"7", "Invalid log data format"),
        (b"[]", "Invalid log data format"),
        (b"null", "Invalid log data format"),
        (b"{}", "logs: "),
        (json.dumps({"logs": 7}).encode(), "logs: "),
        (json.dumps({"logs": "x", "more": CANARY}).encode(), "more: Unrecognized field"),
        (json.dumps({"logs": "x", "timestamp": CANARY}).encode(), "timestamp: "),
        (json.dumps({"logs": CANARY, "compressed": True}).encode(), "logs: is not gzip"),
        (json.dumps({"logs": packed(CANARY)[:20], "compressed": True}).encode(), "logs: is not gzip"),
        (json.dumps({"logs": packed("0" * 5_000_000), "compressed": True}).encode(), "logs: holds more than"),
        (json.dumps("0" * 5_000_000).encode(), "logs: holds more than"),
    ],
)
def test_a_bad_part_of_a_log_is_refused(api: Api, body: bytes, words: str) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    said(api.send("POST", logs_path(pipeline, run_id), body), 400, words)
    said(api.get(logs_path(pipeline, run_id)), 404, "has no log of run")


def test_the_logs_of_nothing_are_not_found(api: Api) -> None:
    pipeline, run_id = api.created(), str(uuid4())
    unknown = {"fullyQualifiedName": "no.such"}
    said(api.post(logs_path(unknown, run_id), "x"), 404, "no.such not found")
    said(api.post(logs_path(unknown, run_id, "/close")), 404, "no.such not found")
    said(api.get(logs_path(unknown, run_id)), 404, "no.such not found")
    said(api.get("/logs/no.such"), 404, "no.such not found")
    said(api.post(logs_path(pipeline, "..%2F..%2Fx"), "x"), 404, "not found")
    said(api.get(logs_path(pipeline, "7")), 404, "run instance for 7 not found")
    refused(api.get(stream_path(unknown, run_id)), 404, "no.such not found")


def test_the_log_of_another_pipelines_run_is_not_touched(api: Api) -> None:
    one, other = api.deployed(), api.created()
    run_id = document(api.post(f"/trigger/{one['id']}"))["runId"]
    said(api.post(logs_path(other, run_id), "x"), 404, "has no run")
    said(api.get(logs_path(other, run_id)), 404, "has no run")
    refused(api.get(stream_path(other, run_id)), 404, "has no run")


def test_the_logs_go_with_their_pipeline(api: Api) -> None:
    pipeline = api.created()
    run_id = sent(api, pipeline, "x\n")
    api.delete(f"/{pipeline['id']}", hardDelete="true")
    again = api.created(name=pipeline["name"])
    said(api.get(logs_path(again, run_id)), 404, "has no log of run")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_log_is_read_by_lines(api: Api) -> None:
    pipeline = api.created()
    text = "".join(f"line {number} ö\n" for number in range(25)) + "the end"
    run_id = sent(api, pipeline, text)
    pieces, after = [], None
    while True:
        params = {"limit": 10} | ({"after": after} if after else {})
        page = document(api.get(logs_path(pipeline, run_id), **params))
        pieces.append(page["logs"])
        assert page["total"] == len(text.encode())
        after = page.get("after")
        if after is None:
            break
        assert int(after) < page["total"]
    assert [piece.count("\n") for piece in pieces] == [10, 10, 5]
    assert "".join(pieces) == text
    for bad in ("x", "-1", "1:2", "9" * 40):
        said(api.get(logs_path(pipeline, run_id), after=bad), 400, "after: is not a cursor")
    for bad_limit in ("0", "x", "-1"):
        refused(api.get(logs_path(pipeline, run_id), limit=bad_limit), 400, "limit")


def test_a_long_line_is_read_in_pieces_and_loses_nothing(api: Api) -> None:
    pipeline = api.created()
    text = "日本" * 400_000 + "\nend\n"
    run_id = sent(api, pipeline, text)
    page = document(api.get(logs_path(pipeline, run_id)))
    read = page["logs"]
    while "after" in page:
        page = document(api.get(logs_path(pipeline, run_id), after=page["after"]))
        read += page["logs"]
    assert read == text


def test_runs_with_a_log_are_listed_newest_first(api: Api) -> None:
    pipeline = api.deployed()
    path = f"/logs/{encoded(pipeline['fullyQualifiedName'])}"
    assert document(api.get(path)) == {"runs": []}
    received = [sent(api, pipeline, "x\n") for _ in range(3)]
    assert set(document(api.get(path))["runs"]) == set(received)
    assert len(document(api.get(path, limit=2))["runs"]) == 2
    refused(api.get(path, limit=0), 400, "limit")


def test_the_last_log_is_the_one_that_was_sent_when_the_pipeline_says_so(api: Api) -> None:
    pipeline = api.created(enableStreamableLogs=True)
    last = f"/logs/{pipeline['id']}/last"
    message = refused(api.get(last), 400)
    assert message == "No runId found for the last ingestion pipeline run"
    run_id = sent(api, pipeline, "one\ntwo\nthree\n")
    status = a_status(runId=run_id, pipelineState="running")
    api.put(f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus", status)
    first = document(api.get(last, limit=2))
    assert first == {"ingestion_task": "one\ntwo\n", "total": "14", "after": "8"}
    assert document(api.get(last, after="8")) == {"ingestion_task": "three\n", "total": "14"}
    assert api.get(f"{last}/download").text == "one\ntwo\nthree\n"


# --- following --------------------------------------------------------------------------------------------------------


def test_a_closed_log_is_followed_to_its_end(api: Api) -> None:
    pipeline = api.created()
    run_id = sent(api, pipeline, "one\n", "zwö\n")
    api.post(logs_path(pipeline, run_id, "/close"))
    for key in (encoded(pipeline["fullyQualifiedName"]), pipeline["id"]):
        answer = api.get(f"/logs/{key}/stream/{run_id}")
        assert answer.headers["content-type"].startswith("text/event-stream")
        logs, complete = events(answer.text)
        assert logs == {
            "eventType": "logs",
            "runId": run_id,
            "after": "9",
            "logs": "one\nzwö\n",
            "replay": False,
            "truncated": False,
        }
        assert complete == {"eventType": "complete", "runId": run_id, "after": "9", "reason": "runFinished"}


def test_a_stream_goes_on_after_a_cursor(api: Api) -> None:
    pipeline = api.created()
    run_id = sent(api, pipeline, "one\ntwo\n")
    api.post(logs_path(pipeline, run_id, "/close"))
    assert [event.get("logs") for event in events(api.get(stream_path(pipeline, run_id), after="4").text)] == [
        "two\n",
        None,
    ]
    assert [event["eventType"] for event in events(api.get(stream_path(pipeline, run_id), after="8").text)] == [
        "complete"
    ]
    for bad in ("x", "-1", "²", "9" * 30):
        refused(api.get(stream_path(pipeline, run_id), after=bad), 400, "after: is not a cursor")
