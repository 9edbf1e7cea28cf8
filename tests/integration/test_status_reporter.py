"""What OpenMetadata hears of a run that could not tell it itself (contract §7.5), over real HTTP."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from minisched.clients.openmetadata import OpenMetadataReporter
from minisched.clients.openmetadata_http import Timeouts
from minisched.domain.errors import EntityNotFound, OrchestratorRejected, OrchestratorUnavailable
from minisched.domain.instant import to_ms
from minisched.domain.run import Run, RunKind, RunReason, RunState
from tests.scripted_http import Answer, Asked, ScriptedServer, scripted_server

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDED = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
RUN = Run(
    id="5b1c9a4e-0000-4000-8000-000000000001",
    pipeline_id="p",
    pipeline_fqn='svc."a.b/c"',
    pipeline_name="a.b/c",
    pipeline_type="metadata",
    service_fqn="svc",
    kind=RunKind.MANUAL,
    enqueued_at=STARTED,
    started_at=STARTED,
    ended_at=ENDED,
    state=RunState.FAILED,
    reason=RunReason.SIGNAL,
    message="killed by signal 9",
)
PATH = "/api/v1/services/ingestionPipelines/svc.%22a.b%2Fc%22/pipelineStatus"


def report(server: ScriptedServer, run: Run = RUN, *, version: str | None = None, **members: Any) -> None:
    reporter = OpenMetadataReporter(
        complete=lambda document: document, timeouts=Timeouts(2, 2), server_version=lambda _: version
    )
    connection = {"hostPort": f"{server.url}/api", "securityConfig": {"jwtToken": "t0k3n"}}
    document = {"fullyQualifiedName": run.pipeline_fqn, "openMetadataServerConnection": connection, **members}
    with closing(reporter):
        reporter.report(run, document)


def answers(row: Any, put: tuple[int, Any] = (201, {})) -> Answer:
    """A server that holds this row, b"" for none."""
    return lambda asked: (200, row) if asked.method == "GET" else put


def test_a_run_that_never_reported_gets_a_row() -> None:
    with scripted_server(answers(b"")) as server:
        report(server)
    get, put = server.asked
    assert (get.method, get.path) == ("GET", f"{PATH}/{RUN.id}")
    assert (put.method, put.path) == ("PUT", PATH)
    assert put.headers["Authorization"] == "Bearer t0k3n"
    assert put.body["runId"] == RUN.id
    assert (put.body["pipelineState"], put.body["endDate"]) == ("failed", to_ms(ENDED))
    assert put.body["startDate"] == put.body["timestamp"] == to_ms(STARTED)
    assert put.body["status"][-1]["failures"][0]["error"] == "killed by signal 9"


def test_a_running_row_is_ended_and_keeps_what_the_workflow_wrote() -> None:
    row = {"runId": RUN.id, "pipelineState": "running", "startDate": 7, "timestamp": 8, "metadata": {"a": 1}}
    with scripted_server(answers(row)) as server:
        report(server)
    body = server.asked[-1].body
    assert (body["startDate"], body["timestamp"], body["metadata"]) == (7, 8, {"a": 1})
    assert (body["pipelineState"], body["endDate"]) == ("failed", to_ms(ENDED))


@pytest.mark.parametrize("state", ["success", "failed", "partialSuccess", "stopped"])
def test_a_row_that_is_terminal_is_never_overwritten(state: str) -> None:
    with scripted_server(answers({"runId": RUN.id, "pipelineState": state, "endDate": 9})) as server:
        report(server)
    assert [asked.method for asked in server.asked] == ["GET"]


def test_a_server_that_does_not_know_stopped_is_told_failed() -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "GET":
            return 200, b""
        return (400, {"code": 400}) if asked.body["pipelineState"] == "stopped" else (201, {})

    with scripted_server(answer) as server:
        report(server, replace(RUN, state=RunState.STOPPED, reason=RunReason.STOP_REQUESTED))
    assert [asked.body["pipelineState"] for asked in server.asked[1:]] == ["stopped", "failed"]


@pytest.mark.parametrize(
    ("version", "said"),
    [("1.11.14", "failed"), ("0.13.3", "failed"), ("1.12.0", "stopped"), ("2.0.7", "stopped"), ("dev", "stopped")],
)
def test_stopped_is_said_only_to_servers_of_a_line_that_knows_it(version: str, said: str) -> None:
    with scripted_server(answers(b"")) as server:
        report(server, replace(RUN, state=RunState.STOPPED, reason=RunReason.STOP_REQUESTED), version=version)
    assert [asked.body["pipelineState"] for asked in server.asked[1:]] == [said]


LOG = f"/api/v1/services/ingestionPipelines/logs/svc.%22a.b%2Fc%22/{RUN.id}/close"


@pytest.mark.parametrize("row", [b"", {"runId": RUN.id, "pipelineState": "failed", "endDate": 9}])
@pytest.mark.parametrize("answer", [200, 404, 500])
def test_the_streamed_log_of_a_run_that_died_is_closed_whatever_the_server_thinks_of_it(row: Any, answer: int) -> None:
    def said(asked: Asked) -> tuple[int, Any]:
        return (answer, {"code": answer}) if asked.method == "POST" else answers(row)(asked)

    run = replace(RUN, evidence={"exit": {"runner_pid": 4711}})
    with scripted_server(said) as server:
        report(server, run, enableStreamableLogs=True)
    close = server.asked[-1]
    assert (close.method, close.path) == ("POST", LOG)
    assert close.body == {"connectorId": f"{socket.gethostname()}-4711", "timestamp": to_ms(ENDED)}


@pytest.mark.parametrize(
    ("reason", "streamed"), [(RunReason.SIGNAL, False), (RunReason.COMPLETED, True), (RunReason.COMPLETED, False)]
)
def test_no_other_log_is_closed(reason: RunReason, streamed: bool) -> None:
    with scripted_server(answers(b"")) as server:
        report(server, replace(RUN, reason=reason), enableStreamableLogs=streamed)
    assert [asked.method for asked in server.asked] == ["GET", "PUT"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, {"code": 500}, OrchestratorUnavailable),
        (401, {"code": 401}, OrchestratorRejected),
        (404, {"code": 404}, EntityNotFound),
        (200, b"<html>not you</html>", OrchestratorUnavailable),
    ],
)
def test_an_answer_that_does_not_help_is_an_error_to_be_tried_again(status: int, body: Any, error: type) -> None:
    with scripted_server(lambda _: (status, body)) as server, pytest.raises(error):
        report(server)


def test_nobody_listening_is_an_error_to_be_tried_again() -> None:
    with scripted_server(answers(b"")) as server:
        pass
    with pytest.raises(OrchestratorUnavailable, match="does not answer"):
        report(server)


def test_a_page_is_no_receipt() -> None:
    answer = answers(b"", put=(200, b"<html>sign in</html>"))
    with scripted_server(answer) as server, pytest.raises(OrchestratorUnavailable, match="not JSON"):
        report(server)
    assert [asked.method for asked in server.asked] == ["GET", "PUT"]


def test_a_page_that_says_not_found_is_not_openmetadatas_word() -> None:
    with (
        scripted_server(lambda _: (404, b"<html>no such host</html>")) as server,
        pytest.raises(OrchestratorUnavailable),
    ):
        report(server)
