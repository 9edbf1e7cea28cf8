"""What an automation (a test of a connection, …) is about."""

from __future__ import annotations

from minisched.domain.pipeline import Document


def service_type_of(workflow: Document) -> str:
    """As pipelines call it: what is a Database to an automation is a databaseService; empty when it does not say."""
    request = workflow.get("request")
    kind = str((request if isinstance(request, dict) else {}).get("serviceType") or "")
    return f"{kind[:1].lower()}{kind[1:]}Service" if kind else ""
