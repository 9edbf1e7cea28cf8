"""A pipeline as the plugin has to get it, and what the plugin will not do with it."""

from __future__ import annotations

from minisched.domain.pipeline import Document

_DEFAULT_RETRY_DELAY_S = 300


def for_the_plugin(document: Document) -> Document:
    """The plugin ignores `enabled`: what is not to fire has to be created paused (contract §1.18)."""
    if document.get("enabled", True):
        return document
    return {**document, "airflowConfig": {**(document.get("airflowConfig") or {}), "pausePipeline": True}}


def differences(document: Document) -> tuple[str, ...]:
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
    return tuple(found)
