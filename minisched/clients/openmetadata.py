"""Tells an OpenMetadata server (or our sandbox, which speaks the same) how a run ended (contract §7.5)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import httpx

from minisched.clients.openmetadata_http import KeptClients, Timeouts, checked, document_of
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import TERMINAL_STATES, Run, RunReason, RunState

_TERMINAL_WORDS = frozenset(state.value for state in TERMINAL_STATES)


class OpenMetadataReporter:
    """Implements `ports.StatusReporter`. `complete` fills in the connection of a pipeline that has none."""

    def __init__(self, *, complete: Callable[[Document], Document], timeouts: Timeouts) -> None:
        self._complete = complete
        self._clients = KeptClients(timeouts)

    def close(self) -> None:
        self._clients.close()

    def report(self, run: Run, pipeline: Document) -> None:
        connection = self._complete(pipeline)["openMetadataServerConnection"]
        fqn = quote(str(pipeline.get("fullyQualifiedName") or run.pipeline_fqn), safe="")
        path = f"/v1/services/ingestionPipelines/{fqn}/pipelineStatus"
        with self._clients.client(connection) as client:
            row = document_of(checked(client.get(f"{path}/{run.id}")))
            if row and row.get("pipelineState") in _TERMINAL_WORDS and row.get("endDate"):
                return
            response = client.put(path, json=final_status(run, row))
            if response.status_code == httpx.codes.BAD_REQUEST and run.state is RunState.STOPPED:
                # Servers before 1.12 do not know the word (contract §4.9).
                response = client.put(path, json={**final_status(run, row), "pipelineState": RunState.FAILED.value})
            document_of(checked(response))  # a page in HTML, with 200, is no receipt


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
        step["failures"] = [{"name": (run.reason or RunReason.ERROR).value, "error": run.message or "The run failed."}]
    return step
