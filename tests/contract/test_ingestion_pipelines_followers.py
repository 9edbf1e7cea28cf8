"""Who follows a pipeline, over HTTP (contract §3.1 rows 22-23)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.ingestion_pipelines import CHANGE, Api, document, refused


def followers(api: Api, pipeline: Document) -> list[str]:
    shown = document(api.get(f"/{pipeline['id']}", fields="followers"))
    return [follower["name"] for follower in shown.get("followers", [])]


def test_following_is_shown_and_makes_no_version(api: Api) -> None:
    pipeline = api.created()
    for _ in range(2):
        answer = api.put(f"/{pipeline['id']}/followers", api.owner["id"])
        assert (answer.status_code, answer.headers[CHANGE]) == (200, "entityFieldsChanged")
        event = document(answer)
        assert (event["eventType"], event["entityId"]) == ("entityUpdated", pipeline["id"])
        (change,) = event["changeDescription"]["fieldsAdded"]
        assert change["name"] == "followers"
        assert change["newValue"][0].items() >= {"id": api.owner["id"], "type": "user"}.items()
        assert followers(api, pipeline) == [api.owner["name"]]
    assert "followers" not in document(api.get(f"/{pipeline['id']}"))
    current = api.current(pipeline)
    assert (current["version"], current["updatedAt"]) == (pipeline["version"], pipeline["updatedAt"])


def test_a_follower_may_cease_to_follow(api: Api) -> None:
    pipeline = api.created()
    api.put(f"/{pipeline['id']}/followers", api.owner["id"])
    for _ in range(2):
        answer = api.delete(f"/{pipeline['id']}/followers/{api.owner['id']}")
        assert (answer.status_code, answer.headers[CHANGE]) == (200, "entityFieldsChanged")
        (change,) = document(answer)["changeDescription"]["fieldsDeleted"]
        assert (change["name"], change["oldValue"][0]["id"]) == ("followers", api.owner["id"])
        assert followers(api, pipeline) == []


def test_followers_survive_what_changes_the_pipeline(api: Api) -> None:
    request = api.request()
    pipeline = document(api.post(body=request))
    api.put(f"/{pipeline['id']}/followers", api.owner["id"])
    api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "x"})
    api.put(body={**request, "displayName": "y"})
    api.post(f"/deploy/{pipeline['id']}")
    assert followers(api, pipeline) == [api.owner["name"]]


def test_only_a_user_follows_and_only_a_pipeline_is_followed(api: Api) -> None:
    pipeline, unknown = api.created(), str(uuid4())
    refused(api.put(f"/{pipeline['id']}/followers", unknown), 404, f"user instance for {unknown} not found")
    refused(api.put(f"/{pipeline['id']}/followers", api.other_owner["id"]), 404, "user instance for")
    refused(api.delete(f"/{pipeline['id']}/followers/{unknown}"), 404, f"user instance for {unknown} not found")
    refused(api.delete(f"/{pipeline['id']}/followers/..%2Fx"), 404, "user instance for")
    refused(api.put(f"/{unknown}/followers", api.owner["id"]), 404, f"ingestionPipeline instance for {unknown}")
    refused(api.delete(f"/{unknown}/followers/{api.owner['id']}"), 404, f"ingestionPipeline instance for {unknown}")
    assert followers(api, pipeline) == []


@pytest.mark.parametrize("body", [None, 7, {}, [], {"id": "x"}, "not-a-uuid", "", True])
def test_a_bad_follower_is_refused(api: Api, body: Any) -> None:
    pipeline = api.created()
    refused(api.send("PUT", f"/{pipeline['id']}/followers", json.dumps(body).encode()), 400)
    refused(api.send("PUT", f"/{pipeline['id']}/followers", b"{"), 400, "Malformed JSON")
