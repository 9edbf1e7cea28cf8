"""No request makes the sandbox fail: whatever is sent, the answer is JSON and no error of the server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minisched.sandbox.kinds import KINDS
from tests.fakes_store import MemoryDocumentStore
from tests.sandbox_servers import SandboxApi, sandbox_api

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WORDS = [
    "name", "bulk", "restore", "deleteStale", "async", "versions", "followers", "tableProfile", "columnProfile",
    "latest", "sampleData", "joins", "dataModel", "customMetric", "pipelineObservability", "columns", "status",
    "testCaseResult", "testCaseResults", "failedRowsSample", "logicalTestCases", "executable", "usage", "users",
    "usedBy", "kpiResult", "trigger", "vote", "type", "shop", "shop.db.public.orders", "shop.db.public.orders.rows",
    "table", "1", "", " ", "..", "%2e%2e", "é", '"', "00000000-0000-4000-8000-000000000000", "@id",
]  # fmt: skip
ROOTS = [
    *(kind.path for kind in KINDS), "lineage", "lineage/getLineageEdge", "lineage/source/name", "usage",
    "usage/compute.percentile", "search/query", "search/fieldQuery", "system/settings", "system/version",
    "metadata/types", "metadata/types/name", "services/testConnectionDefinitions", "nobody/knows",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "service", "database", "databaseSchema", "columns", "tags", "owners", "id", "op", "path", "value",
             "edge", "fromEntity", "toEntity", "lineageDetails", "pipeline", "timestamp", "tableProfile",
             "columnProfile", "systemProfile", "date", "count", "query", "entityLink", "testDefinition", "testSuiteId",
             "testCaseIds", "seenFqns", "scopeFqn", "config_type", "columnJoins", "joinedWith", "connection",
             "fullyQualifiedName", "basicEntityReference", "description", "domains", "type", "children"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Iterator[SandboxApi]:
    with sandbox_api(MemoryDocumentStore()) as api:
        api.shop()
        request = {
            "name": "rows",
            "testDefinition": "tableRowCountToEqual",
            "entityLink": "<#E::table::shop.db.public.orders>",
        }
        api.ok("PUT", "dataQuality/testCases", request)
        yield api


def check(api: SandboxApi, method: str, path: str, body: bytes, query: dict[str, str]) -> None:
    answer = api.call(method, path, body, by="person", **query)
    assert answer.status_code < 500, (method, path, body, query, answer.text)
    if answer.content and "export" not in path:
        answer.json()
    if answer.status_code >= 400 and answer.status_code != 405:
        assert {"code", "message"} <= answer.json().keys() or "status_code" in answer.json()


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_request_is_answered(api: SandboxApi, data: st.DataObject) -> None:
    table_id = api.ok("GET", "tables", limit=1)["data"]
    known = table_id[0]["id"] if table_id else "gone"
    words = [known if word == "@id" else word for word in data.draw(st.lists(st.sampled_from(WORDS), max_size=5))]
    path = "/".join([data.draw(st.sampled_from(ROOTS)), *(quote(word, safe="") for word in words)])
    body = data.draw(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=20)))
    names = st.sampled_from(
        ["limit", "after", "before", "fields", "include", "service", "startTs", "endTs", "index", "q", "query_filter",
         "sort_field", "search_after", "from", "size", "fieldName", "fieldValue", "tableRegex", "recursive",
         "hardDelete", "upstreamDepth", "offset", "testSuiteId"]
    )  # fmt: skip
    values = st.sampled_from(["", "1", "-1", "x", "*", "true", "{}", '{"query": 1}', "all", "999999999999999999999"])
    check(api, data.draw(st.sampled_from(METHODS)), path, body, data.draw(st.dictionaries(names, values, max_size=3)))


LINK = "<#E::table::shop.db.public.orders::columns::id>"
COLUMN = {"name": "a", "dataType": "STRUCT", "tags": [{"tagFQN": "PII.None"}], "children": [{"name": "b"}]}
PROFILE = {"name": "id", "timestamp": 1, "distinctCount": 1}
# Good requests, to be spoilt in one place. `@id` is the id of a table.
GOOD: list[tuple[str, str, Any]] = [
    ("PUT", "tables", {"name": "orders", "databaseSchema": "shop.db.public", "columns": [COLUMN], "tags": [
        {"tagFQN": "PII.None"}], "owners": [{"id": "@id", "type": "user"}], "domains": [], "description": "d"}),
    ("PUT", "tables/bulk", [{"name": "orders", "databaseSchema": "shop.db.public", "columns": [COLUMN]}]),
    ("PATCH", "tables/@id", [{"op": "add", "path": "/columns/0/tags/0", "value": {"tagFQN": "PII.None"}},
                             {"op": "replace", "path": "/owners", "value": [{"id": "@id", "type": "user"}]}]),
    ("PATCH", "tables/@id", [{"op": "add", "path": "/columns", "value": [COLUMN]}, {"op": "add", "path":
        "/customMetrics", "value": [{"name": "m"}]}, {"op": "add", "path": "/pipelineObservability", "value": [{}]},
        {"op": "add", "path": "/followers", "value": []}, {"op": "add", "path": "/dataModel", "value": {}}]),
    ("PATCH", "dataQuality/testCases/name/shop.db.public.orders.rows", [{"op": "add", "path": "/testSuites", "value":
        [{}]}, {"op": "add", "path": "/testCaseResult", "value": {}}, {"op": "add", "path": "/entityFQN",
        "value": "x"}]),
    ("PUT", "tables/@id/tableProfile", {"tableProfile": {"timestamp": 1, "rowCount": 1}, "columnProfile": [PROFILE],
                                        "systemProfile": [{"timestamp": 1, "operation": "INSERT"}]}),
    ("PUT", "tables/@id/joins", {"columnJoins": [{"columnName": "a", "joinedWith": [
        {"fullyQualifiedName": "b", "joinCount": 1}]}]}),
    ("PUT", "tables/@id/dataModel", {"columns": [COLUMN], "description": "d", "tags": [{"tagFQN": "x"}]}),
    ("PUT", "tables/@id/customMetric", {"name": "m", "columnName": "a", "expression": "1"}),
    ("PUT", "tables/@id/pipelineObservability", [{"pipeline": {"fullyQualifiedName": "p"}}]),
    ("PUT", "tables/@id/pipelineObservability/p", {"pipeline": {"fullyQualifiedName": "p"}}),
    ("PUT", "tables/@id/sampleData", {"columns": ["a"], "rows": [[1]]}),
    ("PUT", "tables/@id/followers", "@id"),
    ("PUT", "tables/restore", {"id": "@id"}),
    ("DELETE", "tables/deleteStale", {"scopeFqn": "shop.db.nothing", "seenFqns": ["x"], "recursive": True}),
    ("PUT", "lineage", {"edge": {"fromEntity": {"id": "@id", "type": "table"}, "toEntity": {"id": "@id",
        "type": "table"}, "description": "d", "lineageDetails": {"pipeline": {"id": "@id", "type": "pipeline"}}}}),
    ("PATCH", "lineage/table/@id/table/@id", [{"op": "add", "path": "/sqlQuery", "value": "q"}]),
    ("PUT", "dataQuality/testCases", {"name": "c", "testDefinition": "tableRowCountToEqual", "entityLink": LINK}),
    ("PUT", "dataQuality/testSuites", {"name": "s", "basicEntityReference": "shop.db.public.orders"}),
    ("PUT", "dataQuality/testCases/logicalTestCases", {"testSuiteId": "@id", "testCaseIds": ["@id"]}),
    ("POST", "dataQuality/testCases/testCaseResults/shop.db.public.orders.rows", {"timestamp": 1,
        "testCaseStatus": "Success"}),
    ("POST", "dataQuality/testCases/testCaseIncidentStatus", {"testCaseReference": "shop.db.public.orders.rows"}),
    ("POST", "usage/table/@id", {"date": "2026-03-01", "count": 1}),
    ("PUT", "queries", {"query": "select 1", "service": "shop", "users": ["admin"], "queryUsedIn": []}),
    ("POST", "users", {"id": "@id", "name": "u", "teams": ["@id"], "roles": []}),
    ("PUT", "services/databaseServices", {"name": "other", "serviceType": "Mysql", "connection": {"config": {}}}),
    ("PUT", "containers", {"name": "c", "service": "lake", "parent": {"id": "@id"}, "dataModel": {"columns": []}}),
    ("PUT", "system/settings", {"config_type": "x", "config_value": {}}),
    ("PUT", "metadata/types/@id", {"name": "x"}),
    ("PUT", "apps", {"name": "a", "bot": "ingestion-bot"}),
    ("POST", "feed", {"message": "m", "name": "n"}),
]  # fmt: skip


def spoilt(draw: Any, node: Any) -> Any:
    """The value with one thing in it replaced by something else."""
    if not isinstance(node, dict | list) or not node or draw(st.integers(0, 3)) == 0:
        return draw(JSON)
    if isinstance(node, list):
        index = draw(st.integers(0, len(node) - 1))
        return [spoilt(draw, item) if at == index else item for at, item in enumerate(node)]
    key = draw(st.sampled_from(sorted(node)))
    return {**node, key: spoilt(draw, node[key])}


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_spoilt_requests_are_answered(api: SandboxApi, data: st.DataObject) -> None:
    table_id = api.table("orders")["id"]
    method, path, body = data.draw(st.sampled_from(GOOD))
    text = json.dumps(spoilt(data.draw, body)).replace("@id", table_id)
    check(api, method, path.replace("@id", table_id), text.encode(), {})
    check(api, "GET", "tables/name/shop.db.public.orders", b"", {"fields": "*"})
    check(api, "GET", "minisched/sandbox/tree", b"", {})


@pytest.mark.parametrize("path", ["tables/name/%ff%fe", "tables/%00", "tables/name/%2F", "tables//", "tables/name/"])
@pytest.mark.parametrize("method", METHODS)
def test_odd_paths_are_answered(api: SandboxApi, method: str, path: str) -> None:
    check(api, method, path, b"{}", {})


def test_deep_and_wide_bodies_are_answered(api: SandboxApi) -> None:
    for depth in (100, 400, 900):
        deep: Any = {"name": "x"}
        for _ in range(depth):
            deep = {"name": "x", "dataType": "STRUCT", "children": [deep]}
        table = {"name": "deep", "databaseSchema": "shop.db.public", "columns": [deep]}
        check(api, "PUT", "tables", _dumped(table), {})
    check(api, "PUT", "tables", b"[" * 100_000, {})
    check(api, "PUT", "tables", b'{"name": ' + b"9" * 6000 + b"}", {})


def _dumped(table: Any) -> bytes:
    """As JSON, however deep it is."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(table).encode()
    finally:
        sys.setrecursionlimit(limit)


def test_runs_that_write_at_once_do_not_lose_anything(api: SandboxApi) -> None:
    problems: list[AssertionError] = []

    def write(worker: int) -> None:
        try:
            for number in range(20):
                api.table("shared", description=None)
                api.table(f"w{worker}_{number}")
                request = {"date": "2026-03-01", "count": 1}
                api.ok("POST", "usage/table/name/shop.db.public.shared", request)
        except AssertionError as error:
            problems.append(error)

    api.table("shared")
    before = api.documents.count("table")
    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert api.documents.count("table") == before + 80
    usage = api.ok("GET", "tables/name/shop.db.public.shared", fields="usageSummary")["usageSummary"]
    assert usage["dailyStats"]["count"] == 80
