"""Automations (test a connection, …): their outcome is only in what they send to OpenMetadata, so that is watched."""

from __future__ import annotations

import gc
import importlib
import time
from typing import Any, Callable

from .causes import one_line
from .models import parse
from .result import Result
from .workflows import AUTOMATIONS, first_importable

_FAILED = "Failed"


def run(document: dict[str, Any], result: Result) -> None:
    """Execute an automation Workflow document and fill in the result. Raises what the package raises."""
    execute = first_importable(AUTOMATIONS, "automations came with OpenMetadata 1.0")
    workflow = _parse(document)
    watch = _Watch()
    watch.attach()
    result.stage = "execute"
    gc.enable()
    result.timings["workflow_ns"] = time.time_ns()
    started = time.monotonic()
    try:
        execute(workflow)
    finally:
        result.timings["execute_s"] = round(time.monotonic() - started, 3)
        result.steps = watch.steps()
        result.reported = watch.accepted
    result.stage = "done"
    result.verdict = "success"
    if watch.status == _FAILED:
        result.fail("AutomationFailed", watch.why())


def _parse(document: dict[str, Any]) -> Any:
    parser = importlib.import_module("metadata.ingestion.api.parser")
    gracefully = getattr(parser, "parse_automation_workflow_gracefully", None)
    if gracefully is not None:
        return gracefully(document)
    schema = importlib.import_module("metadata.generated.schema.entity.automations.workflow")
    return parse(schema.Workflow, document)


class _Watch:
    """The last response that the automation sent, and whether the server took it."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.accepted = False
        self._response: Any = None

    def attach(self) -> None:
        client = importlib.import_module("metadata.ingestion.ometa.ometa_api").OpenMetadata
        original: Callable[..., Any] = client.patch_automation_workflow_response

        def noting(metadata: Any, workflow: Any, response: Any, status: Any, *args: Any, **kw: Any) -> Any:
            self._response = response
            self.status = str(getattr(status, "value", status))
            patch = metadata.client.patch

            def confirmed(*patch_args: Any, **patch_kw: Any) -> Any:
                answer = patch(*patch_args, **patch_kw)
                self.accepted = answer is not None
                return answer

            metadata.client.patch = confirmed
            try:
                return original(metadata, workflow, response, status, *args, **kw)
            finally:
                metadata.client.patch = patch

        client.patch_automation_workflow_response = noting

    def steps(self) -> list[dict[str, Any]]:
        """One StepSummary per tested step."""
        return [_summary(step) for step in getattr(self._response, "steps", None) or []]

    def why(self) -> str:
        """Which step failed first, and why."""
        for step in getattr(self._response, "steps", None) or []:
            if not getattr(step, "passed", True) and getattr(step, "mandatory", True):
                return "{} failed: {}".format(step.name, _reason(step))
        return "the automation failed; its log says why"


def _summary(step: Any) -> dict[str, Any]:
    passed = bool(getattr(step, "passed", True))
    blocking = not passed and bool(getattr(step, "mandatory", True))
    summary: dict[str, Any] = {
        "name": str(step.name),
        "records": int(passed),
        "updated_records": 0,
        "warnings": int(not passed and not blocking),
        "errors": int(blocking),
        "filtered": 0,
    }
    if blocking:
        summary["failures"] = [{"name": str(step.name), "error": _reason(step)}]
    return summary


def _reason(step: Any) -> str:
    reason = getattr(step, "errorLog", None) or getattr(step, "message", None) or getattr(step, "skipReason", None)
    return one_line(getattr(reason, "value", reason) or "no reason was given")
