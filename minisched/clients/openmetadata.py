"""Tells an OpenMetadata server (or our sandbox, which speaks the same) how a run ended (contract §7.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from minisched.domain.errors import EntityNotFound, OrchestratorRejected, OrchestratorUnavailable
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import TERMINAL_STATES, Run, RunReason, RunState

_TERMINAL_WORDS = frozenset(state.value for state in TERMINAL_STATES)


class OpenMetadataReporter:
    """Implements `ports.StatusReporter`. `complete` fills in the connection of a pipeline that has none."""

    def __init__(
        self, *, complete: Callable[[Document], Document], connect_timeout_s: float, read_timeout_s: float
    ) -> None:
        self._complete = complete
        self._timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)

    def report(self, run: Run, pipeline: Document) -> None:
        connection = self._complete(pipeline)["openMetadataServerConnection"]
        fqn = quote(str(pipeline.get("fullyQualifiedName") or run.pipeline_fqn), safe="")
        path = f"/v1/services/ingestionPipelines/{fqn}/pipelineStatus"
        with self._client(connection) as client:
            row = _document(_checked(client.get(f"{path}/{run.id}")))
            if row and row.get("pipelineState") in _TERMINAL_WORDS and row.get("endDate"):
                return
            response = client.put(path, json=final_status(run, row))
            if response.status_code == httpx.codes.BAD_REQUEST and run.state is RunState.STOPPED:
                # Servers before 1.12 do not know the word (contract §4.9).
                response = client.put(path, json={**final_status(run, row), "pipelineState": RunState.FAILED.value})
            _checked(response)

    @contextmanager
    def _client(self, connection: Document) -> Iterator[httpx.Client]:
        token = (connection.get("securityConfig") or {}).get("jwtToken")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = str(connection["hostPort"]).rstrip("/")
        verify: Any = connection.get("verifySSL") == "validate"
        if verify and (ca := ((connection.get("sslConfig") or {}).get("caCertificate"))):
            verify = ca
        try:
            with httpx.Client(base_url=base, headers=headers, timeout=self._timeout, verify=verify) as client:
                yield client
        except (httpx.HTTPError, OSError) as error:
            raise OrchestratorUnavailable(f"OpenMetadata at {base} does not answer: {error}") from error


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


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    text = f"OpenMetadata answered {response.status_code} to {response.request.method} {response.request.url.path}"
    if response.status_code == httpx.codes.NOT_FOUND:
        raise EntityNotFound(text)
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise OrchestratorRejected(text, hint="Deploy the pipeline again so that it carries a valid bot token.")
    raise OrchestratorUnavailable(text)


def _document(response: httpx.Response) -> Document | None:
    """The JSON object of an answer; None for the empty success that stands for an unknown run (contract §3.11)."""
    if not response.content.strip():
        return None
    try:
        body = response.json()
    except json.JSONDecodeError as error:
        raise OrchestratorUnavailable("OpenMetadata answered something that is not JSON") from error
    return body if isinstance(body, dict) else None
