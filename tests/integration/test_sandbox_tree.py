"""What people see of the sandbox: the tree, the export, the directory of services and owners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from minisched.domain.errors import EntityNotFound
from minisched.sandbox.directory import SandboxDirectory
from minisched.sandbox.tree import export, tree
from tests.fakes_store import MemoryDocumentStore
from tests.sandbox_servers import SandboxApi, sandbox_api


@pytest.fixture
def api() -> Iterator[SandboxApi]:
    with sandbox_api(MemoryDocumentStore()) as api:
        yield api


def test_the_tree_shows_what_was_ingested_and_what_is_known_of_it(api: SandboxApi) -> None:
    orders = api.shop()
    end = api.table("end", tableType="View")
    gone = api.table("gone")
    api.ok("DELETE", f"tables/{gone['id']}")
    ends = {"fromEntity": {"id": orders["id"], "type": "table"}, "toEntity": {"id": end["id"], "type": "table"}}
    api.ok("PUT", "lineage", {"edge": ends})
    for rows in (1, 2):
        profile = {"tableProfile": {"timestamp": rows, "rowCount": rows}}
        api.ok("PUT", f"tables/{orders['id']}/tableProfile", profile)
    case = {"name": "unique", "testDefinition": "columnValuesToBeUnique"}
    link = "<#E::table::shop.db.public.orders::columns::id>"
    api.ok("PUT", "dataQuality/testCases", {**case, "entityLink": link})
    # A service of another type may have the same name.
    api.ok("PUT", "services/dashboardServices", {"name": "shop", "serviceType": "Superset"})
    api.ok("PUT", "dashboards", {"name": "sales", "service": "shop"})

    found = tree(api.documents)

    assert [(service["type"], service["name"]) for service in found["services"]] == [
        ("databaseService", "shop"),
        ("dashboardService", "shop"),
    ]
    database, boards = found["services"]
    schema = database["children"][0]["children"][0]
    assert (schema["type"], schema["fullyQualifiedName"]) == ("databaseSchema", "shop.db.public")
    by_name = {table["name"]: table for table in schema["children"]}
    assert by_name.keys() == {"orders", "end"}
    assert by_name["orders"]["columns"] == [{"name": "id", "dataType": "INT"}, {"name": "note", "dataType": "TEXT"}]
    assert by_name["orders"]["rowCount"] == 2
    assert by_name["orders"]["tests"] == [{"name": "unique", "status": None}]
    assert (by_name["orders"]["downstream"], by_name["end"]["upstream"]) == (1, 1)
    assert by_name["end"]["tableType"] == "View"
    assert [child["name"] for child in boards["children"]] == ["sales"]
    assert (found["lineageEdges"], found["counts"]["table"]) == (1, 3)
    assert api.ok("GET", "minisched/sandbox/tree", by="person") == found
    assert api.ok("GET", "minisched/sandbox", by="person") == found["counts"]


def test_names_with_dots_have_their_place_in_the_tree(api: SandboxApi) -> None:
    api.ok("PUT", "services/databaseServices", {"name": "a.b", "serviceType": "Mysql"})
    api.ok("PUT", "databases", {"name": "c.d", "service": '"a.b"'})
    (service,) = tree(api.documents)["services"]
    assert [child["fullyQualifiedName"] for child in service["children"]] == ['"a.b"."c.d"']


def test_the_export_has_every_document_and_no_secret(api: SandboxApi) -> None:
    api.shop()
    lines = [json.loads(line) for line in export(api.documents)]
    assert len(lines) == sum(api.documents.kinds().values())
    assert {"kind", "document"} == lines[0].keys()
    text = api.call("GET", "minisched/sandbox/export").text
    assert [json.loads(line) for line in text.splitlines()] == lines
    assert "s3cret" not in text
    assert "*********" in text


def test_the_directory_knows_what_the_catalog_holds(api: SandboxApi) -> None:
    directory = SandboxDirectory(api.documents)
    service = api.ok("POST", "services/databaseServices", {"id": str(uuid4()), "name": "mysql", "serviceType": "Mysql"})
    owner = api.ok("POST", "users", {"id": str(uuid4()), "name": "ann", "email": "a@b.c", "displayName": "Ann"})
    api.ok("PUT", "domains", {"name": "Sales", "description": "d", "domainType": "Aggregate"})
    found = directory.resolve("databaseService", service["id"])
    assert (found.name, found.fully_qualified_name, found.type) == ("mysql", "mysql", "databaseService")
    assert directory.resolve("user", owner["id"]).extra["displayName"] == "Ann"
    assert directory.resolve_by_name("domain", "Sales").name == "Sales"
    api.ok("DELETE", f"users/{owner['id']}")
    missing = str(uuid4())
    with pytest.raises(EntityNotFound, match=f"databaseService instance for {missing} not found"):
        directory.resolve("databaseService", missing)
    with pytest.raises(EntityNotFound):
        directory.resolve("user", owner["id"])
    with pytest.raises(EntityNotFound):
        directory.resolve_by_name("domain", "Nowhere")


def test_a_sandbox_that_was_emptied_starts_again_with_the_same_people() -> None:
    documents = MemoryDocumentStore()
    with sandbox_api(documents) as api:
        first = api.ok("GET", "users/name/admin")
        api.shop()
    documents.clear()
    with sandbox_api(documents) as api:
        assert api.ok("GET", "users/name/admin")["id"] == first["id"]
        assert tree(documents)["services"] == []
