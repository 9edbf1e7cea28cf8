"""References that are looked up at an OpenMetadata server, for which another server's sandbox stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.clients.connection import connection_document
from minisched.clients.openmetadata_directory import OpenMetadataDirectory
from minisched.clients.openmetadata_http import Timeouts
from minisched.domain.errors import EntityNotFound, OrchestratorUnavailable
from tests.contract.conftest import live_api
from tests.contract.ingestion_pipelines import Api
from tests.scripted_http import Asked, scripted_server

TIMEOUTS = Timeouts(2.0, 5.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def remote(home: Path) -> Iterator[Api]:
    with live_api(home) as api:
        yield api


@pytest.fixture
def directory(remote: Api, home: Path) -> OpenMetadataDirectory:
    token = (home / "data" / "sandbox.token").read_text()
    return OpenMetadataDirectory(connection_document(f"{remote.base_url}/api", token), TIMEOUTS)


def test_a_service_is_found_by_id_and_by_name(remote: Api, directory: OpenMetadataDirectory) -> None:
    service = remote.new_service(f"owned_{uuid4().hex[:8]}", remote.owner)
    by_id = directory.resolve("databaseService", service["id"], fields=["owners", "domains"])
    by_name = directory.resolve_by_name("databaseService", service["name"])
    assert (by_id.id, by_id.type, by_id.name) == (service["id"], "databaseService", service["name"])
    assert (by_name.id, by_name.fully_qualified_name) == (service["id"], service["name"])
    assert [owner["id"] for owner in by_id.extra["owners"]] == [remote.owner["id"]]
    assert "owners" not in by_name.extra


def test_a_test_case_is_found_with_its_suite(remote: Api, directory: OpenMetadataDirectory) -> None:
    service = remote.new_service(f"tested_{uuid4().hex[:8]}")
    table = f"{service['name']}.shop.public.orders"
    remote.new_table(table)
    suite, case = remote.new_test_case(table, "row count.1")
    found = directory.resolve_by_name("testCase", case, fields=["testSuite"])
    assert (found.name, found.extra["testSuite"]["id"]) == ("row count.1", suite["id"])
    assert directory.resolve_by_name("table", table).name == "orders"


def test_an_unknown_entity_is_named(directory: OpenMetadataDirectory) -> None:
    unknown = str(uuid4())
    with pytest.raises(EntityNotFound, match=f"user instance for {unknown} not found"):
        directory.resolve("user", unknown, fields=["owners"])


def test_a_server_that_does_not_know_a_field_is_asked_without() -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if "fields" in asked.path:
            return 400, {"code": 400, "message": "Invalid field name owners"}
        return 200, {"id": "1", "name": "mysql", "fullyQualifiedName": "mysql"}

    with scripted_server(answer) as server:
        directory = OpenMetadataDirectory(connection_document(f"{server.url}/api", None), TIMEOUTS)
        assert directory.resolve("databaseService", "1", fields=["owners"]).name == "mysql"
        paths = [asked.path for asked in server.asked]
    assert paths == ["/api/v1/services/databaseServices/1?fields=owners", "/api/v1/services/databaseServices/1"]


def test_a_server_that_fails_is_out_of_reach() -> None:
    with scripted_server(lambda _: (500, {"code": 500, "message": "no"})) as server:
        directory = OpenMetadataDirectory(connection_document(f"{server.url}/api", None), TIMEOUTS)
        with pytest.raises(OrchestratorUnavailable, match="answered 500"):
            directory.resolve("databaseService", "1", fields=["owners"])
