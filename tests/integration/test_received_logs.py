"""Logs of others on disk: bounded, private, and gone when they are old; and what follows them live."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from minisched.api.ingestion_pipelines import streamed_logs as routes
from minisched.domain.errors import OrchestratorUnavailable, StoreUnavailable
from minisched.domain.pipeline import Document
from minisched.ports import LogPage
from minisched.serving import bind, serving_in_background
from minisched.store import received_logs
from minisched.store.received_logs import FileReceivedLogs
from tests.api_worlds import PIPELINES, World, a_create_request, a_world
from tests.contract.ingestion_pipelines import a_status
from tests.credentials import ADMIN

PIPELINE, RUN = str(uuid4()), str(uuid4())


# --- the files --------------------------------------------------------------------------------------------------------


def test_a_log_grows_and_is_closed_and_opened_again(tmp_path: Path) -> None:
    logs = FileReceivedLogs(tmp_path / "received")
    assert logs.size(PIPELINE, RUN) is None
    assert logs.runs(PIPELINE) == []
    logs.append(PIPELINE, RUN, "one\n")
    logs.close(PIPELINE, RUN)
    assert logs.is_closed(PIPELINE, RUN)
    logs.append(PIPELINE, RUN, "half \ud800 a pair\n")
    assert not logs.is_closed(PIPELINE, RUN)
    assert logs.read(PIPELINE, RUN, offset=4, limit=100) == b"half ? a pair\n"
    assert [run_id for run_id, _ in logs.runs(PIPELINE)] == [RUN]
    assert not logs.is_closed(PIPELINE, str(uuid4()))


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    logs = FileReceivedLogs(tmp_path / "received")
    logs.append(PIPELINE, RUN, "x")
    logs.close(PIPELINE, RUN)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "received").rglob("*")}
    assert modes == {0}


@pytest.mark.parametrize("key", ["", "..", "../../x", "a/b", "7"])
def test_no_path_is_made_of_input(tmp_path: Path, key: str) -> None:
    logs = FileReceivedLogs(tmp_path / "received")
    for pipeline_id, run_id in ((key, RUN), (PIPELINE, key)):
        with pytest.raises(ValueError, match="UUID"):
            logs.append(pipeline_id, run_id, "x")
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_a_log_that_is_too_long_is_not_kept(tmp_path: Path) -> None:
    logs = FileReceivedLogs(tmp_path, lambda: 10)
    for text in ("12345678", "9abcdef", "more", "and more"):
        logs.append(PIPELINE, RUN, text)
    kept = logs.read(PIPELINE, RUN, offset=0, limit=1000).decode()
    assert kept == "123456789a\n… the rest of this log is not kept …\n"


def test_of_too_many_logs_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received_logs, "MOST_RUNS", 3)
    logs, runs = FileReceivedLogs(tmp_path), [str(uuid4()) for _ in range(5)]
    for age, run_id in enumerate(runs):
        logs.append(PIPELINE, run_id, "x")
        logs.close(PIPELINE, run_id)
        os.utime(tmp_path / PIPELINE / f"{run_id}.log", (1_000_000 + age, 1_000_000 + age))
    assert [run_id for run_id, _ in logs.runs(PIPELINE)] == [runs[4], runs[3], runs[2]]
    assert len(list((tmp_path / PIPELINE).iterdir())) == 6


def test_old_logs_go(tmp_path: Path) -> None:
    logs, young, other = FileReceivedLogs(tmp_path), str(uuid4()), str(uuid4())
    for pipeline_id, run_id in ((PIPELINE, RUN), (PIPELINE, young), (other, RUN)):
        logs.append(pipeline_id, run_id, "x")
    for pipeline_id in (PIPELINE, other):
        os.utime(tmp_path / pipeline_id / f"{RUN}.log", (1_000_000, 1_000_000))
    assert logs.prune(written_before=datetime.now(UTC) - timedelta(days=30)) == 2
    assert [path.name for path in tmp_path.rglob("*.log")] == [f"{young}.log"]
    assert not (tmp_path / other).exists()
    logs.remove(PIPELINE)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_said(tmp_path: Path) -> None:
    (tmp_path / "received").write_text("in the way")
    with pytest.raises(StoreUnavailable):
        FileReceivedLogs(tmp_path / "received").append(PIPELINE, RUN, "x")


# --- following --------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path, max_streams=2, scripted=True) as world:
        yield world


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    with closing(bind("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            serving_in_background(world.app, listener, stopping=world.stopping),
            httpx.Client(base_url=url, trust_env=False, timeout=10, auth=ADMIN) as http,
        ):
            yield http


@pytest.fixture
def pipeline(http: httpx.Client) -> Document:
    return dict(http.post(PIPELINES, json=a_create_request()).json())


def url_of(pipeline: Document, run_id: str = RUN) -> str:
    return f"{PIPELINES}/logs/{pipeline['fullyQualifiedName']}/stream/{run_id}"


def send(http: httpx.Client, pipeline: Document, text: str) -> None:
    answer = http.post(f"{PIPELINES}/logs/{pipeline['fullyQualifiedName']}/{RUN}", json=text)
    assert answer.status_code == 200, answer.text


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    return (json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: "))


def test_a_log_is_followed_from_before_its_first_line_to_its_end(
    http: httpx.Client, pipeline: Document, world: World
) -> None:
    world.scripted.script("logs", OrchestratorUnavailable("down"))
    with http.stream("GET", url_of(pipeline)) as response:
        events = events_of(response)
        for text in ("one\n", "two\n"):
            send(http, pipeline, text)
            began = time.monotonic()
            event = next(events)
            assert (event["eventType"], event["logs"]) == ("logs", text)
            assert time.monotonic() - began < 2
        http.post(f"{PIPELINES}/logs/{pipeline['fullyQualifiedName']}/{RUN}/close")
        assert next(events)["reason"] == "runFinished"


def test_a_reported_end_closes_the_log_after_a_while(
    http: httpx.Client, pipeline: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_ENDED_GRACE_S", 0.5)
    status_url = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus"
    send(http, pipeline, "one\n")
    http.put(status_url, json=a_status(runId=RUN, pipelineState="running"))
    with http.stream("GET", url_of(pipeline)) as response:
        events = events_of(response)
        assert next(events)["logs"] == "one\n"
        http.put(status_url, json=a_status(runId=RUN, pipelineState="success"))
        send(http, pipeline, "last words\n")
        assert next(events)["logs"] == "last words\n"
        assert next(events)["reason"] == "runFinished"


def test_a_run_that_nobody_knows_is_given_up(
    http: httpx.Client, pipeline: Document, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_UNKNOWN_GRACE_S", 0.2)
    world.scripted.script("logs", OrchestratorUnavailable("down"))
    with http.stream("GET", url_of(pipeline)) as response:
        assert [event["reason"] for event in events_of(response)] == ["runFinished"]


def test_a_log_that_an_orchestrator_keeps_in_pages_is_followed_page_by_page(
    http: httpx.Client, pipeline: Document, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_ENDED_GRACE_S", 0.3)
    pages = ["page one\n", "", "page three"]

    def page(index: int) -> LogPage:
        return LogPage("ingestion_task", pages[index], len(pages), index + 1 if index + 1 < len(pages) else None)

    world.scripted.script("logs", page)
    status_url = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus"
    http.put(status_url, json=a_status(runId=RUN, pipelineState="running"))
    with http.stream("GET", url_of(pipeline)) as response:
        events = events_of(response)
        assert (next(events)["logs"], next(events)["logs"]) == ("page one\n", "page three")
        pages[2] += ", which grows"
        grown = next(events)
        assert (grown["logs"], grown["after"]) == (", which grows", f"2:{len(pages[2])}")
        http.put(status_url, json=a_status(runId=RUN, pipelineState="failed"))
        assert next(events)["reason"] == "runFinished"
    with http.stream("GET", url_of(pipeline), params={"after": "2:10"}) as response:
        assert next(events_of(response))["logs"] == ", which grows"


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [("_LARGEST_STREAM", 3, "maxBytes"), ("_LONGEST_S", 0.2, "maxDuration"), ("_IDLE_S", 0.2, "idleTimeout")],
)
def test_a_stream_ends_itself_and_says_why(
    http: httpx.Client, pipeline: Document, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reason: str
) -> None:
    monkeypatch.setattr(routes, limit, value)
    send(http, pipeline, "one\n")
    with http.stream("GET", url_of(pipeline)) as response:
        *logs, end = events_of(response)
    assert [event["logs"] for event in logs] == ["one\n"]
    assert (end["eventType"], end["reason"], end["after"]) == ("complete", reason, "4")
    assert end["message"]


def test_one_stream_too_many_is_told_on_the_stream(http: httpx.Client, pipeline: Document) -> None:
    send(http, pipeline, "one\n")
    with http.stream("GET", url_of(pipeline)) as one, http.stream("GET", url_of(pipeline)) as other:
        open_streams = [events_of(one), events_of(other)]
        assert [next(events)["logs"] for events in open_streams] == ["one\n"] * 2
        refused = http.get(url_of(pipeline))
        assert refused.status_code == 200
        assert [event["eventType"] for event in events_of(refused)] == ["error"]


def test_streams_end_with_the_server(http: httpx.Client, pipeline: Document, world: World) -> None:
    send(http, pipeline, "one\n")
    with http.stream("GET", url_of(pipeline)) as response:
        events = events_of(response)
        next(events)
        world.stopping.set()
        assert list(events) == []
