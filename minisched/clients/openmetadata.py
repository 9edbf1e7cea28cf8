"""Tells an OpenMetadata server (or our sandbox, which speaks the same) how a run ended (contract §7.5)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import quote

import httpx

from minisched.clients.openmetadata_http import KeptClients, Timeouts, checked, document_of
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import TERMINAL_STATES, Run, RunReason, RunState
from minisched.domain.versions import Line, is_version, line_of

_PIPELINES = "/v1/services/ingestionPipelines"
_FIRST_LINE_WITH_STOPPED: Line = (1, 12)
_TERMINAL_WORDS = frozenset(state.value for state in TERMINAL_STATES)


class OpenMetadataReporter:
    """Implements `ports.StatusReporter`. `complete` fills in the connection of a pipeline that has none;
    `server_version` is that of the document's server, None when it is not known."""

    def __init__(
        self,
        *,
        complete: Callable[[Document], Document],
        timeouts: Timeouts,
        server_version: Callable[[Document], str | None],
    ) -> None:
        self._complete = complete
        self._server_version = server_version
        self._clients = KeptClients(timeouts)

    def close(self) -> None:
        self._clients.close()

    def report(self, run: Run, pipeline: Document) -> None:
        connection = self._complete(pipeline)["openMetadataServerConnection"]
        fqn = quote(str(pipeline.get("fullyQualifiedName") or run.pipeline_fqn), safe="")
        with self._clients.client(connection) as client:
            self._put_status(client, f"{_PIPELINES}/{fqn}/pipelineStatus", run, pipeline)
            if pipeline.get("enableStreamableLogs") and run.reason is not RunReason.COMPLETED:
                _close_stream(client, f"{_PIPELINES}/logs/{fqn}/{run.id}/close", run)

    def _put_status(self, client: httpx.Client, path: str, run: Run, pipeline: Document) -> None:
        row = document_of(checked(client.get(f"{path}/{run.id}")))
        if row and row.get("pipelineState") in _TERMINAL_WORDS and row.get("endDate"):
            return
        status = final_status(run, row)
        as_failed = {**status, "pipelineState": RunState.FAILED.value}
        if run.state is not RunState.STOPPED:
            response = client.put(path, json=status)
        elif self._knows_stopped(pipeline):
            response = client.put(path, json=status)
            if response.status_code == httpx.codes.BAD_REQUEST:
                response = client.put(path, json=as_failed)
        else:
            response = client.put(path, json=as_failed)
        document_of(checked(response))  # a page in HTML, with 200, is no receipt

    def _knows_stopped(self, pipeline: Document) -> bool:
        """Servers before 1.12 refuse the word (contract §4.9); one whose version is not known is given a try."""
        version = self._server_version(pipeline)
        return version is None or not is_version(version) or line_of(version) >= _FIRST_LINE_WITH_STOPPED


def _close_stream(client: httpx.Client, path: str, run: Run) -> None:
    """The end of a streamed log whose workflow could not say that it ended; else the server would wait for a day.

    Whatever it answers is fine: it may be a server that takes no logs, or that has closed the stream already.
    """
    pid = (run.evidence.get("exit") or {}).get("runner_pid", 0)
    ended_ms = to_ms(run.ended_at or run.enqueued_at)
    client.post(path, json={"connectorId": f"{socket.gethostname()}-{pid}", "timestamp": ended_ms})


def final_status(run: Run, row: Document | None) -> Document:
    """The PipelineStatus of a run that has ended, on top of what the workflow reported itself, because PUT replaces."""
    started_ms = to_ms(run.started_at or run.enqueued_at)
    status: Document = {"runId": run.id, "startDate": started_ms, "timestamp": started_ms, **(row or {})}
    status["pipelineState"] = run.state.value
    status["endDate"] = to_ms(run.ended_at) if run.ended_at else started_ms
    steps = list(status.get("status") or run.steps)
    if run.reason is not RunReason.COMPLETED:
        steps.append(_explanation(run))
    if steps:
        status["status"] = steps
    return status


def _explanation(run: Run) -> Document:
    """Why it ended, as a step, because that is where OpenMetadata's page shows failures."""
    failed = run.state is RunState.FAILED
    step: Document = {"name": "minisched", "records": 0, "errors": int(failed), "warnings": int(not failed)}
    if failed:
        message, hint = run.message or "The run failed.", run.evidence.get("hint")
        error = f"{message.rstrip('.')}. {hint}" if hint else message
        step["failures"] = [{"name": (run.reason or RunReason.ERROR).value, "error": error}]
    return step
