"""ETag, If-Match, If-None-Match and X-OpenMetadata-Change, over HTTP (contract §3.6, §3.16)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.api_worlds import PIPELINES
from tests.contract.ingestion_pipelines import CHANGE, JSON_PATCH, Api, a_status, document, encoded, refused
from tests.waiting import wait_until

DESCRIBE = json.dumps([{"op": "add", "path": "/description", "value": "new"}])


def etag_of(api: Api, pipeline: Document) -> str:
    return str(api.get(f"/{pipeline['id']}").headers["ETag"])


def paths(pipeline: Document) -> list[str]:
    return [f"{PIPELINES}/{pipeline['id']}", f"{PIPELINES}/name/{encoded(pipeline['fullyQualifiedName'])}"]


def test_every_write_names_its_change_and_the_new_state(api: Api) -> None:
    created = api.post(body=api.request())
    pipeline = document(created)
    assert created.headers[CHANGE] == "entityCreated"
    assert created.headers["ETag"] == etag_of(api, pipeline)
    patched = api.http.patch(paths(pipeline)[0], content=DESCRIBE, headers=JSON_PATCH)
    assert patched.headers[CHANGE] == "entityUpdated"
    assert patched.headers["ETag"] == etag_of(api, pipeline) != created.headers["ETag"]
    again = api.http.patch(paths(pipeline)[0], content=DESCRIBE, headers=JSON_PATCH)
    assert again.headers[CHANGE] == "entityNoChange"
    assert again.headers["ETag"] == patched.headers["ETag"]


def test_what_the_caller_has_is_not_sent_again(api: Api) -> None:
    pipeline = api.created()
    etag = etag_of(api, pipeline)
    for path in paths(pipeline):
        for known in (etag, f"W/{etag}", "*", f'"x", {etag}'):
            answer = api.http.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
        for unknown in ('"x"', "", 'W/"0.1"', "nonsense"):
            assert api.http.get(path, headers={"If-None-Match": unknown}).status_code == 200
    api.http.patch(paths(pipeline)[0], content=DESCRIBE, headers=JSON_PATCH)
    assert api.http.get(paths(pipeline)[0], headers={"If-None-Match": etag}).status_code == 200


def test_news_of_runs_are_sent_whatever_the_caller_has(api: Api) -> None:
    pipeline = api.created()
    known = {"If-None-Match": etag_of(api, pipeline)}
    api.put(f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus", a_status())
    answer = api.http.get(paths(pipeline)[0], params={"fields": "pipelineStatuses"}, headers=known)
    assert (answer.status_code, len(answer.json()["pipelineStatuses"])) == (200, 1)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_patch_holds_for_the_state_that_it_names(api: Api, by_name: bool) -> None:
    pipeline = api.created()
    path, stale = paths(pipeline)[by_name], etag_of(api, pipeline)

    def patch(value: str, if_match: str) -> Any:
        content = json.dumps([{"op": "add", "path": "/description", "value": value}])
        return api.http.patch(path, content=content, headers={**JSON_PATCH, "If-Match": if_match})

    assert patch("one", stale).status_code == 200
    message = refused(patch("two", stale), 412, "The entity has been modified. Current ETag: ")
    assert etag_of(api, pipeline) in message
    assert patch("two", 'W/"0.2"').status_code == 200
    refused(patch("three", 'W/"0.2"'), 412)
    assert patch("three", f'"other", {etag_of(api, pipeline)}').status_code == 200
    assert patch("four", "*").status_code == 200
    assert api.current(pipeline)["description"] == "four"


def test_a_put_and_a_delete_hold_for_the_state_that_they_name(api: Api) -> None:
    request = api.request()
    refused(api.http.put(PIPELINES, json=request, headers={"If-Match": "*"}), 412, "no such entity")
    pipeline = document(api.put(body=request))
    stale = {"If-Match": etag_of(api, pipeline)}
    assert api.http.put(PIPELINES, json={**request, "displayName": "x"}, headers=stale).status_code == 200
    refused(api.http.put(PIPELINES, json={**request, "displayName": "y"}, headers=stale), 412, "has been modified")
    for path in paths(pipeline):
        refused(api.http.delete(path, headers=stale), 412, "has been modified")
    current = api.current(pipeline)
    assert (current["displayName"], current["deleted"]) == ("x", False)
    fresh = {"If-Match": etag_of(api, pipeline)}
    assert api.http.delete(paths(pipeline)[0], headers=fresh).headers[CHANGE] == "entitySoftDeleted"


def test_a_deletion_and_its_undoing_may_be_left_to_the_server(api: Api) -> None:
    pipeline = api.created()
    answer = api.delete(f"/async/{pipeline['id']}")
    assert answer.status_code == 202
    assert answer.json().items() >= {"entityName": pipeline["name"], "hardDelete": False, "recursive": False}.items()
    assert answer.json()["message"] == f"Delete operation initiated for {pipeline['name']}"
    wait_until(lambda: api.get(f"/{pipeline['id']}").status_code == 404)
    restored = api.put("/restore?async=true", {"id": pipeline["id"]})
    assert (restored.status_code, restored.json()["entityName"]) == (202, pipeline["name"])
    wait_until(lambda: api.get(f"/{pipeline['id']}").status_code == 200)
    refused(api.put("/restore?async=true", {"id": pipeline["id"]}), 400, "is not deleted")
    refused(api.put("/restore?async=true", {"id": str(uuid4())}), 404)
    api.delete(f"/async/{pipeline['id']}", hardDelete="true")
    wait_until(lambda: api.get(f"/{pipeline['id']}", include="all").status_code == 404)
