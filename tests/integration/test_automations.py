"""Automations at their limits, and what OpenMetadata is told of those that came to nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

from minisched.clients.connection import connection_document
from minisched.clients.openmetadata_automations import report_failed_automation
from minisched.clients.openmetadata_http import Timeouts
from minisched.domain.errors import EntityNotFound, OrchestratorUnavailable
from minisched.domain.pipeline import Document
from minisched.executor.automations import AutomationChildren
from minisched.executor.launcher_client import SpawnLimits
from minisched.executor.run_directory import RunDirectories
from minisched.system_clock import SystemClock
from tests.scripted_http import Asked, ScriptedServer, scripted_server

MOST_AT_ONCE = 8
WORKFLOW_ID = "5b1c0a52-64f1-4c3c-9d0e-0d6e1f1f2a3b"
TIMEOUTS = Timeouts(connect_s=5, read_s=5)


def test_more_automations_than_there_are_places_for_are_refused_at_once(tmp_path: Path) -> None:
    release, waiting = threading.Event(), threading.Semaphore(0)

    def connect(_runtime: str) -> NoReturn:
        waiting.release()
        release.wait(30)
        raise OrchestratorUnavailable("no launcher")

    def limits() -> SpawnLimits:
        raise AssertionError("nothing is spawned")

    def report(_workflow: Document, _why: str) -> None:
        raise AssertionError("nothing was started")

    children = AutomationChildren(
        connect=connect,
        directories=RunDirectories(tmp_path),
        limits=limits,
        complete=lambda workflow: workflow,
        clock=SystemClock(),
        report_failure=report,
    )
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        running = [pool.submit(children.run, {"name": f"n{number}"}, runtime="main") for number in range(MOST_AT_ONCE)]
        for _ in running:
            assert waiting.acquire(timeout=30)
        try:
            with pytest.raises(OrchestratorUnavailable, match="8 automations are running already"):
                children.run({"name": "one more"}, runtime="main")
        finally:
            release.set()
        assert all(isinstance(one.exception(), OrchestratorUnavailable) for one in running)
    with pytest.raises(OrchestratorUnavailable, match="no launcher"):
        children.run({"name": "there is a place again"}, runtime="main")


@pytest.fixture
def openmetadata() -> Iterator[ScriptedServer]:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "GET":
            return (200, {"id": WORKFLOW_ID}) if asked.path.endswith("/name/a%20name") else (404, {})
        return 200, {}

    with scripted_server(answer) as server:
        yield server


def workflow(server: ScriptedServer, **members: Any) -> Document:
    return {"name": "a name", "openMetadataServerConnection": connection_document(f"{server.url}/api", "t"), **members}


def test_a_failed_test_of_a_connection_gets_a_response_with_the_reason(openmetadata: ScriptedServer) -> None:
    tested = workflow(openmetadata, id=WORKFLOW_ID, workflowType="TEST_CONNECTION")
    report_failed_automation(tested, "It took too long.", TIMEOUTS)
    [asked] = openmetadata.asked
    assert (asked.method, asked.path) == ("PATCH", f"/api/v1/automations/workflows/{WORKFLOW_ID}")
    assert asked.headers["Content-Type"] == "application/json-patch+json"
    response, status = asked.body
    assert (status["op"], status["path"], status["value"]) == ("add", "/status", "Failed")
    assert (response["op"], response["path"], response["value"]["status"]) == ("add", "/response", "Failed")
    assert [step["errorLog"] for step in response["value"]["steps"]] == ["It took too long."]


def test_other_automations_have_other_responses_and_get_only_the_status(openmetadata: ScriptedServer) -> None:
    report_failed_automation(workflow(openmetadata, id=WORKFLOW_ID, workflowType="QUERY_RUNNER"), "No.", TIMEOUTS)
    assert openmetadata.asked[0].body == [{"op": "add", "path": "/status", "value": "Failed"}]


def test_without_an_id_it_is_found_by_its_name(openmetadata: ScriptedServer) -> None:
    report_failed_automation(workflow(openmetadata), "No.", TIMEOUTS)
    assert [asked.method for asked in openmetadata.asked] == ["GET", "PATCH"]
    assert openmetadata.asked[1].path.endswith(WORKFLOW_ID)


def test_one_that_is_gone_is_said_to_be(openmetadata: ScriptedServer) -> None:
    with pytest.raises(EntityNotFound):
        report_failed_automation(workflow(openmetadata, name="other"), "No.", TIMEOUTS)
