"""The sandbox catalog over HTTP: entities of every kind, created, read, listed, changed and deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from minisched.sandbox.callers import BOT
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE
from tests.sandbox_servers import BASE_URL, NOW, SandboxApi, sandbox_api
from tests.store_kinds import opened_documents

MASK = "*********"


@pytest.fixture(params=["memory", "sqlite"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SandboxApi]:
    with opened_documents(request.param, tmp_path) as documents, sandbox_api(documents) as api:
        yield api


def by_name(fqn: str) -> str:
    return f"name/{quote(fqn, safe='')}"


# --- what a server says of itself -------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_runtime(api: SandboxApi) -> None:
    assert api.ok("GET", "system/version").keys() == {"version", "revision", "timestamp"}
    assert api.ok("GET", "system/version")["version"] == "2.0.7"


def test_there_are_an_admin_and_the_bot_from_the_start(api: SandboxApi) -> None:
    assert api.ok("GET", "users/name/admin")["isAdmin"] is True
    bot = api.ok("GET", "bots/name/ingestion-bot")
    assert bot["botUser"]["id"] == api.ok("GET", "users/name/ingestion-bot")["id"]
    assert api.ok("GET", "users/loggedInUser")["name"] == "ingestion-bot"
    assert api.ok("GET", "users/loggedInUser", by="person")["name"] == "admin"


# --- creating ---------------------------------------------------------------------------------------------------------


def test_an_entity_takes_its_fqn_and_its_ancestors_from_its_parent(api: SandboxApi) -> None:
    table = api.shop()
    assert table["fullyQualifiedName"] == "shop.db.public.orders"
    assert [column["fullyQualifiedName"] for column in table["columns"]] == [
        "shop.db.public.orders.id",
        "shop.db.public.orders.note",
    ]
    schema = api.ok("GET", "databaseSchemas/name/shop.db.public")
    expected = {"id": schema["id"], "type": "databaseSchema", "name": "public"}
    assert expected.items() <= table["databaseSchema"].items()
    assert [table[field]["fullyQualifiedName"] for field in ("database", "service")] == ["shop.db", "shop"]
    assert table["serviceType"] == "Mysql"
    assert (table["version"], table["updatedBy"], table["deleted"]) == (0.1, "ingestion-bot", False)
    assert table["updatedAt"] == int(NOW.timestamp() * 1000)
    assert table["href"] == f"{BASE_URL}/v1/tables/{table['id']}"


def test_nested_columns_have_fqns_and_lists_of_tags(api: SandboxApi) -> None:
    api.shop()
    child = {"name": "b.c", "dataType": "INT"}
    table = api.table("nested", columns=[{"name": "a", "dataType": "STRUCT", "children": [child]}])
    nested = table["columns"][0]["children"][0]
    assert nested["fullyQualifiedName"] == 'shop.db.public.nested.a."b.c"'
    assert nested["tags"] == []


@pytest.mark.parametrize(
    ("name", "fqn"),
    [("a/b c", "shop.db.public.a/b c"), ("a.b", 'shop.db.public."a.b"'), ("Größe?#%", "shop.db.public.Größe?#%")],
)
def test_names_may_hold_whatever_names_hold(api: SandboxApi, name: str, fqn: str) -> None:
    api.shop()
    table = api.table(name)
    assert table["fullyQualifiedName"] == fqn
    assert api.ok("GET", f"tables/{by_name(fqn)}")["id"] == table["id"]
    assert api.ok("GET", f"tables/{by_name(fqn)}/columns")["paging"]["total"] == 2


def test_a_name_with_a_slash_is_found_even_when_the_caller_did_not_encode_it(api: SandboxApi) -> None:
    api.shop()
    table = api.table("a/b")
    patch = [{"op": "add", "path": "/processedLineage", "value": True}]
    assert api.ok("PATCH", "tables/name/shop.db.public.a/b", patch)["id"] == table["id"]


def test_a_user_is_found_by_a_name_that_has_to_be_quoted(api: SandboxApi) -> None:
    user = api.ok("POST", "users", {"name": "ann.lee", "email": "ann@example.com"})
    assert user["fullyQualifiedName"] == '"ann.lee"'
    assert api.ok("GET", "users/name/ann.lee")["id"] == user["id"]


def test_references_are_expanded(api: SandboxApi) -> None:
    table = api.shop()
    admin = api.ok("GET", "users/name/admin")
    api.ok("PUT", "domains", {"name": "Sales", "description": "d", "domainType": "Aggregate"})
    changed = api.table("orders", owners=[{"id": admin["id"], "type": "user"}], domains=["Sales"])
    assert changed["id"] == table["id"]
    assert changed["owners"][0]["name"] == "admin"
    assert changed["domains"][0]["fullyQualifiedName"] == "Sales"


def test_an_owner_nobody_knows_stays_as_it_was_sent(api: SandboxApi) -> None:
    api.shop()
    owner = {"id": str(uuid4()), "type": "user"}
    assert api.table("orders", owners=[owner])["owners"] == [owner]


def test_what_only_create_requests_have_falls_away(api: SandboxApi) -> None:
    user = api.ok("POST", "users", {"name": "ann", "email": "a@b.c", "password": "x", "displayName": None})
    assert "password" not in user
    assert "displayName" not in user


def test_services_and_users_may_come_with_their_id(api: SandboxApi) -> None:
    service_id, user_id = str(uuid4()), str(uuid4())
    service = {"id": service_id, "name": "mysql", "serviceType": "Mysql"}
    assert api.ok("POST", "services/databaseServices", service)["id"] == service_id
    assert api.ok("PUT", "services/databaseServices", {**service, "id": str(uuid4())})["id"] == service_id
    api.ok("POST", "users", {"id": user_id, "name": "ann", "email": "a@b.c"})
    assert api.ok("GET", f"users/{user_id}")["name"] == "ann"


def test_a_second_post_of_a_name_or_an_id_is_a_conflict(api: SandboxApi) -> None:
    user = api.ok("POST", "users", {"name": "ann", "email": "a@b.c"})
    assert api.refused("POST", "users", {"name": "ann", "email": "a@b.c"}) == (409, "Entity already exists")
    assert api.refused("POST", "users", {"id": user["id"], "name": "bob", "email": "a@b.c"})[0] == 409


def test_requests_that_make_no_entity_say_why(api: SandboxApi) -> None:
    orphan = {"name": "t", "databaseSchema": "no.such.schema", "columns": []}
    assert api.refused("PUT", "tables", orphan) == (404, "databaseSchema instance for no.such.schema not found")
    assert api.refused("PUT", "tables", {"name": "t"}) == (400, "databaseSchema: databaseSchema must not be null")
    assert api.refused("PUT", "databases", {"service": "x"})[0] == 400
    assert api.refused("PUT", "tables", b"{")[0] == 400
    assert api.refused("PUT", "tables", [])[0] == 400


# --- PUT over what exists ---------------------------------------------------------------------------------------------


def test_a_put_that_changes_nothing_makes_no_version(api: SandboxApi) -> None:
    table = api.shop()
    again = api.call("PUT", "tables", {"name": "orders", "databaseSchema": "shop.db.public"})
    assert (again.status_code, again.json()) == (200, table)


def test_a_put_keeps_what_it_does_not_name_and_adds_tags(api: SandboxApi) -> None:
    table = api.shop()
    tags = [
        {"op": "add", "path": "/columns/0/tags/0", "value": {"tagFQN": "PII.Sensitive", "source": "Classification"}},
        {"op": "add", "path": "/dataModel", "value": {"modelType": "DBT"}},
    ]
    api.ok("PATCH", f"tables/{table['id']}", tags)
    label = {"tagFQN": "Tier.Tier1", "source": "Classification"}
    columns = [{"name": "id", "dataType": "BIGINT", "tags": [label]}, {"name": "new", "dataType": "INT"}]
    after = api.table("orders", columns=columns)
    assert [column["name"] for column in after["columns"]] == ["id", "new"]
    assert after["columns"][0]["dataType"] == "BIGINT"
    assert [tag["tagFQN"] for tag in after["columns"][0]["tags"]] == ["PII.Sensitive", "Tier.Tier1"]
    assert [tag["name"] for tag in after["columns"][0]["tags"]] == ["Sensitive", "Tier1"]
    assert after["dataModel"] == {"modelType": "DBT"}
    assert after["version"] == 0.3


def test_a_run_does_not_overwrite_descriptions_unless_it_says_so(api: SandboxApi) -> None:
    api.shop()
    columns = [{"name": "id", "dataType": "INT", "description": "curated"}]
    api.table("orders", description="curated", columns=columns)
    request = {
        "name": "orders",
        "databaseSchema": "shop.db.public",
        "description": "from the source",
        "columns": [{"name": "id", "dataType": "INT", "description": "from the source"}],
    }
    kept = api.ok("PUT", "tables", request)
    assert (kept["description"], kept["columns"][0]["description"]) == ("curated", "curated")
    assert api.ok("PUT", "tables", request, overrideMetadata="true")["description"] == "from the source"
    assert api.ok("PUT", "tables", {**request, "description": "a person's"}, by="person")["description"] == "a person's"


# --- bulk -------------------------------------------------------------------------------------------------------------


def test_a_bulk_stores_what_it_can_and_names_the_rest(api: SandboxApi) -> None:
    api.shop()
    good = [{"name": f"t{i}", "databaseSchema": "shop.db.public", "columns": []} for i in range(3)]
    bad = {"name": "orphan", "databaseSchema": "no.such.schema", "columns": []}
    result = api.ok("PUT", "tables/bulk", [*good, bad, good[0]])
    assert result["status"] == "partialSuccess"
    assert (result["numberOfRowsProcessed"], result["numberOfRowsPassed"], result["numberOfRowsFailed"]) == (5, 4, 1)
    assert result["failedRequest"][0]["request"] == "orphan"
    assert "no.such.schema" in result["failedRequest"][0]["message"]
    assert api.ok("GET", "tables", databaseSchema="shop.db.public", limit=0)["paging"]["total"] == 4
    assert api.ok("PUT", "tables/bulk", good)["status"] == "success"


def test_a_thousand_tables_take_less_than_half_a_second(tmp_path: Path) -> None:
    def tables(first: int) -> list[dict[str, Any]]:
        columns = [{"name": f"c{i}", "dataType": "VARCHAR", "dataLength": 9, "constraint": "NULL"} for i in range(10)]
        names = [f"t{first + i}" for i in range(1000)]
        return [{"name": name, "databaseSchema": "shop.db.public", "columns": columns} for name in names]

    with opened_documents("sqlite", tmp_path) as documents:
        with sandbox_api(documents) as api:
            api.shop()
        catalog = Catalog(documents, lambda: NOW)
        took = []
        for attempt in range(3):
            started = time.process_time()  # other processes may keep the machine busy
            saved = catalog.save_all(BY_TYPE["table"], tables(attempt * 1000), BOT, override=False)
            took.append(time.process_time() - started)
            assert len(saved) == 1000
        assert min(took) < 0.5
        assert documents.count("table") == 3001


# --- lists ------------------------------------------------------------------------------------------------------------


def test_pages_lead_through_a_list_and_back(api: SandboxApi) -> None:
    api.shop()
    for name in ("a", "b", "c", "d"):
        api.table(name)
    first = api.ok("GET", "tables", service="shop", limit=2)
    assert [table["name"] for table in first["data"]] == ["a", "b"]
    assert first["paging"].keys() == {"after", "total"}
    assert first["paging"]["total"] == 5
    second = api.ok("GET", "tables", service="shop", limit=2, after=first["paging"]["after"])
    assert [table["name"] for table in second["data"]] == ["c", "d"]
    last = api.ok("GET", "tables", service="shop", limit=2, after=second["paging"]["after"])
    assert [table["name"] for table in last["data"]] == ["orders"]
    assert "after" not in last["paging"]
    back = api.ok("GET", "tables", service="shop", limit=2, before=second["paging"]["before"])
    assert back["data"] == first["data"]


def test_lists_are_filtered(api: SandboxApi) -> None:
    api.shop()
    api.ok("PUT", "services/databaseServices", {"name": "shop2", "serviceType": "Mysql"})
    api.ok("PUT", "databases", {"name": "db", "service": "shop2"})
    gone = api.table("gone")
    api.ok("DELETE", f"tables/{gone['id']}")

    def listed(path: str, **query: Any) -> list[str]:
        return [entity["fullyQualifiedName"] for entity in api.ok("GET", path, limit=100, **query)["data"]]

    assert listed("databases", service="shop") == ["shop.db"]
    assert listed("databases") == ["shop.db", "shop2.db"]
    assert listed("tables", database="shop.db") == ["shop.db.public.orders"]
    assert listed("tables", include="deleted") == ["shop.db.public.gone"]
    assert listed("tables", include="all") == ["shop.db.public.gone", "shop.db.public.orders"]
    assert listed("tables", tableRegex="ORD.*", regexMode="include") == ["shop.db.public.orders"]
    assert listed("tables", tableRegex="ord.*", regexMode="exclude") == []
    assert listed("tables", databaseSchemaRegex="shop.db.pub", regexFilterByFqn="true") == ["shop.db.public.orders"]
    assert listed("tags", parent="PII") == ["PII.NonSensitive", "PII.None", "PII.Sensitive"]


def test_bad_pages_are_refused(api: SandboxApi) -> None:
    for query in (
        {"limit": -1},
        {"limit": 1_000_001},
        {"limit": "x"},
        {"after": "%"},
        {"after": "YQ==", "before": "YQ=="},
    ):
        assert api.refused("GET", "tables", **query)[0] == 400
    assert api.refused("GET", "tables", tableRegex="(")[0] == 400


# --- reading and patching ---------------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found_in_openmetadatas_words(api: SandboxApi) -> None:
    assert api.refused("GET", "tables/name/no.such.table") == (404, "table instance for no.such.table not found")
    missing = str(uuid4())
    assert api.refused("GET", f"tables/{missing}") == (404, f"table instance for {missing} not found")
    assert api.refused("PATCH", f"tables/{missing}", [])[0] == 404
    assert api.refused("GET", "unheard/of")[0] == 404


def test_a_patch_makes_a_version_and_cannot_change_what_an_entity_is(api: SandboxApi) -> None:
    table = api.shop()
    patch = [
        {"op": "add", "path": "/description", "value": "d"},
        {"op": "replace", "path": "/id", "value": str(uuid4())},
        {"op": "replace", "path": "/fullyQualifiedName", "value": "x"},
        {"op": "add", "path": "/owners", "value": [{"id": api.ok("GET", "users/name/admin")["id"], "type": "user"}]},
    ]
    patched = api.ok("PATCH", f"tables/{table['id']}", patch)
    assert (patched["id"], patched["fullyQualifiedName"]) == (table["id"], table["fullyQualifiedName"])
    assert (patched["description"], patched["version"]) == ("d", 0.2)
    assert patched["owners"][0]["name"] == "admin"
    assert api.ok("GET", "tables/name/shop.db.public.orders")["description"] == "d"
    assert api.ok("PATCH", f"tables/{table['id']}", [])["version"] == 0.2
    assert api.refused("PATCH", f"tables/{table['id']}", [{"op": "test", "path": "/name", "value": "x"}])[0] == 400


def test_versions_are_the_present_one(api: SandboxApi) -> None:
    table = api.shop()
    history = api.ok("GET", f"tables/{table['id']}/versions")
    assert history["entityType"] == "table"
    assert len(history["versions"]) == 1
    assert api.ok("GET", f"tables/{table['id']}/versions/0.1")["name"] == "orders"
    assert api.refused("GET", f"tables/{table['id']}/versions/7.7")[0] == 404


def test_people_follow_entities(api: SandboxApi) -> None:
    table, admin = api.shop(), api.ok("GET", "users/name/admin")
    event = api.ok("PUT", f"tables/{table['id']}/followers", admin["id"])
    assert event["entityId"] == table["id"]
    assert api.ok("GET", f"tables/{table['id']}")["followers"][0]["name"] == "admin"
    api.ok("DELETE", f"tables/{table['id']}/followers/{admin['id']}")
    assert api.ok("GET", f"tables/{table['id']}")["followers"] == []


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_a_soft_deleted_entity_is_hidden_and_comes_back(api: SandboxApi) -> None:
    table = api.shop()
    assert api.ok("DELETE", f"tables/{table['id']}")["deleted"] is True
    assert api.refused("GET", f"tables/{table['id']}")[0] == 404
    assert api.ok("GET", f"tables/{table['id']}", include="all")["deleted"] is True
    assert api.ok("PUT", "tables/restore", {"id": table["id"]})["deleted"] is False
    api.ok("DELETE", "tables/name/shop.db.public.orders")
    assert api.table("orders")["deleted"] is False


def test_what_holds_something_is_deleted_with_it_only_when_asked(api: SandboxApi) -> None:
    table = api.shop()
    service = api.ok("GET", "services/databaseServices/name/shop")
    path = f"services/databaseServices/{service['id']}"
    assert api.refused("DELETE", path, hardDelete="true") == (400, "databaseService is not empty")
    profile = {"tableProfile": {"timestamp": 1, "rowCount": 1}}
    api.ok("PUT", f"tables/{table['id']}/tableProfile", profile)
    api.ok("DELETE", path, hardDelete="true", recursive="true")
    kinds = api.documents.kinds()
    assert not kinds.keys() & {"databaseService", "database", "databaseSchema", "table", "tableProfile"}


def test_an_asynchronous_delete_names_its_job(api: SandboxApi) -> None:
    table = api.shop()
    answer = api.call("DELETE", f"tables/async/{table['id']}", hardDelete="true")
    assert answer.status_code == 202
    assert answer.json()["jobId"]
    assert api.documents.count("table") == 0


def test_what_a_run_did_not_see_is_soft_deleted(api: SandboxApi) -> None:
    api.shop()
    api.table("stale")
    request = {"scopeFqn": "shop.db.public", "scopeEntityType": "databaseSchema", "seenFqns": ["shop.db.public.orders"]}
    result = api.ok("DELETE", "tables/deleteStale", request)
    assert (result["numberOfRowsPassed"], result["successRequest"][0]["request"]) == (1, "shop.db.public.stale")
    assert api.ok("GET", "tables", databaseSchema="shop.db.public", limit=9)["paging"]["total"] == 1
    assert api.ok("DELETE", "tables/deleteStale", request)["numberOfRowsProcessed"] == 0


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_only_a_run_sees_the_secrets_of_a_connection(api: SandboxApi) -> None:
    api.shop()
    path = "services/databaseServices/name/shop"

    def password(by: str) -> str:
        return str(api.ok("GET", path, by=by)["connection"]["config"]["authType"]["password"])

    assert (password("run"), password("person")) == ("s3cret", MASK)
    wrong = api.http.get(f"/api/v1/{path}", headers={"Authorization": "Bearer something else"})
    assert "s3cret" not in wrong.text
    assert "s3cret" not in api.call("GET", "services/databaseServices", by="person").text
    assert "s3cret" not in api.call("GET", "search/query", by="person", index="database_service_search_index").text


def test_a_mask_that_is_sent_back_stands_for_the_secret(api: SandboxApi) -> None:
    api.shop()
    shown = api.ok("GET", "services/databaseServices/name/shop", by="person")
    request = {key: shown[key] for key in ("name", "serviceType", "connection")}
    request["connection"]["config"]["username"] = "other"
    api.ok("PUT", "services/databaseServices", request, by="person")
    config = api.ok("GET", "services/databaseServices/name/shop")["connection"]["config"]
    assert (config["username"], config["authType"]["password"]) == ("other", "s3cret")
    patch = [{"op": "replace", "path": "/connection", "value": request["connection"]}]
    api.ok("PATCH", f"services/databaseServices/{shown['id']}", patch, by="person")
    config = api.ok("GET", "services/databaseServices/name/shop")["connection"]["config"]
    assert config["authType"]["password"] == "s3cret"


# --- what the catalog does not know -----------------------------------------------------------------------------------


def test_collections_that_are_not_known_keep_what_they_are_sent(api: SandboxApi) -> None:
    thread = api.ok("POST", "feed", {"message": "hello", "about": "<#E::table::x>"})
    assert thread == {"id": thread["id"], "message": "hello", "about": "<#E::table::x>"}
    assert api.ok("GET", f"feed/{thread['id']}") == thread
    assert api.ok("GET", "feed")["data"] == [thread]
    named = api.ok("PUT", "brand/new/things", {"name": "one", "size": 1})
    assert api.ok("GET", "brand/new/things/name/one") == named
    changed = api.ok("PATCH", f"brand/new/things/{named['id']}", [{"op": "replace", "path": "/size", "value": 2}])
    assert changed["size"] == 2
    api.ok("DELETE", f"brand/new/things/{named['id']}")
    assert api.refused("GET", "brand/new/things")[0] == 404


def test_pipelines_are_not_answered_here(api: SandboxApi) -> None:
    for method in ("GET", "POST", "PUT"):
        assert api.refused(method, "services/ingestionPipelines", {"name": "x"})[0] == 404
    assert api.refused("PUT", "services/ingestionPipelines/a.b/pipelineStatus", {"runId": "x"})[0] == 404
    assert api.refused("POST", "minisched/whatever", {})[0] in (404, 405)
