"""What the steps of a workflow counted, as OpenMetadata StepSummary objects (contract §4.3), on any line."""

from __future__ import annotations

import json
from typing import Any

_FAILURES_SHOWN = 10


def live_counters(workflow: Any) -> list[dict[str, Any]]:
    """The counters of a workflow that still runs; empty while it has no steps yet. May be called from any thread."""
    try:
        return [_count(step) for step in workflow.workflow_steps()]
    except Exception:
        return []  # a step appears or changes while we look


def final_summaries(workflow: Any) -> list[dict[str, Any]]:
    """The summaries that the workflow itself reports, or its counters on lines that have none (before 1.3)."""
    build = getattr(workflow, "build_ingestion_status", None)
    if build is not None:
        try:
            summaries = as_json(build())
        except Exception:
            summaries = None
        if isinstance(summaries, list):
            return summaries
    return [dict(counters, failures=failures_of(step)) for step, counters in _with_steps(workflow)]


def _with_steps(workflow: Any) -> list[tuple[Any, dict[str, Any]]]:
    try:
        return [(step, _count(step)) for step in workflow.workflow_steps()]
    except Exception:
        return []


def _count(step: Any) -> dict[str, Any]:
    status = step.status
    return {
        "name": str(step.name),
        "records": getattr(status, "record_count", 0) or len(status.records),
        "updated_records": len(getattr(status, "updated_records", ())),
        "warnings": len(status.warnings),
        "errors": len(status.failures),
        "filtered": len(status.filtered),
    }


def failures_of(step: Any) -> list[dict[str, Any]]:
    """The first failures of a step as {name, error, stackTrace?}."""
    return [
        failure if isinstance(failure, dict) else as_json(failure)
        for failure in list(step.status.failures)[:_FAILURES_SHOWN]
    ]


def as_json(model: Any) -> Any:
    """A pydantic model of either major version as JSON data, without nulls."""
    dump = getattr(model, "model_dump_json", None) or model.json
    return json.loads(dump(exclude_none=True))
