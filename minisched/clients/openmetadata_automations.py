"""Tells OpenMetadata that an automation came to nothing, when the automation could not (contract §1.16)."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import httpx

from minisched.clients.openmetadata_http import Timeouts, checked, document_of, openmetadata_client
from minisched.domain.errors import EntityNotFound
from minisched.domain.pipeline import Document

_WORKFLOWS = "/v1/automations/workflows"
_JSON_PATCH = {"Content-Type": "application/json-patch+json"}
_TEST_CONNECTION = "TEST_CONNECTION"
_STEP = "minisched"


def report_failed_automation(workflow: Document, message: str, timeouts: Timeouts) -> None:
    """Write `status: Failed`, and a response with the message where the automation has steps to show it in.

    Raises EntityNotFound when the workflow is gone, OrchestratorRejected or OrchestratorUnavailable like every call.
    """
    operations: list[Document] = [{"op": "add", "path": "/status", "value": "Failed"}]
    if workflow.get("workflowType", _TEST_CONNECTION) == _TEST_CONNECTION:
        operations.insert(0, {"op": "add", "path": "/response", "value": _response(message)})
    with openmetadata_client(workflow["openMetadataServerConnection"], timeouts) as client:
        path = f"{_WORKFLOWS}/{_id_of(workflow, client)}"
        checked(client.patch(path, content=json.dumps(operations), headers=_JSON_PATCH))


def _id_of(workflow: Document, client: httpx.Client) -> str:
    if workflow.get("id"):
        return str(workflow["id"])
    name = str(workflow["name"])
    stored = document_of(checked(client.get(f"{_WORKFLOWS}/name/{quote(name, safe='')}")))
    if not stored:
        raise EntityNotFound(f"OpenMetadata knows no automation {name}")
    return str(stored["id"])


def _response(message: str) -> Document:
    """A TestConnectionResult of one step that failed."""
    step = {"name": _STEP, "mandatory": True, "passed": False, "message": message, "errorLog": message}
    return {"lastUpdatedAt": time.time_ns() // 1_000_000, "status": "Failed", "steps": [step]}
