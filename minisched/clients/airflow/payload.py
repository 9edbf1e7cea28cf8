"""A pipeline as the plugin has to get it, and what the plugin will not do with it."""

from __future__ import annotations

from minisched.domain.line_fields import for_line
from minisched.domain.pipeline import Document
from minisched.domain.versions import Line

_DEFAULT_RETRY_DELAY_S = 300
_RAISE_ON_ERROR_SINCE: Line = (1, 7)


def for_the_plugin(document: Document, line: Line | None = None) -> Document:
    """Without what a plugin of this line would refuse. The plugin ignores `enabled`: what is not to fire has to be
    created paused (contract §1.18)."""
    if line is not None:
        document = for_line(document, line)
    if document.get("enabled", True):
        return document
    return {**document, "airflowConfig": {**(document.get("airflowConfig") or {}), "pausePipeline": True}}


def differences(document: Document, line: Line | None = None) -> tuple[str, ...]:
    """What the pipeline asks for and the plugin does otherwise, in sentences for people (contract §1.18)."""
    config = document.get("airflowConfig") or {}
    found = []
    zone = config.get("pipelineTimezone") or "UTC"
    if config.get("scheduleInterval") and zone != "UTC":
        found.append(f"Airflow's plugin ignores pipelineTimezone ({zone}): it schedules in UTC.")
    if limit := config.get("workflowTimeout"):
        found.append(f"Airflow's plugin takes workflowTimeout ({limit} s) for days.")
    delay = config.get("retryDelay")
    if config.get("retries") and delay not in (None, _DEFAULT_RETRY_DELAY_S):
        found.append(f"Airflow's plugin ignores retryDelay ({delay} s): it waits as long as Airflow is set up to.")
    if document.get("raiseOnError") is False and line is not None and line < _RAISE_ON_ERROR_SINCE:
        found.append("The ingestion package in Airflow does not know raiseOnError: runs with errors fail there.")
    return tuple(found)
