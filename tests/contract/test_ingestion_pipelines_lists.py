"""Lists of pipelines: filters, order, cursors (contract §3.2)."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import Api, a_status, document, encoded, refused


@pytest.fixture
def service(api: Api) -> Document:
    """A service of this test alone, so that its pipelines can be listed alone."""
    return api.new_service(f"shop_{uuid4().hex[:8]}")


def made(api: Api, service: Document, *names: str, **changes: Any) -> list[Document]:
    reference = {"id": service["id"], "type": service["type"]}
    return [api.created(name=name, service=reference, **changes) for name in names]


def names(page: Document) -> list[str]:
    return [pipeline["name"] for pipeline in page["data"]]


def listed(api: Api, service: Document, **params: Any) -> Document:
    return document(api.get("", service=service["name"], **params))


def test_pages_follow_each_other_in_the_order_of_names(api: Api, service: Document) -> None:
    made(api, service, "e", "b", "d", "a", "c")
    first = listed(api, service, limit=2)
    assert (names(first), first["paging"]["total"]) == (["a", "b"], 5)
    assert "before" not in first["paging"]
    second = listed(api, service, limit=2, after=first["paging"]["after"])
    assert (names(second), second["paging"]["total"]) == (["c", "d"], 5)
    last = listed(api, service, limit=2, after=second["paging"]["after"])
    assert names(last) == ["e"]
    assert "after" not in last["paging"]
    back = listed(api, service, limit=2, before=last["paging"]["before"])
    assert names(back) == ["c", "d"]


def test_what_comes_and_goes_between_two_pages_shifts_nothing(api: Api, service: Document) -> None:
    pipelines = made(api, service, "b", "d", "f", "h")
    first = listed(api, service, limit=2)
    made(api, service, "a", "e")
    api.delete(f"/{pipelines[0]['id']}", hardDelete="true")
    assert names(listed(api, service, limit=2, after=first["paging"]["after"])) == ["e", "f"]


def test_a_limit_of_nothing_only_counts(api: Api, service: Document) -> None:
    made(api, service, "a", "b")
    page = listed(api, service, limit=0)
    assert (page["data"], page["paging"]["total"]) == ([], 2)


def test_a_service_does_not_list_the_pipelines_of_a_longer_name(api: Api, service: Document) -> None:
    made(api, service, "a")
    longer = api.new_service(service["name"] + "s")
    made(api, longer, "b")
    assert names(listed(api, service)) == ["a"]


def test_filters(api: Api, service: Document) -> None:
    made(api, service, "meta")
    made(api, service, "use", pipelineType="usage", sourceConfig={"config": {"type": "DatabaseUsage"}})
    mailer = {"config": {"type": "Application", "appConfig": {"type": "Mailer"}}}
    made(api, service, "mail", pipelineType="application", sourceConfig=mailer, provider="automation")
    assert names(listed(api, service, pipelineType="metadata")) == ["meta"]
    assert names(listed(api, service, pipelineType="usage, metadata")) == ["meta", "use"]
    assert names(listed(api, service, agentType="metadata")) == ["meta", "use"]
    assert names(listed(api, service, agentType="application")) == ["mail"]
    assert names(listed(api, service, agentType="application", pipelineType="usage")) == []
    assert names(listed(api, service, pipelineType="fromTheFuture")) == []
    assert names(listed(api, service, applicationType="Mailer")) == ["mail"]
    assert names(listed(api, service, provider="user")) == ["meta", "use"]
    assert names(listed(api, service, serviceType="databaseService")) == ["mail", "meta", "use"]
    assert names(listed(api, service, serviceType="dashboardService")) == []


def test_deleted_pipelines_are_listed_on_request(api: Api, service: Document) -> None:
    gone, _ = made(api, service, "gone", "here")
    api.delete(f"/{gone['id']}")
    assert names(listed(api, service)) == ["here"]
    assert names(listed(api, service, include="deleted")) == ["gone"]
    assert names(listed(api, service, include="all")) == ["gone", "here"]


def test_the_order_of_display_names(api: Api, service: Document) -> None:
    made(api, service, "z", displayName="first")
    made(api, service, "m")
    made(api, service, "a", displayName="zuletzt")
    page = listed(api, service, sortField="displayName", limit=2)
    assert names(page) == ["z", "m"]
    assert names(listed(api, service, sortField="displayName", after=page["paging"]["after"])) == ["a"]
    assert names(listed(api, service, sortField="displayName", sortOrder="desc")) == ["a", "m", "z"]
    assert names(listed(api, service, sortField="other", sortOrder="desc")) == ["a", "m", "z"]


def test_fields_are_shown_for_every_pipeline(api: Api, service: Document) -> None:
    pipeline, _ = made(api, service, "a", "b", owners=[{"id": api.owner["id"], "type": "user"}])
    status = a_status()
    api.put(f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus", status)
    first, second = listed(api, service, fields="owners,pipelineStatuses")["data"]
    assert first["owners"][0]["name"] == api.owner["name"]
    assert first["pipelineStatuses"] == [status]
    assert second["pipelineStatuses"] == []
    assert listed(api, service)["data"][0].keys().isdisjoint({"owners", "pipelineStatuses"})


def cursor(**key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": 1_000_001}, "limit"),
        ({"limit": 10**30}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"fields": "owners,nonsense"}, "Invalid field name nonsense"),
        ({"include": "everything"}, "include"),
        ({"agentType": "robot"}, "agentType"),
        ({"sortField": "displayName", "sortOrder": "sideways"}, "sortOrder"),
        ({"before": "x", "after": "y"}, "Only one of before or after query parameter allowed"),
        ({"after": "nonsense"}, "Invalid cursor"),
        ({"after": "§"}, "Invalid cursor"),
        ({"after": cursor(name="a")}, "Invalid cursor"),
        ({"after": cursor(name=1, id="x")}, "Invalid cursor"),
        ({"after": cursor(displayNameSort="a", id="x")}, "Invalid cursor"),
        ({"after": base64.urlsafe_b64encode(b"[" * 5000).decode()}, "Invalid cursor"),
        ({"before": cursor(name="\ud800", id="x")}, "Invalid cursor"),
        ({"before": cursor(name="\0", id="x")}, "Invalid cursor"),
        ({"after": cursor(name="a", id="x"), "sortField": "displayName"}, "Invalid cursor for sortField pagination"),
        ({"after": "\0"}, "U+0000"),
    ],
)
def test_bad_questions_are_refused(api: Api, params: dict[str, Any], words: str) -> None:
    refused(api.get("", **params), 400, words)
