"""What a pipeline inherits from its service, over HTTP (contract §3.5)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import CHANGE, Api, document


@pytest.fixture
def service(api: Api) -> Document:
    """A service that somebody owns, as pipelines refer to it."""
    made = api.new_service(f"owned_{uuid4().hex[:8]}", api.owner)
    return {"id": made["id"], "type": made["type"]}


def owners(api: Api, pipeline: Document) -> list[tuple[str, bool]]:
    return [(owner["name"], owner.get("inherited", False)) for owner in api.current(pipeline)["owners"]]


def patch_owners(api: Api, pipeline: Document, value: list[Any]) -> Any:
    return api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/owners", "value": value})


def test_a_pipeline_without_owners_has_those_of_its_service(api: Api, service: Document) -> None:
    pipeline = api.created(service=service)
    assert owners(api, pipeline) == [(api.owner["name"], True)]
    assert pipeline["owners"][0]["href"].endswith(f"/api/v1/users/{api.owner['id']}")


def test_owners_of_its_own_go_before(api: Api, service: Document) -> None:
    team = {"id": api.other_owner["id"], "type": api.other_owner["type"]}
    pipeline = api.created(service=service, owners=[team])
    assert owners(api, pipeline) == [(api.other_owner["name"], False)]


def test_what_is_inherited_is_no_change(api: Api, service: Document) -> None:
    request = api.request(service=service)
    pipeline = document(api.put(body=request))
    again = api.put(body=request)
    assert (again.headers[CHANGE], again.json()["version"]) == ("entityNoChange", 0.1)
    described = document(api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "x"}))
    assert [change["name"] for change in described["changeDescription"]["fieldsAdded"]] == ["description"]
    assert owners(api, pipeline) == [(api.owner["name"], True)]
    removed = patch_owners(api, pipeline, [])
    assert removed.headers[CHANGE] == "entityNoChange"


def test_owners_are_replaced_and_inherited_again(api: Api, service: Document) -> None:
    pipeline = api.created(service=service)
    team = {"id": api.other_owner["id"], "type": api.other_owner["type"]}
    added = document(api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/owners/-", "value": team}))
    assert [change["name"] for change in added["changeDescription"]["fieldsAdded"]] == ["owners"]
    assert owners(api, pipeline) == [(api.other_owner["name"], False)]
    document(api.put(body=api.request(name=pipeline["name"], service=service)))
    assert owners(api, pipeline) == [(api.other_owner["name"], False)]
    removed = patch_owners(api, pipeline, [])
    assert removed.headers[CHANGE] == "entityUpdated"
    assert owners(api, pipeline) == [(api.owner["name"], True)]


def test_an_inherited_owner_may_become_its_own(api: Api, service: Document) -> None:
    pipeline = api.created(service=service)
    owner = {"id": api.owner["id"], "type": api.owner["type"]}
    assert patch_owners(api, pipeline, [owner]).headers[CHANGE] == "entityUpdated"
    assert owners(api, pipeline) == [(api.owner["name"], False)]
