"""What pipelines have from the services of the sandbox: owners, and their end (contract §3.5, §3.14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.contract.conftest import live_api
from tests.contract.ingestion_pipelines import CHANGE, Api, document, refused

SERVICES = "/api/v1/services/databaseServices"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[Api]:
    with live_api(home) as api:
        yield api


@pytest.fixture
def service(api: Api) -> Document:
    made = api.new_service(f"doomed_{uuid4().hex[:8]}")
    return {"id": made["id"], "type": made["type"]}


def delete(api: Api, service: Document, **params: str) -> Any:
    return api.http.delete(f"{SERVICES}/{service['id']}", params=params)


def test_a_service_with_pipelines_is_not_empty(api: Api, service: Document) -> None:
    pipeline = api.created(service=service)
    refused(delete(api, service), 400, "databaseService is not empty")
    refused(delete(api, service, hardDelete="true"), 400, "databaseService is not empty")
    assert api.current(pipeline)["deleted"] is False
    api.delete(f"/{pipeline['id']}", hardDelete="true")
    assert delete(api, service, hardDelete="true").status_code == 200


def test_pipelines_are_deleted_softly_with_their_service(api: Api, service: Document) -> None:
    pipelines = [api.deployed(service=service) for _ in range(2)]
    other = api.created()
    assert delete(api, service, recursive="true").status_code == 200
    for pipeline in pipelines:
        gone = document(api.get(f"/{pipeline['id']}", include="all"))
        assert (gone["deleted"], gone["deployed"]) == (True, True)
    assert api.current(other)["deleted"] is False


def test_pipelines_are_gone_with_their_service(api: Api, service: Document) -> None:
    pipelines = [api.deployed(service=service), api.created(service=service)]
    api.delete(f"/{pipelines[1]['id']}")
    assert delete(api, service, recursive="true", hardDelete="true").status_code == 200
    for pipeline in pipelines:
        refused(api.get(f"/{pipeline['id']}", include="all"), 404)
    deployed = api.http.get("/api/v1/minisched/deployments").json()["data"]
    assert not {pipeline["id"] for pipeline in pipelines} & {deployment["id"] for deployment in deployed}


@pytest.mark.parametrize("how", [{}, {"hardDelete": "true"}])
def test_a_run_deletes_no_pipelines_with_their_service(
    api: Api, service: Document, home: Path, how: dict[str, str]
) -> None:
    """Runs write to the catalog, and their token lets them change no pipeline."""
    headers = {"Authorization": f"Bearer {(home / 'data' / 'sandbox.token').read_text()}"}
    path, params = f"{SERVICES}/{service['id']}", {"recursive": "true", **how}
    pipeline = api.deployed(service=service)
    refused(api.http.delete(path, params=params, headers=headers), 403, "has pipelines")
    assert api.current(pipeline)["deleted"] is False
    assert delete(api, service, recursive="true", hardDelete="true").status_code == 200
    trail = api.http.get("/api/v1/minisched/audit", params={"limit": 1}).json()["data"]
    assert [(entry["user"], entry["touched"]) for entry in trail] == [("admin", pipeline["fullyQualifiedName"])]


def test_the_pipelines_of_a_test_suite_go_with_the_service_of_its_table(api: Api, service: Document) -> None:
    name = document(api.http.get(f"{SERVICES}/{service['id']}"))["name"]
    table = f"{name}.shop.public.orders"
    api.new_table(table)
    suite, _ = api.new_test_case(table, "rows")
    pipeline = api.created(service=suite, pipelineType="TestSuite", sourceConfig={"config": {"type": "TestSuite"}})
    assert delete(api, service, recursive="true", hardDelete="true").status_code == 200
    refused(api.get(f"/{pipeline['id']}", include="all"), 404)


def test_what_the_system_provides_keeps_its_service(api: Api, service: Document) -> None:
    pipeline = api.created(service=service, provider="system")
    refused(delete(api, service, recursive="true", hardDelete="true"), 400, "can not be deleted")
    assert api.current(pipeline)["deleted"] is False
    assert api.http.get(f"{SERVICES}/{service['id']}").status_code == 200


# --- what is inherited ------------------------------------------------------------------------------------------------


def test_a_put_takes_over_the_new_owners_of_the_service(api: Api) -> None:
    name = f"owned_{uuid4().hex[:8]}"
    made = api.new_service(name, api.owner)
    request = api.request(service={"id": made["id"], "type": made["type"]})
    pipeline = document(api.put(body=request))
    assert [owner["name"] for owner in pipeline["owners"]] == [api.owner["name"]]
    api.new_service(name, api.other_owner)
    again = api.put(body=request)
    assert (again.headers[CHANGE], again.json()["version"]) == ("entityNoChange", pipeline["version"])
    current = api.current(pipeline)
    assert [(owner["name"], owner["inherited"]) for owner in current["owners"]] == [(api.other_owner["name"], True)]
    assert current["updatedAt"] == pipeline["updatedAt"]
