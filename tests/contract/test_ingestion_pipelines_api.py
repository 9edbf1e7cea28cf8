"""OpenMetadata's ingestion pipeline API, entity by entity (contract §3.2-§3.7, §3.14, §3.16)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.ingestion_pipelines import CHANGE, Api, a_status, document, encoded, refused

# The body that OpenMetadata's page on deploying ingestion pipelines sends, but for the ids and the name.
ORIGINAL: dict[str, Any] = {
    "airflowConfig": {"scheduleInterval": "0 * * * *"},
    "loggerLevel": "INFO",
    "displayName": "mysql_metadata_cFjZmNAR",
    "pipelineType": "metadata",
    "sourceConfig": {
        "config": {
            "includeViews": False,
            "includeTags": False,
            "markDeletedTables": True,
            "markDeletedTablesFromFilterOnly": False,
            "type": "DatabaseMetadata",
        }
    },
}


# --- create -----------------------------------------------------------------------------------------------------------


def test_the_original_request_round_trips(api: Api) -> None:
    owner = {"id": api.owner["id"], "type": "user"}
    request = api.request(**ORIGINAL, owner=owner)
    answer = api.post(body=request)
    made = document(answer)
    href = f"{api.base_url}/api/v1/services/ingestionPipelines/{made['id']}"
    assert answer.status_code == 201
    assert answer.headers["Location"] == made["href"] == href
    assert made["name"] == request["name"]
    assert made["fullyQualifiedName"] == f"{api.service['name']}.{request['name']}"
    assert made["sourceConfig"]["config"].items() >= ORIGINAL["sourceConfig"]["config"].items()
    assert made["sourceConfig"]["config"]["includeTables"] is True
    assert made["airflowConfig"] == {
        "pausePipeline": False,
        "concurrency": 1,
        "pipelineTimezone": "UTC",
        "retries": 0,
        "retryDelay": 300,
        "pipelineCatchup": False,
        "scheduleInterval": "0 * * * *",
        "maxActiveRuns": 1,
        "workflowDefaultView": "tree",
        "workflowDefaultViewOrientation": "LR",
    }
    assert made["service"].items() >= {"id": api.service["id"], "type": "databaseService"}.items()
    assert made["service"]["fullyQualifiedName"] == api.service["name"]
    assert made["service"]["href"].endswith(f"/api/v1/services/databaseServices/{api.service['id']}")
    assert [reference["name"] for reference in made["owners"]] == [api.owner["name"]]
    assert made["owners"][0]["href"].endswith(f"/api/v1/users/{api.owner['id']}")
    expected = {"loggerLevel": "INFO", "enabled": True, "deployed": False, "deleted": False, "version": 0.1}
    assert made.items() >= expected.items()
    assert made["updatedBy"] == "admin"
    assert "openMetadataServerConnection" not in made


def test_what_exists_is_not_created_again(api: Api) -> None:
    pipeline = api.created()
    message = refused(api.post(body=api.request(name=pipeline["name"])), 409)
    assert message == "Entity already exists"


def test_a_name_is_taken_while_its_pipeline_is_softly_deleted(api: Api) -> None:
    pipeline = api.created()
    api.delete(f"/{pipeline['id']}")
    refused(api.post(body=api.request(name=pipeline["name"])), 409)
    api.delete(f"/{pipeline['id']}", hardDelete="true")
    assert api.post(body=api.request(name=pipeline["name"])).status_code == 201


def test_an_unknown_service_or_owner_is_named(api: Api) -> None:
    unknown = str(uuid4())
    refused(
        api.post(body=api.request(service={"id": unknown, "type": "databaseService"})),
        404,
        f"databaseService instance for {unknown} not found",
    )
    refused(
        api.post(body=api.request(owners=[{"id": unknown, "type": "user"}])), 404, f"user instance for {unknown} not"
    )


# --- read -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "with.dot",
        "with blank",
        "a/b",
        "../../etc/passwd",
        'with "quotes"',
        "名前",
        "é té",
        "100%",
        "%2F",
        "?#&=+",
    ],
)
def test_a_pipeline_is_found_by_whatever_name_it_has(api: Api, name: str) -> None:
    pipeline = api.created(name=name)
    fqn = pipeline["fullyQualifiedName"]
    assert document(api.get(f"/name/{encoded(fqn)}"))["id"] == pipeline["id"]
    assert document(api.get(f"/{encoded(fqn)}/pipelineStatus")) == {"data": [], "paging": {"total": 0}}
    patched = api.patch(f"/name/{encoded(fqn)}", {"op": "add", "path": "/description", "value": "found"})
    assert document(patched)["description"] == "found"
    assert api.delete(f"/name/{encoded(fqn)}", hardDelete="true").status_code == 200
    refused(api.get(f"/name/{encoded(fqn)}"), 404, fqn)


def test_fields_show_what_is_not_shown_unasked(api: Api) -> None:
    pipeline = api.created(owners=[{"id": api.owner["id"], "type": "user"}])
    plain = document(api.get(f"/{pipeline['id']}"))
    assert plain.keys().isdisjoint({"owners", "domains", "pipelineStatuses"})
    asked = document(api.get(f"/{pipeline['id']}", fields="owners, pipelineStatuses"))
    assert [reference["id"] for reference in asked["owners"]] == [api.owner["id"]]
    assert asked["pipelineStatuses"] == []
    everything = document(api.get(f"/name/{encoded(pipeline['fullyQualifiedName'])}", fields="*"))
    assert everything.keys() >= {"owners", "domains", "pipelineStatuses"}
    refused(api.get(f"/{pipeline['id']}", fields="owners,nonsense"), 400, "Invalid field name nonsense")


def test_a_deleted_pipeline_is_seen_by_whoever_asks_for_it(api: Api) -> None:
    pipeline = api.created()
    path = f"/{pipeline['id']}"
    api.delete(path)
    message = refused(api.get(path), 404)
    assert message == f"ingestionPipeline instance for {pipeline['id']} not found"
    assert document(api.get(path, include="all"))["deleted"] is True
    assert document(api.get(path, include="deleted"))["deleted"] is True
    refused(api.get(path, include="some"), 400, "include")


def test_the_etag_changes_with_the_entity(api: Api) -> None:
    pipeline = api.created()
    first = api.get(f"/{pipeline['id']}")
    again = api.get(f"/{pipeline['id']}", fields="owners")
    assert first.headers["ETag"] == again.headers["ETag"]
    assert first.headers["ETag"].startswith('"')
    changed = api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": "x"})
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert api.get(f"/{pipeline['id']}").headers["ETag"] == changed.headers["ETag"]


# --- PUT --------------------------------------------------------------------------------------------------------------


def test_a_put_creates_then_updates_then_changes_nothing(api: Api) -> None:
    request = api.request(loggerLevel="DEBUG")
    first = api.put(body=request)
    assert (first.status_code, first.headers[CHANGE]) == (201, "entityCreated")
    assert first.headers["Location"].endswith(first.json()["id"])
    second = api.put(body={**request, "description": "new"})
    assert (second.status_code, second.headers[CHANGE]) == (200, "entityUpdated")
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["version"] == 0.2
    third = api.put(body={**request, "description": "new"})
    assert (third.status_code, third.headers[CHANGE]) == (200, "entityNoChange")
    assert third.json() == second.json()


def test_a_put_restores_what_was_deleted(api: Api) -> None:
    request = api.request()
    pipeline = document(api.put(body=request))
    api.delete(f"/{pipeline['id']}")
    again = api.put(body=request)
    assert (again.status_code, again.json()["deleted"]) == (200, False)
    assert again.json()["id"] == pipeline["id"]


def test_a_put_with_masks_keeps_the_secrets(api: Api) -> None:
    config = {"type": "Application", "appConfig": {"type": "Mailer", "password": "s3cret"}}
    request = api.request(pipelineType="application", sourceConfig={"config": config})
    first = document(api.put(body=request))
    assert first["sourceConfig"]["config"]["appConfig"]["password"] == "*********"
    again = api.put(body={**request, "sourceConfig": first["sourceConfig"]})
    assert again.headers[CHANGE] == "entityNoChange"
    assert "s3cret" not in first["sourceConfig"].__str__() + again.text


# --- PATCH ------------------------------------------------------------------------------------------------------------


def test_a_patch_makes_a_version_that_says_what_changed(api: Api) -> None:
    pipeline = api.created()
    answer = api.patch(
        f"/{pipeline['id']}", {"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 3 * * *"}
    )
    after = document(answer)
    assert answer.headers[CHANGE] == "entityUpdated"
    assert after["version"] == 0.2
    assert after["airflowConfig"]["scheduleInterval"] == "0 3 * * *"
    change = after["changeDescription"]
    assert change == after["incrementalChangeDescription"]
    assert change["previousVersion"] == 0.1
    assert [field["name"] for field in change["fieldsUpdated"]] == ["airflowConfig"]
    assert json.loads(change["fieldsUpdated"][0]["oldValue"])["scheduleInterval"] == "0 2 * * *"


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [{"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 2 * * *"}],
        [{"op": "test", "path": "/pipelineType", "value": "metadata"}],
        [{"op": "replace", "path": "/version", "value": 7.0}],
    ],
)
def test_a_patch_that_changes_nothing_says_so(api: Api, operations: list[Any]) -> None:
    pipeline = api.created()
    answer = api.patch(f"/{pipeline['id']}", *operations)
    assert (answer.status_code, answer.headers[CHANGE]) == (200, "entityNoChange")
    assert answer.json() == pipeline


def test_owners_are_patched_as_a_browser_does_it(api: Api) -> None:
    pipeline = api.created(owners=[{"id": api.owner["id"], "type": "user"}])
    owner = pipeline["owners"][0]
    answer = api.patch(
        f"/{pipeline['id']}",
        {"op": "test", "path": "/owners/0/href", "value": owner["href"]},
        *({"op": "remove", "path": f"/owners/0/{key}"} for key in owner if key not in ("id", "type")),
        {"op": "replace", "path": "/owners/0/id", "value": api.other_owner["id"]},
        {"op": "replace", "path": "/owners/0/type", "value": api.other_owner["type"]},
    )
    assert [reference["name"] for reference in document(answer)["owners"]] == [api.other_owner["name"]]
    assert document(api.patch(f"/{pipeline['id']}", {"op": "remove", "path": "/owners/0"}))["owners"] == []


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"op": "replace", "path": "/name", "value": "other"}, "attribute name can't be modified"),
        ({"op": "replace", "path": "/id", "value": "1"}, "attribute id can't be modified"),
        ({"op": "replace", "path": "/deleted", "value": True}, "attribute deleted can't be modified"),
        ({"op": "replace", "path": "/deployed", "value": True}, "attribute deployed can't be modified"),
        ({"op": "remove", "path": "/service"}, "attribute service can't be modified"),
        ({"op": "test", "path": "/pipelineType", "value": "usage"}, "the test failed"),
        ({"op": "remove", "path": "/no/such/place"}, "no such place"),
        ({"op": "add", "path": "/owners/7", "value": {}}, "no such place"),
        ({"op": "add", "path": "/description"}, "lacks a member"),
        ({"op": "move", "path": "/description"}, "lacks a member"),
        ({"op": "replace", "path": "", "value": [1]}, "no object"),
        ({"op": "replace", "path": "/airflowConfig", "value": 3}, "airflowConfig: "),
        ({"op": "add", "path": "/airflowConfig/retries", "value": "many"}, "airflowConfig.retries: "),
        ({"op": "add", "path": "/unknown", "value": 1}, "unknown: Unrecognized field"),
        ({"op": "explode", "path": "/x"}, "0.op: "),
        ({"path": "/x"}, "0.op: "),
        ("nonsense", "0: "),
        ({"op": "add", "path": "no-slash", "value": 1}, "0.no-slash"),
        ({"op": "remove", "path": "/sourceConfig"}, "sourceConfig: "),
        ({"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "every day"}, "scheduleInterval"),
        ({"op": "add", "path": "/sourceConfig/config/password", "value": "*********"}, "masked"),
    ],
)
def test_a_bad_patch_is_refused_and_changes_nothing(api: Api, operation: Any, words: str) -> None:
    pipeline = api.created()
    refused(api.patch(f"/{pipeline['id']}", operation), 400, words)
    assert api.current(pipeline) == pipeline


@pytest.mark.parametrize("content", ["", "{", "{}", "null", '"x"', "[" * 100_000])
def test_what_is_no_patch_is_refused(api: Api, content: str) -> None:
    pipeline = api.created()
    refused(api.patch(f"/{pipeline['id']}", content=content), 400)


def test_a_patch_cannot_fill_the_memory(api: Api) -> None:
    pipeline = api.created()
    doubling = [{"op": "copy", "from": "/sourceConfig", "path": f"/sourceConfig/config/x{i}"} for i in range(200)]
    refused(api.patch(f"/{pipeline['id']}", *doubling), 400, "the patched entity")


# --- versions ---------------------------------------------------------------------------------------------------------


def test_every_version_is_kept(api: Api) -> None:
    pipeline = api.created()
    for text in ("one", "two"):
        api.patch(f"/{pipeline['id']}", {"op": "add", "path": "/description", "value": text})
    history = document(api.get(f"/{pipeline['id']}/versions"))
    assert history["entityType"] == "ingestionPipeline"
    assert [json.loads(text)["version"] for text in history["versions"]] == [0.3, 0.2, 0.1]
    assert document(api.get(f"/{pipeline['id']}/versions/0.1")) == pipeline
    assert document(api.get(f"/{pipeline['id']}/versions/0.2"))["description"] == "one"
    for version in ("0.9", "x", "1e9", "-1", "0.2.1"):
        refused(api.get(f"/{pipeline['id']}/versions/{version}"), 404, f"and version {version} not found")


# --- delete and restore -----------------------------------------------------------------------------------------------


def test_a_soft_delete_is_undone_by_restore(api: Api) -> None:
    pipeline = api.created()
    deleted = api.delete(f"/{pipeline['id']}")
    assert (deleted.status_code, deleted.headers[CHANGE]) == (200, "entitySoftDeleted")
    assert deleted.json()["deleted"] is True
    refused(api.delete(f"/{pipeline['id']}"), 404)
    restored = api.put("/restore", {"id": pipeline["id"]})
    assert (restored.status_code, restored.headers[CHANGE]) == (200, "entityRestored")
    assert restored.json()["deleted"] is False
    refused(api.put("/restore", {"id": pipeline["id"]}), 400, "is not deleted")
    refused(api.put("/restore", {"id": str(uuid4())}), 404)


def test_a_hard_delete_leaves_nothing(api: Api) -> None:
    pipeline = api.deployed()
    api.put(f"/{encoded(pipeline['fullyQualifiedName'])}/pipelineStatus", a_status())
    answer = api.delete(f"/{pipeline['id']}", hardDelete="true")
    assert (answer.status_code, answer.headers[CHANGE]) == (200, "entityDeleted")
    refused(api.get(f"/{pipeline['id']}", include="all"), 404)
    again = api.created(name=pipeline["name"])
    assert again["id"] != pipeline["id"]
    assert document(api.get(f"/{encoded(again['fullyQualifiedName'])}/pipelineStatus"))["data"] == []


def test_force_asks_for_a_hard_delete(api: Api) -> None:
    pipeline = api.created()
    refused(api.delete(f"/{pipeline['id']}", force="true"), 400, "requires hardDelete=true")


def test_what_the_system_provides_stays(api: Api) -> None:
    pipeline = api.created(provider="system")
    refused(api.delete(f"/{pipeline['id']}"), 400, "can not be deleted")
    refused(api.delete(f"/async/{pipeline['id']}", hardDelete="true"), 400, "can not be deleted")
