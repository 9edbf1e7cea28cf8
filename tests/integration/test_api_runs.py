"""Runs, their logs, the outbox and the runtimes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.instant import to_ms
from minisched.domain.outcome import outcome
from minisched.domain.pipeline import Document
from minisched.domain.run import ProcessIdentity, RunReason, RunState, Spawned
from minisched.ports import RuntimeStatus
from tests.api_worlds import World, in_process
from tests.contract.conftest import api_of
from tests.contract.ingestion_pipelines import Api, a_status, document, encoded, refused
from tests.store_kinds import a_run

RUNS = "/api/v1/minisched/runs"
QUEUE = "/api/v1/minisched/queue"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_process(tmp_path) as world:
        yield world


@pytest.fixture
def api(world: World) -> Api:
    return api_of(world)


def triggered(api: Api, pipeline: Document) -> str:
    return str(document(api.post(f"/trigger/{pipeline['id']}"))["runId"])


def run_of(world: World, run_id: str) -> Document:
    return document(world.http.get(f"{RUNS}/{run_id}"))


# --- the queue --------------------------------------------------------------------------------------------------------


def test_the_queue_says_where_a_run_stands_and_why(world: World, api: Api) -> None:
    pipeline = api.deployed()
    running = triggered(api, pipeline)
    world.executor.start()
    queued = triggered(api, pipeline)
    service = world.stores.runs.get(queued).service_fqn
    queue = document(world.http.get(QUEUE))
    [entry] = queue["data"]
    assert (queue["running"], queue["slots"], queue["draining"]) == (1, 1_000, False)
    assert (entry["id"], entry["service"]) == (queued, service)
    text = "The pipeline's limit is reached: airflowConfig.maxActiveRuns is 1."
    assert entry["waiting"] == {"position": 1, "reason": "pipeline_limit", "text": text}
    listed = {run["id"]: run.get("waiting") for run in document(world.http.get(RUNS))["data"]}
    assert listed == {queued: entry["waiting"], running: None}
    assert run_of(world, queued)["waiting"] == entry["waiting"]
    assert "waiting" not in run_of(world, running)


def test_an_attempt_that_waits_says_until_when(world: World) -> None:
    later = world.stores.clock.now() + timedelta(seconds=300)
    run = world.stores.runs.enqueue(a_run(attempt=2, retry_of=str(uuid4()), retries=4, not_before=later))
    [entry] = document(world.http.get(QUEUE))["data"]
    assert (entry["waiting"]["reason"], entry["waiting"]["until"]) == ("not_before", to_ms(later))
    shown = run_of(world, run.id)
    assert (shown["attempt"], shown["retryOf"], shown["retries"]) == (2, run.retry_of, 4)
    assert (shown["retryDelayS"], shown["notBefore"]) == (300, to_ms(later))


def test_the_queue_is_cut_where_it_is_asked_to_be(world: World) -> None:
    runs = [world.stores.runs.enqueue(a_run(n)) for n in range(3)]
    assert [run["id"] for run in document(world.http.get(QUEUE, params={"limit": 2}))["data"]] == [
        run.id for run in runs[:2]
    ]


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_is_told_from_its_queue_to_its_end(world: World, api: Api) -> None:
    pipeline = api.deployed()
    run_id = triggered(api, pipeline)
    queued = run_of(world, run_id)
    assert (queued["state"], queued["kind"], queued["attempt"], queued["steps"]) == ("queued", "manual", 1, [])
    assert queued["pipelineFqn"] == pipeline["fullyQualifiedName"]
    assert queued["enqueuedAt"] == to_ms(world.stores.clock.now())
    assert "startedAt" not in queued

    world.stores.clock.advance(3)
    world.executor.start()
    world.stores.runs.mark_spawned(run_id, Spawned(ProcessIdentity(7, 8, "boot"), "main"))
    world.executor.counters[run_id] = [{"name": "Mysql", "records": 12}]
    running = run_of(world, run_id)
    assert (running["state"], running["runtime"]) == ("running", "main")
    assert running["steps"] == [{"name": "Mysql", "records": 12}]
    assert running["process"] == {"pid": 7, "startTicks": 8, "bootId": "boot"}
    assert running["waitedS"] == 3.0

    evidence = {"exit": {"signal": None, "exit_code": 1, "peak_tree_rss_kb": 5}}
    failure = outcome(
        RunState.FAILED,
        RunReason.ERROR,
        "Access denied.",
        hint="Check the password.",
        evidence=evidence,
        steps=[{"name": "Mysql", "records": 12, "errors": 1}],
    )
    world.executor.end(run_id, failure)
    ended = run_of(world, run_id)
    assert (ended["state"], ended["reason"]) == ("failed", "error")
    assert (ended["message"], ended["hint"]) == ("Access denied.", "Check the password.")
    assert ended["steps"][0]["errors"] == 1
    assert ended["evidence"] == evidence
    assert ended["ranS"] == 1.0


def test_a_run_that_failed_without_a_word_has_the_hint_of_its_reason(world: World) -> None:
    run = a_run()
    world.stores.runs.enqueue(run)
    world.executor.start()
    world.executor.end(run.id, outcome(RunState.FAILED, RunReason.DISK_FULL, "No space left."))
    assert "Free space" in run_of(world, run.id)["hint"]


def test_secrets_of_a_run_are_masked(world: World) -> None:
    run = a_run(overrides={"appConfig": {"password": "s3cret"}})
    world.stores.runs.enqueue(run)
    answer = world.http.get(f"{RUNS}/{run.id}")
    assert "s3cret" not in answer.text
    assert answer.json()["overrides"] == {"appConfig": {"password": "*********"}}


@pytest.mark.parametrize("run_id", [str(uuid4()), "x", "..%2F..%2Fetc%2Fpasswd", "%2e%2e", "x" * 3000])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/stop"), ("GET", "/log"), ("GET", "/log/stream")])
def test_an_unknown_run_is_not_found(world: World, method: str, path: str, run_id: str) -> None:
    refused(world.http.request(method, f"{RUNS}/{run_id}{path}"), 404)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_and_by_page(world: World) -> None:
    runs = [a_run(at_s=i) for i in range(5)]
    for run in runs:
        world.stores.runs.enqueue(run)
    ids = [run.id for run in reversed(runs)]
    first = world.http.get(RUNS, params={"limit": 3}).json()
    assert [run["id"] for run in first["data"]] == ids[:3]
    rest = world.http.get(RUNS, params={"limit": 3, "before": first["paging"]["next"]}).json()
    assert [run["id"] for run in rest["data"]] == ids[3:]
    assert rest["paging"] == {}


def test_runs_are_filtered_by_pipeline_and_state(world: World, api: Api) -> None:
    pipeline, other = api.deployed(name="a.b"), api.deployed()
    wanted, _ = triggered(api, pipeline), triggered(api, other)
    for key in (pipeline["id"], pipeline["fullyQualifiedName"], "a.b", "a_b"):
        assert [run["id"] for run in world.http.get(RUNS, params={"pipeline": key}).json()["data"]] == [wanted]
    assert len(world.http.get(RUNS, params={"pipelineId": pipeline["id"]}).json()["data"]) == 1
    world.executor.start()
    for states, count in (("running", 1), ("queued", 1), ("queued, running", 2), ("failed", 0)):
        assert len(world.http.get(RUNS, params={"state": states}).json()["data"]) == count


def test_runs_of_what_only_the_orchestrator_knows_are_listed_by_its_name(world: World, api: Api) -> None:
    pipeline = api.deployed(name='dotted.and "quoted"')
    run_id = triggered(api, pipeline)
    world.stores.pipelines.remove(pipeline["id"])
    for key in (pipeline["name"], pipeline["fullyQualifiedName"]):
        assert [run["id"] for run in world.http.get(RUNS, params={"pipeline": key}).json()["data"]] == [run_id]


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"state": "asleep"}, 400, "state: is not a run state"),
        ({"limit": 0}, 400, "limit"),
        ({"limit": 1001}, 400, "limit"),
        ({"before": "x"}, 400, "before"),
        ({"before": 10**30}, 400, "before"),
        ({"pipeline": "nobody"}, 404, "not found"),
        ({"pipeline": "..%2Fetc"}, 404, "not found"),
    ],
)
def test_bad_questions_are_refused(world: World, params: dict[str, Any], code: int, words: str) -> None:
    refused(world.http.get(RUNS, params=params), code, words)


# --- stop -------------------------------------------------------------------------------------------------------------


def test_a_queued_run_is_stopped_at_once(world: World, api: Api) -> None:
    run_id = triggered(api, api.deployed())
    answer = world.http.post(f"{RUNS}/{run_id}/stop", json={"why": "wrong filter"})
    run = document(answer)
    assert (answer.status_code, run["state"], run["reason"]) == (200, "stopped", "stop_requested")
    assert (run["stop"]["by"], run["stop"]["why"]) == ("admin", "wrong filter")
    assert "wrong filter" in run["message"]


def test_a_running_run_is_waited_for(world: World, api: Api) -> None:
    run_id = triggered(api, api.deployed())
    world.executor.start()
    woken = world.executor.wakes
    answer = world.http.post(f"{RUNS}/{run_id}/stop")
    assert (answer.status_code, answer.json()["state"]) == (200, "stopped")
    assert world.executor.wakes > woken


def test_a_run_that_does_not_end_yet_has_its_stop_noted(world: World, api: Api) -> None:
    world.executor.ends_on_request = False
    run_id = triggered(api, api.deployed())
    world.executor.start()
    for params in ({}, {"wait_s": 0}):
        answer = world.http.post(f"{RUNS}/{run_id}/stop", params=params)
        assert (answer.status_code, answer.json()["state"]) == (202, "running")
        assert answer.json()["stop"]["by"] == "admin"
    world.executor.stop_all()


def test_a_run_that_has_ended_stays_as_it_ended(world: World, api: Api) -> None:
    run_id = triggered(api, api.deployed())
    world.executor.start()
    world.executor.end(run_id)
    answer = world.http.post(f"{RUNS}/{run_id}/stop")
    assert (answer.status_code, answer.json()["state"]) == (200, "success")
    assert "stop" not in answer.json()


@pytest.mark.parametrize(("content", "words"), [(b"{", "JSON"), (b'{"who": "me"}', "who"), (b'{"why": 3}', "why")])
def test_a_bad_stop_is_refused(world: World, content: bytes, words: str) -> None:
    run = a_run()
    world.stores.runs.enqueue(run)
    refused(world.http.post(f"{RUNS}/{run.id}/stop", content=content), 400, words)
    refused(world.http.post(f"{RUNS}/{run.id}/stop", params={"wait_s": 301}), 400, "wait_s")
    assert world.stores.runs.get(run.id).stop is None


# --- log --------------------------------------------------------------------------------------------------------------


def test_a_log_is_read_byte_by_byte(world: World) -> None:
    run, written = a_run(), "naïve\r\n日本\n".encode() + b"\xff\x00end"
    world.stores.runs.enqueue(run)
    empty = world.http.get(f"{RUNS}/{run.id}/log")
    assert (empty.content, empty.headers["X-Minisched-Next-Offset"]) == (b"", "0")
    world.logs.write(run.id, written)
    offset, pieces = 0, []
    while (piece := world.http.get(f"{RUNS}/{run.id}/log", params={"offset": offset, "limit": 4})).content:
        pieces.append(piece.content)
        offset = int(piece.headers["X-Minisched-Next-Offset"])
        assert piece.headers["X-Minisched-Log-Size"] == str(len(written))
    assert b"".join(pieces) == written
    beyond = world.http.get(f"{RUNS}/{run.id}/log", params={"offset": 10**6})
    assert (beyond.content, beyond.headers["X-Minisched-Next-Offset"]) == (b"", str(10**6))
    for params in ({"offset": -1}, {"limit": 0}, {"limit": 10**9}, {"offset": 10**30}):
        refused(world.http.get(f"{RUNS}/{run.id}/log", params=params), 400)


def test_the_last_log_of_a_pipeline_is_the_latest_runs(world: World, api: Api) -> None:
    pipeline = api.deployed()
    earlier = triggered(api, pipeline)
    world.stores.clock.advance(1)
    later = triggered(api, pipeline)
    world.logs.write(earlier, b"earlier\n")
    world.logs.write(later, b"later\n")
    path = f"/logs/{pipeline['id']}/last"
    assert document(api.get(path)) == {"ingestion_task": "later\n", "total": "1"}
    assert document(api.get(path, runId=earlier)) == {"ingestion_task": "earlier\n", "total": "1"}
    assert api.get(f"{path}/download").content == b"later\n"
    other = api.deployed()
    refused(api.get(f"/logs/{other['id']}/last", runId=later), 404, "has no run")


# --- what OpenMetadata is told and what we know -----------------------------------------------------------------------


def statuses(api: Api, pipeline: Document, **params: Any) -> list[Document]:
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    found: list[Document] = document(api.get(path, **params))["data"]
    return found


def test_a_run_is_listed_in_every_state_without_a_report(world: World, api: Api) -> None:
    pipeline = api.deployed()
    run_id = triggered(api, pipeline)
    assert [(row["runId"], row["pipelineState"]) for row in statuses(api, pipeline)] == [(run_id, "queued")]
    world.executor.start()
    assert statuses(api, pipeline)[0]["pipelineState"] == "running"
    world.executor.end(run_id)
    (row,) = statuses(api, pipeline)
    assert row["pipelineState"] == "success"
    assert row["endDate"] == row["startDate"] + 1000


def test_a_workflow_that_said_running_and_died_is_shown_as_it_is(world: World, api: Api) -> None:
    pipeline = api.deployed()
    run_id = triggered(api, pipeline)
    world.executor.start()
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    reported = a_status(runId=run_id, pipelineState="running", timestamp=to_ms(world.stores.clock.now()))
    api.put(path, reported)
    world.executor.end(run_id, outcome(RunState.FAILED, RunReason.SIGNAL, "Killed."))
    assert statuses(api, pipeline)[0]["pipelineState"] == "failed"
    assert document(api.get(f"{path}/{run_id}")) == reported, "the report itself stays as it was"


def test_a_workflow_that_said_success_and_is_still_ending_is_running(world: World, api: Api) -> None:
    pipeline = api.deployed()
    run_id = triggered(api, pipeline)
    world.executor.start()
    now = to_ms(world.stores.clock.now())
    steps = [{"name": "Mysql", "records": 3}]
    path = f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus"
    api.put(path, a_status(runId=run_id, timestamp=now, startDate=now, endDate=now, status=steps))
    (row,) = statuses(api, pipeline)
    assert (row["pipelineState"], row["status"]) == ("running", steps)
    assert "endDate" not in row
    world.executor.end(run_id)
    assert statuses(api, pipeline)[0]["pipelineState"] == "success"


def test_a_range_holds_runs_and_reports(world: World, api: Api) -> None:
    pipeline = api.deployed()
    start = to_ms(world.stores.clock.now())
    ids = []
    for _ in range(7):
        ids.append(triggered(api, pipeline))
        world.stores.clock.advance(10)
    assert [row["runId"] for row in statuses(api, pipeline)] == ids[:1:-1]
    some = statuses(api, pipeline, startTs=start + 10_000, endTs=start + 30_000)
    assert [row["runId"] for row in some] == [ids[3], ids[2], ids[1]]
    assert len(statuses(api, pipeline, startTs=0)) == 7
    assert len(statuses(api, pipeline, limit=6)) == 6


def test_a_range_reads_on_until_its_start(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.operations.statuses._RUNS_PER_PAGE", 2)
    pipeline = api.deployed()
    for _ in range(5):
        triggered(api, pipeline)
        world.stores.clock.advance(10)
    assert len(statuses(api, pipeline, startTs=0)) == 5
    assert len(statuses(api, pipeline, startTs=to_ms(world.stores.clock.now() - timedelta(seconds=30)))) == 3


def test_killing_ends_every_run_of_a_pipeline(world: World, api: Api) -> None:
    pipeline = api.deployed(airflowConfig={"maxActiveRuns": 2})
    first = triggered(api, pipeline)
    world.executor.start()
    second = triggered(api, pipeline)
    answer = document(api.post(f"/kill/{pipeline['id']}"))
    assert answer["code"] == 200
    assert {run_of(world, run_id)["state"] for run_id in (first, second)} == {"stopped"}
    refused(api.post(f"/kill/{pipeline['id']}"), 400, "no running or pending runs")


# --- outbox and runtimes ----------------------------------------------------------------------------------------------


def test_what_openmetadata_has_not_heard_is_listed(world: World) -> None:
    run = a_run()
    world.stores.runs.enqueue(run)
    world.executor.start()
    assert world.http.get("/api/v1/minisched/outbox").json() == {"data": []}
    world.executor.end(run.id)
    (entry,) = world.http.get("/api/v1/minisched/outbox").json()["data"]
    assert (entry["runId"], entry["attempts"], entry["dead"]) == (run.id, 0, False)


def test_runtimes_are_listed_with_what_is_wrong(world: World) -> None:
    world.runtimes.known.append(RuntimeStatus("old", "failed", problem="metadata cannot be imported"))
    first, second = world.http.get("/api/v1/minisched/runtimes").json()["data"]
    assert first == {
        "name": "main",
        "state": "ready",
        "version": "2.0.7.0",
        "importS": 5.4,
        "activeRuns": 0,
        "spares": 2,
    }
    assert (second["state"], second["problem"]) == ("failed", "metadata cannot be imported")
