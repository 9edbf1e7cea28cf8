# mypy: ignore-errors
"""Tests of connections, which go as the connection's `behaviour` says."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

from metadata.ingestion.ometa.ometa_api import OpenMetadata


def execute(workflow):
    config = workflow.request["connection"]["config"]
    metadata = OpenMetadata(SimpleNamespace(values=workflow.openMetadataServerConnection))
    behaviour = config.get("behaviour")
    _report(metadata, workflow, "Running", [], "Running")
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "die":
        os._exit(9)
    if behaviour == "raise":
        raise NotImplementedError("no such automation")
    passed = behaviour != "refuse"
    step = {"name": "CheckAccess", "mandatory": True, "passed": passed}
    _report(metadata, workflow, "Successful" if passed else "Failed", [step], "Successful")


def _report(metadata, workflow, outcome, steps, status):
    response = SimpleNamespace(status=outcome, steps=[SimpleNamespace(**step) for step in steps], raw=steps)
    metadata.patch_automation_workflow_response(workflow, response, status)
