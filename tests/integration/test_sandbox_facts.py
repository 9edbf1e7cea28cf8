"""What runs send about entities: profiles, samples, tests, lineage, usage, searches, connection tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from minisched.domain.pipeline import Document
from tests.fakes_store import MemoryDocumentStore
from tests.sandbox_servers import SandboxApi, sandbox_api


@pytest.fixture
def api() -> Iterator[SandboxApi]:
    with sandbox_api(MemoryDocumentStore()) as api:
        yield api


@pytest.fixture
def orders(api: SandboxApi) -> Document:
    return api.shop()


# --- profiles and samples ---------------------------------------------------------------------------------------------


def test_profiles_are_kept_in_the_order_of_time(api: SandboxApi, orders: Document) -> None:
    for timestamp in (2000, 1000, 3000):
        request = {
            "tableProfile": {"timestamp": timestamp, "rowCount": timestamp / 1000},
            "columnProfile": [{"name": "id", "timestamp": timestamp, "distinctCount": 7}],
            "systemProfile": [{"operation": "INSERT", "timestamp": timestamp, "rowsAffected": 1}],
        }
        assert api.ok("PUT", f"tables/{orders['id']}/tableProfile", request)["id"] == orders["id"]
    fqn = "shop.db.public.orders"
    profiles = api.ok("GET", f"tables/{fqn}/tableProfile", startTs=1500, endTs=3000)
    assert [profile["timestamp"] for profile in profiles["data"]] == [3000, 2000]
    assert api.ok("GET", f"tables/{fqn}.id/columnProfile")["paging"]["total"] == 3
    assert api.ok("GET", f"tables/{fqn}/systemProfile", limit=1)["data"][0]["operation"] == "INSERT"
    latest = api.ok("GET", f"tables/{fqn}/tableProfile/latest")
    assert latest["profile"]["rowCount"] == 3
    assert latest["columns"][0]["profile"]["distinctCount"] == 7
    assert "profile" not in latest["columns"][1]
    assert "profile" not in api.ok("GET", f"tables/name/{fqn}")
    assert api.ok("GET", f"tables/name/{fqn}", fields="profile")["profile"]["rowCount"] == 3


def test_a_profile_without_a_time_is_refused(api: SandboxApi, orders: Document) -> None:
    assert api.refused("PUT", f"tables/{orders['id']}/tableProfile", {"tableProfile": {"rowCount": 1}})[0] == 400


def test_sample_data_and_settings_of_the_profiler(api: SandboxApi, orders: Document) -> None:
    sample = {"columns": ["id"], "rows": [[1], [None]]}
    assert api.ok("PUT", f"tables/{orders['id']}/sampleData", sample)["sampleData"] == sample
    assert api.ok("GET", f"tables/{orders['id']}/sampleData")["sampleData"] == sample
    assert "sampleData" not in api.ok("GET", f"tables/{orders['id']}")
    assert "sampleData" not in api.ok("DELETE", f"tables/{orders['id']}/sampleData")
    config = {"profileSample": 50}
    api.ok("PUT", f"tables/{orders['id']}/tableProfilerConfig", config)
    assert api.ok("GET", f"tables/{orders['id']}/tableProfilerConfig")["tableProfilerConfig"] == config
    assert "tableProfilerConfig" not in api.ok("DELETE", f"tables/{orders['id']}/tableProfilerConfig")
    settings = api.ok("GET", "system/settings/profilerConfiguration")
    assert settings == {"config_type": "profilerConfiguration", "config_value": {"metricConfiguration": []}}


def test_joins_add_up(api: SandboxApi, orders: Document) -> None:
    def joins(count: int, joined: str) -> Document:
        with_ = [{"fullyQualifiedName": joined, "joinCount": count}]
        return {"startDate": "2026-03-01", "columnJoins": [{"columnName": "id", "joinedWith": with_}]}

    for count, joined in ((1, "a.b"), (2, "a.b"), (4, "c.d")):
        api.ok("PUT", f"tables/{orders['id']}/joins", joins(count, joined))
    found = api.ok("GET", f"tables/{orders['id']}", fields="joins")["joins"]["columnJoins"][0]["joinedWith"]
    assert {join["fullyQualifiedName"]: join["joinCount"] for join in found} == {"a.b": 3, "c.d": 4}


def test_a_data_model_describes_and_tags_its_table(api: SandboxApi, orders: Document) -> None:
    tag = {"tagFQN": "dbtTags.finance", "source": "Classification"}
    columns = [{"name": "id", "dataType": "INT", "description": "The order.", "tags": [tag]}]
    model = {"modelType": "DBT", "description": "All orders.", "tags": [tag], "columns": columns}
    table = api.ok("PUT", f"tables/{orders['id']}/dataModel", model)
    assert (table["description"], table["columns"][0]["description"]) == ("All orders.", "The order.")
    assert table["tags"][0]["tagFQN"] == table["columns"][0]["tags"][0]["tagFQN"] == "dbtTags.finance"


# --- tests of data ----------------------------------------------------------------------------------------------------


def a_case(api: SandboxApi, **changes: Any) -> Document:
    request = {
        "name": "rows",
        "testDefinition": "tableRowCountToEqual",
        "entityLink": "<#E::table::shop.db.public.orders>",
        "parameterValues": [{"name": "value", "value": "1"}],
        **changes,
    }
    case: Document = api.ok("PUT", "dataQuality/testCases", request)
    return case


def test_a_case_belongs_to_the_suite_of_its_table(api: SandboxApi, orders: Document) -> None:
    assert "testSuite" not in api.ok("GET", f"tables/{orders['id']}", fields="testSuite")
    case = a_case(api)
    column_case = a_case(
        api,
        name="ids",
        testDefinition="columnValuesToBeUnique",
        entityLink="<#E::table::shop.db.public.orders::columns::id>",
    )
    assert case["fullyQualifiedName"] == "shop.db.public.orders.rows"
    assert (column_case["entityFQN"], column_case["fullyQualifiedName"]) == (
        "shop.db.public.orders.id",
        "shop.db.public.orders.id.ids",
    )
    suite = api.ok("GET", f"tables/{orders['id']}", fields="testSuite")["testSuite"]
    assert suite["id"] == case["testSuite"]["id"] == column_case["testSuite"]["id"]
    assert suite["fullyQualifiedName"] == "shop.db.public.orders.testSuite"
    listed = api.ok("GET", "dataQuality/testCases", testSuiteId=suite["id"], fields="testSuite,entityLink")
    assert {found["name"] for found in listed["data"]} == {"rows", "ids"}
    found = api.ok("GET", f"dataQuality/testSuites/{suite['id']}", fields="tests")
    assert (found["basic"], len(found["tests"])) == (True, 2)


def test_an_executable_suite_may_come_first(api: SandboxApi, orders: Document) -> None:
    request = {"name": "anything", "basicEntityReference": "shop.db.public.orders"}
    suite = api.ok("PUT", "dataQuality/testSuites/executable", request)
    assert suite["basicEntityReference"]["id"] == orders["id"]
    assert a_case(api)["testSuite"]["id"] == suite["id"]


def test_logical_suites_hold_cases_of_many_tables(api: SandboxApi, orders: Document) -> None:
    suite = api.ok("PUT", "dataQuality/testSuites", {"name": "nightly", "description": "d"})
    case = a_case(api)
    a_case(api, name="other")
    request = {"testSuiteId": suite["id"], "testCaseIds": [case["id"]]}
    api.ok("PUT", "dataQuality/testCases/logicalTestCases", request)
    listed = api.ok("GET", "dataQuality/testCases", testSuiteId=suite["id"])
    assert [found["name"] for found in listed["data"]] == ["rows"]
    assert listed["data"][0]["testSuites"][0]["name"] == "nightly"


def test_results_are_kept_and_the_newest_is_the_case_s(api: SandboxApi, orders: Document) -> None:
    case = a_case(api)
    fqn = case["fullyQualifiedName"]
    for timestamp, status in ((2000, "Failed"), (1000, "Success")):
        result = {"timestamp": timestamp, "testCaseStatus": status, "result": "r"}
        api.ok("POST", f"dataQuality/testCases/testCaseResults/{fqn}", result)
    found = api.ok("GET", f"dataQuality/testCases/name/{fqn}")
    assert (found["testCaseStatus"], found["testCaseResult"]["timestamp"]) == ("Failed", 2000)
    results = api.ok("GET", f"dataQuality/testCases/testCaseResults/{fqn}", startTs=0, endTs=1500)
    assert [result["testCaseStatus"] for result in results["data"]] == ["Success"]
    rows = {"columns": ["id"], "rows": [[7]]}
    assert api.ok("PUT", f"dataQuality/testCases/{case['id']}/failedRowsSample", rows)["failedRowsSample"] == rows
    assert api.ok("GET", f"dataQuality/testCases/{case['id']}/failedRowsSample") == rows
    query = api.ok("PUT", f"dataQuality/testCases/{case['id']}/inspectionQuery", b"select 1")
    assert query["inspectionQuery"] == "select 1"


def test_a_case_without_a_link_is_refused(api: SandboxApi, orders: Document) -> None:
    request = {"name": "x", "testDefinition": "tableRowCountToEqual", "entityLink": "orders"}
    assert api.refused("PUT", "dataQuality/testCases", request)[0] == 400
    gone = {**request, "entityLink": "<#E::table::no.such.table>"}
    assert api.refused("PUT", "dataQuality/testCases", gone)[0] == 404


def test_the_standard_tests_are_there_and_fit_the_release(api: SandboxApi) -> None:
    between = api.ok("GET", "dataQuality/testDefinitions/name/columnValuesToBeBetween")
    assert between["entityType"] == "COLUMN"
    assert "INT" in between["supportedDataTypes"]
    assert [parameter["name"] for parameter in between["parameterDefinition"]] == ["minValue", "maxValue"]
    assert between["validatorClass"] == "ColumnValuesToBeBetweenValidator"
    with sandbox_api(MemoryDocumentStore(), "1.9.17") as older:
        assert "validatorClass" not in older.ok("GET", f"dataQuality/testDefinitions/{between['id']}")
        assert "recognizers" not in older.ok("GET", "tags/name/PII.Sensitive")


# --- lineage ----------------------------------------------------------------------------------------------------------


def an_edge(origin: Document, target: Document, **details: Any) -> Document:
    ends = {"fromEntity": {"id": origin["id"], "type": "table"}, "toEntity": {"id": target["id"], "type": "table"}}
    return {"edge": {**ends, "lineageDetails": {"source": "QueryLineage", **details}}}


def test_edges_connect_entities(api: SandboxApi, orders: Document) -> None:
    middle, end = api.table("middle"), api.table("end")
    api.ok("PUT", "lineage", an_edge(orders, middle, sqlQuery="insert"))
    api.ok("PUT", "lineage", an_edge(middle, end))
    near = api.ok("GET", f"lineage/table/{orders['id']}")
    assert near["entity"]["name"] == "orders"
    assert [node["name"] for node in near["nodes"]] == ["middle"]
    far = api.ok("GET", "lineage/table/name/shop.db.public.orders", upstreamDepth=3, downstreamDepth=3)
    assert [node["name"] for node in far["nodes"]] == ["middle", "end"]
    assert far["downstreamEdges"][0]["lineageDetails"]["sqlQuery"] == "insert"
    up = api.ok("GET", f"lineage/table/{end['id']}", upstreamDepth=3)
    assert len(up["upstreamEdges"]) == 2


def test_an_edge_is_read_patched_and_deleted(api: SandboxApi, orders: Document) -> None:
    end = api.table("end")
    api.ok("PUT", "lineage", an_edge(orders, end))
    path = f"table/{orders['id']}/table/{end['id']}"
    patch = [{"op": "add", "path": "/columnsLineage/0", "value": {"fromColumns": ["a"], "toColumn": "b"}}]
    api.ok("PATCH", f"lineage/{path}", patch)
    edge = api.ok("GET", f"lineage/getLineageEdge/{orders['id']}/{end['id']}")["edge"]
    assert edge["columnsLineage"] == [{"fromColumns": ["a"], "toColumn": "b"}]
    api.ok("DELETE", f"lineage/{path}")
    assert api.refused("GET", f"lineage/getLineageEdge/{orders['id']}/{end['id']}")[0] == 404


def test_edges_are_reached_by_names_too(api: SandboxApi, orders: Document) -> None:
    end = api.table("end")
    path = "table/name/shop.db.public.orders/table/name/shop.db.public.end"
    api.ok("PUT", f"lineage/{path}", {"source": "ViewLineage"})
    assert api.ok("GET", f"lineage/getLineageEdge/{path}")["edge"]["toEntity"]["id"] == end["id"]
    api.ok("PATCH", f"lineage/{path}", [{"op": "add", "path": "/sqlQuery", "value": "q"}])
    api.ok("DELETE", "lineage/source/name/table/shop.db.public.end/type/QueryLineage")
    assert api.ok("GET", f"lineage/getLineageEdge/{path}")["edge"]["sqlQuery"] == "q"
    api.ok("DELETE", f"lineage/table/{end['id']}/type/ViewLineage")
    assert api.refused("GET", f"lineage/getLineageEdge/{path}")[0] == 404


def test_edges_go_with_their_ends(api: SandboxApi, orders: Document) -> None:
    end = api.table("end")
    api.ok("PUT", "lineage", an_edge(orders, end))
    api.ok("DELETE", f"tables/{end['id']}", hardDelete="true")
    assert api.ok("GET", f"lineage/table/{orders['id']}")["nodes"] == []


def test_edges_need_both_ends(api: SandboxApi, orders: Document) -> None:
    nobody = {"id": "00000000-0000-4000-8000-000000000000"}
    assert api.refused("PUT", "lineage", an_edge(orders, nobody))[0] == 404
    assert api.refused("PUT", "lineage", {"edge": {}})[0] == 400


# --- usage and queries ------------------------------------------------------------------------------------------------


def test_usage_of_a_day_adds_up_and_is_summed(api: SandboxApi, orders: Document) -> None:
    for day, count in (("2026-03-01", 2), ("2026-03-01", 3), ("2026-02-27", 10), ("2026-01-01", 100)):
        api.ok("POST", f"usage/table/{orders['id']}", {"date": day, "count": count})
    api.ok("POST", "usage/table/name/shop.db.public.orders", {"date": "2026-03-01", "count": 1})
    other = api.table("other")
    api.ok("POST", f"usage/table/{other['id']}", {"date": "2026-03-01", "count": 1})
    api.ok("POST", "usage/compute.percentile/table/2026-03-01")
    summary = api.ok("GET", f"tables/{orders['id']}", fields="usageSummary")["usageSummary"]
    assert summary["date"] == "2026-03-01"
    assert [summary[name]["count"] for name in ("dailyStats", "weeklyStats", "monthlyStats")] == [6, 16, 16]
    assert summary["dailyStats"]["percentileRank"] == 100
    assert len(api.ok("GET", f"usage/table/{orders['id']}")["usage"]) == 3
    assert api.refused("POST", f"usage/table/{orders['id']}", {"date": "yesterday"})[0] == 400


def test_a_query_is_called_by_its_checksum_and_knows_who_used_it(api: SandboxApi, orders: Document) -> None:
    query = api.ok("PUT", "queries", {"query": "select 1", "service": "shop", "dialect": "mysql"})
    assert query["name"] == query["checksum"] == hashlib.md5(b"select 1").hexdigest()
    assert query["fullyQualifiedName"] == f"shop.{query['name']}"
    assert "deleted" not in query
    assert "dialect" not in query
    used = [{"id": orders["id"], "type": "table"}]
    api.ok("PUT", f"queries/{query['id']}/usage", used)
    api.ok("PUT", f"queries/{query['id']}/usage", used)
    api.ok("PUT", f"queries/{query['id']}/users", ["admin"])
    after = api.ok("PUT", f"queries/{query['id']}/usedBy", ["etl", "etl"])
    assert [found["name"] for found in after["queryUsedIn"]] == ["orders"]
    assert [user["name"] for user in after["users"]] == ["admin"]
    assert after["usedBy"] == ["etl"]
    assert len(api.ok("GET", "queries", entityId=orders["id"])["data"]) == 1


# --- search -----------------------------------------------------------------------------------------------------------


def test_entities_are_found_by_parts_of_their_fqn(api: SandboxApi, orders: Document) -> None:
    api.table("customers")
    query = {"fieldName": "fullyQualifiedName", "index": "table_search_index", "deleted": "false"}
    found = api.ok("GET", "search/fieldQuery", fieldValue="*.*.PUBLIC.orders", **query)["hits"]
    assert (found["total"]["value"], found["hits"][0]["_id"]) == (1, orders["id"])
    assert found["hits"][0]["_source"]["fullyQualifiedName"] == "shop.db.public.orders"
    api.ok("DELETE", f"tables/{orders['id']}")
    assert api.ok("GET", "search/fieldQuery", fieldValue="*.*.*.orders", **query)["hits"]["hits"] == []


def test_pages_of_a_search_follow_each_other(api: SandboxApi, orders: Document) -> None:
    api.table("a")
    api.table("b")
    query = {"index": "table_search_index", "size": 2, "sort_field": "fullyQualifiedName", "sort_order": "desc"}
    first = api.ok("GET", "search/query", **query)["hits"]["hits"]
    assert [hit["_source"]["name"] for hit in first] == ["orders", "b"]
    second = api.ok("GET", "search/query", search_after=first[-1]["sort"][0], **query)["hits"]["hits"]
    assert [hit["_source"]["name"] for hit in second] == ["a"]
    assert api.ok("GET", "search/query", search_after=second[-1]["sort"][0], **query)["hits"]["hits"] == []


def test_a_search_knows_what_flows_into_a_table(api: SandboxApi, orders: Document) -> None:
    end = api.table("end")
    api.ok("PUT", "lineage", an_edge(orders, end))
    filter_ = json.dumps({"query": {"ids": {"values": [end["id"], "nobody"]}}})
    hits = api.ok("GET", "search/query", index="table_search_index", query_filter=filter_)["hits"]["hits"]
    assert [hit["_source"]["upstreamLineage"][0]["fromEntity"]["id"] for hit in hits] == [orders["id"]]
    assert api.refused("GET", "search/query", query_filter="{")[0] == 400


# --- connections, pipelines of sources, custom properties -------------------------------------------------------------


def test_connection_tests_have_the_steps_that_a_release_knows(api: SandboxApi) -> None:
    def steps(sandbox: SandboxApi, service: str) -> list[Document]:
        path = f"services/testConnectionDefinitions/name/{service}.testConnectionDefinition"
        found: list[Document] = sandbox.ok("GET", path)["steps"]
        return found

    postgres = steps(api, "Postgres")
    assert [step["name"] for step in postgres] == ["CheckAccess", "GetSchemas", "GetTables", "GetViews"]
    assert [step["mandatory"] for step in postgres] == [True, True, True, False]
    assert [step["category"] for step in postgres] == ["ConnectionGate", *["Capability"] * 3]
    assert steps(api, "SomethingNew") == []
    assert [step["name"] for step in steps(api, "Kafka")] == ["GetTopics", "CheckSchemaRegistry"]
    with sandbox_api(MemoryDocumentStore(), "1.9.17") as older:
        assert "category" not in steps(older, "Postgres")[0]
        assert steps(older, "Kafka") == []
    assert api.refused("GET", "services/testConnectionDefinitions/name/Postgres")[0] == 404
    assert api.ok("GET", "services/testConnectionDefinitions")["paging"]["total"] > 50


def test_an_automation_keeps_its_response(api: SandboxApi) -> None:
    config = {"type": "Mysql", "authType": {"password": "s3cret"}}
    request = {"name": "check", "workflowType": "TEST_CONNECTION", "request": {"connection": {"config": config}}}
    made = api.ok("POST", "automations/workflows", request)
    patch = [
        {"op": "add", "path": "/response", "value": {"status": "Successful", "steps": []}},
        {"op": "add", "path": "/status", "value": "Successful"},
    ]
    api.ok("PATCH", f"automations/workflows/{made['id']}", patch)
    assert api.ok("GET", "automations/workflows/name/check")["status"] == "Successful"
    assert "s3cret" not in api.call("GET", "automations/workflows/name/check", by="person").text


def test_pipelines_of_sources_have_statuses(api: SandboxApi) -> None:
    api.ok("PUT", "services/pipelineServices", {"name": "airflow", "serviceType": "Airflow"})
    api.ok("PUT", "pipelines", {"name": "etl", "service": "airflow", "tasks": [{"name": "t"}]})
    statuses = [{"timestamp": moment, "executionStatus": "Successful"} for moment in (1000, 2000)]
    api.ok("PUT", "pipelines/airflow.etl/status", statuses[0])
    found = api.ok("PUT", "pipelines/airflow.etl/status/bulk", statuses)
    assert found["pipelineStatus"]["timestamp"] == 2000
    assert found["tasks"][0]["fullyQualifiedName"] == "airflow.etl.t"
    assert len(api.ok("GET", "pipelines/airflow.etl/status", startTs=0, endTs=1500)["data"]) == 1


def test_custom_properties_are_kept_with_their_type(api: SandboxApi) -> None:
    table = api.ok("GET", "metadata/types/name/table", category="field")
    text = api.ok("GET", "metadata/types/name/string", category="field")
    request = {"name": "cost", "description": "d", "propertyType": {"id": text["id"], "type": "type"}}
    assert api.ok("PUT", f"metadata/types/{table['id']}", request)["name"] == "table"
    found = api.ok("GET", "metadata/types/name/table", fields="customProperties")["customProperties"]
    assert [found_property["name"] for found_property in found] == ["cost"]
