"""The part of Elasticsearch's language that clients use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.sandbox.search import index_of_kind, kind_of_index
from minisched.sandbox.search_query import compile_query, field_matcher, text_matcher

VIEW = {
    "name": "big_orders",
    "fullyQualifiedName": "Shop.db.public.big_orders",
    "tableType": "View",
    "deleted": False,
    "processedLineage": True,
    "schemaDefinition": "select 1",
    "service": {"name": "Shop", "id": "7"},
    "owners": [{"name": "ann"}, {"name": "bob"}],
}


def matches(clause: dict[str, Any]) -> bool:
    return compile_query({"query": clause})(VIEW)


@pytest.mark.parametrize(
    "clause",
    [
        {"match_all": {}},
        {"term": {"tableType": "View"}},
        {"term": {"service.name.keyword": {"value": "shop"}}},
        {"term": {"processedLineage": True}},
        {"term": {"owners.name": "bob"}},
        {"terms": {"tableType": ["Regular", "View"]}},
        {"match": {"schemaDefinition": "SELECT"}},
        {"exists": {"field": "schemaDefinition"}},
        {"wildcard": {"name": "big*"}},
        {"prefix": {"fullyQualifiedName.keyword": "shop.db"}},
        {"query_string": {"query": "orders AND isBot:false", "fields": ["name"]}},
        {"bool": {"must": [{"term": {"deleted": False}}], "should": [{"term": {"name": "other"}}]}},
        {"bool": {"should": [{"term": {"name": "other"}}, {"term": {"tableType": "View"}}]}},
        {"bool": {"filter": {"term": {"tableType": "View"}}, "must_not": {"exists": {"field": "nothing"}}}},
    ],
)
def test_clauses_that_match(clause: dict[str, Any]) -> None:
    assert matches(clause)


@pytest.mark.parametrize(
    "clause",
    [
        {"term": {"tableType": "Regular"}},
        {"term": {"processedLineage": False}},
        {"terms": {"owners.name": ["eve"]}},
        {"exists": {"field": "description"}},
        {"bool": {"must_not": [{"term": {"tableType": "View"}}]}},
        {"bool": {"should": [{"term": {"name": "other"}}]}},
        {"ids": {"values": ["1"]}},
        {"geo_distance": {"distance": "1km"}},
        {"term": "tableType"},
    ],
)
def test_clauses_that_do_not_match(clause: dict[str, Any]) -> None:
    assert not matches(clause)


def test_a_text_is_looked_for_in_names_and_descriptions() -> None:
    assert text_matcher("")(VIEW)
    assert text_matcher("*")(VIEW)
    assert text_matcher("orders big")(VIEW)
    assert text_matcher("tableType:View AND orders")(VIEW)
    assert not text_matcher("customers")(VIEW)


def test_fields_are_compared_with_wildcards_and_without_case() -> None:
    assert field_matcher("fullyQualifiedName", "shop.*.*.BIG_orders")(VIEW)
    assert field_matcher("service.name.keyword", "Sho?")(VIEW)
    assert not field_matcher("name", "big")(VIEW)
    assert not field_matcher("name", "big.orders")(VIEW)


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        ("table_search_index", "table"),
        ("openmetadata_database_schema_search_index", "databaseSchema"),
        ("search_entity_search_index", "searchIndex"),
        ("dashboard_data_model_search_index", "dashboardDataModel"),
        ("mlmodel_search_index", "mlmodel"),
        ("table", "table"),
        ("nonsense", None),
    ],
)
def test_an_index_holds_one_kind(index: str, kind: str | None) -> None:
    assert kind_of_index(index) == kind


def test_the_name_of_an_index_leads_back_to_its_kind() -> None:
    for kind in ("table", "databaseSchema", "searchIndex", "storedProcedure", "apiEndpoint"):
        assert kind_of_index(index_of_kind(kind)) == kind


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["query", "bool", "must", "should", "term", "terms", "match", "exists", "ids", "field", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(_JSON)
def test_any_query_is_answered(query: Any) -> None:
    assert compile_query(query)(VIEW) in (True, False)


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    assert text_matcher(text)(VIEW) in (True, False)
