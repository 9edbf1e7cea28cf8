# mypy: ignore-errors
"""The parser of automations: it takes everything."""

from __future__ import annotations

from types import SimpleNamespace


def parse_automation_workflow_gracefully(document):
    return SimpleNamespace(**document)
