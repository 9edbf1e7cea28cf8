"""What every PipelineStore does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.errors import EntityExists, PipelineNotFound, VersionConflict
from minisched.domain.pipeline import Pipeline, quote_name
from minisched.ports import PipelinePage, PipelineQuery
from tests.store_kinds import KINDS, Stores, opened


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with opened(request.param, request) as found:
        yield found


def a_pipeline(name: str = "nightly", *, service: str = "shop", **changes: Any) -> Pipeline:
    document = {
        "id": str(uuid4()),
        "name": name,
        "fullyQualifiedName": f"{service}.{quote_name(name)}",
        "pipelineType": "metadata",
        "version": 0.1,
        "updatedAt": 1_772_366_400_000,
        "service": {"id": str(uuid4()), "type": "databaseService", "fullyQualifiedName": service},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "openMetadataServerConnection": {"securityConfig": {"jwtToken": "tok3n"}},
    }
    return Pipeline({**document, **changes})


def changed(pipeline: Pipeline, **changes: Any) -> Pipeline:
    return Pipeline({**pipeline.document, **changes})


def names(page: PipelinePage) -> list[str]:
    return [pipeline.name for pipeline in page.pipelines]


def test_a_pipeline_comes_back_whole(stores: Stores) -> None:
    pipeline = a_pipeline('Große "Ware".täglich', displayName="\U0001f680", extra={"deep": [1, 2.5, None, True, "\0"]})
    stores.pipelines.create(pipeline)
    assert stores.pipelines.get(pipeline.id) == pipeline
    assert stores.pipelines.get_by_fqn(pipeline.fqn) == pipeline
    assert stores.pipelines.history(pipeline.id) == [pipeline]


def test_an_unknown_pipeline_is_not_found(stores: Stores) -> None:
    unknown = a_pipeline()
    for attempt in (
        lambda: stores.pipelines.get(unknown.id),
        lambda: stores.pipelines.get_by_fqn(unknown.fqn),
        lambda: stores.pipelines.history(unknown.id),
        lambda: stores.pipelines.remove(unknown.id),
        lambda: stores.pipelines.replace(unknown, expected=unknown),
    ):
        with pytest.raises(PipelineNotFound):
            attempt()


def test_an_fqn_is_taken_once_by_deleted_ones_too(stores: Stores) -> None:
    pipeline = a_pipeline(deleted=True)
    stores.pipelines.create(pipeline)
    with pytest.raises(EntityExists):
        stores.pipelines.create(a_pipeline())
    with pytest.raises(EntityExists):
        stores.pipelines.create(changed(pipeline, fullyQualifiedName="shop.other"))
    stores.pipelines.create(a_pipeline("NIGHTLY"))


def test_an_fqn_may_be_long(stores: Stores) -> None:
    one, other = a_pipeline("n" * 3_000), a_pipeline("n" * 3_001)
    stores.pipelines.create(one)
    stores.pipelines.create(other)
    assert stores.pipelines.get_by_fqn(other.fqn) == other
    assert stores.pipelines.page(PipelineQuery(service="s" * 2_000)).total == 0


def test_replace_keeps_the_version_that_it_replaces(stores: Stores) -> None:
    first = a_pipeline()
    stores.pipelines.create(first)
    second = changed(first, version=0.2, description="better")
    third = changed(second, version=1.0)
    stores.pipelines.replace(second, expected=first)
    stores.pipelines.replace(third, expected=second)
    assert stores.pipelines.get(first.id) == third
    assert stores.pipelines.history(first.id) == [third, second, first]


def test_replace_without_a_new_version_leaves_the_history(stores: Stores) -> None:
    first = a_pipeline()
    stores.pipelines.create(first)
    deployed = changed(first, deployed=True)
    stores.pipelines.replace(deployed, expected=first)
    assert stores.pipelines.history(first.id) == [deployed]


def test_replace_refuses_when_somebody_was_faster(stores: Stores) -> None:
    first = a_pipeline()
    stores.pipelines.create(first)
    faster = changed(first, version=0.2, description="theirs")
    stores.pipelines.replace(faster, expected=first)
    with pytest.raises(VersionConflict):
        stores.pipelines.replace(changed(first, version=0.2, description="mine"), expected=first)
    assert stores.pipelines.history(first.id) == [faster, first]


def test_replace_cannot_take_the_fqn_of_another(stores: Stores) -> None:
    one, other = a_pipeline("one"), a_pipeline("other")
    stores.pipelines.create(one)
    stores.pipelines.create(other)
    with pytest.raises(EntityExists):
        stores.pipelines.replace(changed(one, fullyQualifiedName=other.fqn, version=0.2), expected=one)
    assert stores.pipelines.history(one.id) == [one]


def test_remove_takes_versions_and_statuses_along(stores: Stores) -> None:
    first, other = a_pipeline("first"), a_pipeline("other")
    for pipeline in (first, other):
        stores.pipelines.create(pipeline)
        stores.statuses.put(pipeline.fqn, {"runId": str(uuid4()), "timestamp": 1})
    stores.pipelines.replace(changed(first, version=0.2), expected=first)
    stores.pipelines.remove(first.id)
    assert stores.statuses.search(first.fqn) == []
    assert len(stores.statuses.search(other.fqn)) == 1
    stores.pipelines.create(first)
    assert stores.pipelines.history(first.id) == [first]


@pytest.fixture
def five(stores: Stores) -> list[Pipeline]:
    """Names in the order in which pages list them."""
    pipelines = [a_pipeline(name) for name in ("A", "Z", "a", "b.c", "É")]
    for pipeline in (pipelines[3], pipelines[0], pipelines[4], pipelines[2], pipelines[1]):
        stores.pipelines.create(pipeline)
    return pipelines


@pytest.mark.parametrize("descending", [False, True])
def test_pages_go_forth_and_back_over_everything(stores: Stores, five: list[Pipeline], descending: bool) -> None:
    expected = [pipeline.name for pipeline in five]
    expected = expected[::-1] if descending else expected
    first = stores.pipelines.page(PipelineQuery(limit=2, descending=descending))
    assert (names(first), first.total, first.before) == (expected[:2], 5, None)
    second = stores.pipelines.page(PipelineQuery(limit=2, descending=descending, after=first.after))
    assert names(second) == expected[2:4]
    last = stores.pipelines.page(PipelineQuery(limit=2, descending=descending, after=second.after))
    assert (names(last), last.after) == (expected[4:], None)
    back = stores.pipelines.page(PipelineQuery(limit=2, descending=descending, before=last.before))
    assert (names(back), back.before, back.after) == (expected[2:4], second.before, second.after)
    start = stores.pipelines.page(PipelineQuery(limit=2, descending=descending, before=back.before))
    assert (names(start), start.before, start.total) == (expected[:2], None, 5)
    assert start.after == first.after


def test_equal_sort_values_are_told_apart_by_id(stores: Stores) -> None:
    for service in "abcdefg":
        stores.pipelines.create(a_pipeline("same", service=service, displayName="Same"))
    for by_display_name in (False, True):
        seen: list[str] = []
        after = None
        while True:
            page = stores.pipelines.page(PipelineQuery(limit=3, after=after, sort_by_display_name=by_display_name))
            seen += [pipeline.id for pipeline in page.pipelines]
            if (after := page.after) is None:
                break
        assert seen == sorted(seen)
        assert len(seen) == 7


def test_display_names_sort_before_names(stores: Stores) -> None:
    stores.pipelines.create(a_pipeline("a", displayName="z"))
    stores.pipelines.create(a_pipeline("b", displayName=""))
    stores.pipelines.create(a_pipeline("c"))
    page = stores.pipelines.page(PipelineQuery(sort_by_display_name=True))
    assert names(page) == ["b", "c", "a"]
    page = stores.pipelines.page(PipelineQuery(sort_by_display_name=True, descending=True, limit=1))
    assert (names(page), page.after) == (["a"], ("z", page.pipelines[0].id))


def test_a_limit_of_zero_counts_only(stores: Stores, five: list[Pipeline]) -> None:
    page = stores.pipelines.page(PipelineQuery(limit=0))
    assert page == PipelinePage([], len(five), None, None)


def test_an_empty_page_gives_its_cursor_back(stores: Stores, five: list[Pipeline]) -> None:
    beyond = ("\U0001f680", "0")
    assert stores.pipelines.page(PipelineQuery(after=beyond)) == PipelinePage([], len(five), None, beyond)


@pytest.mark.parametrize(
    ("include", "expected"), [("non-deleted", ["kept"]), ("deleted", ["gone"]), ("all", ["gone", "kept"])]
)
def test_include_chooses_deleted_ones(stores: Stores, include: str, expected: list[str]) -> None:
    stores.pipelines.create(a_pipeline("gone", deleted=True))
    stores.pipelines.create(a_pipeline("kept"))
    page = stores.pipelines.page(PipelineQuery(include=include))
    assert (names(page), page.total) == (expected, len(expected))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"service": "shop"}, ["app", "meta", "usage"]),
        ({"service": "SHOP"}, []),
        ({"service": "shop.db"}, []),
        ({"service": '"shop.db"'}, ["quoted"]),
        ({"test_suite": "shop2.t.testSuite"}, ["tests"]),
        ({"pipeline_types": ["usage", "TestSuite"]}, ["tests", "usage"]),
        ({"service_type": "testSuite"}, ["tests"]),
        ({"application_type": "Cleaner"}, ["app"]),
        ({"application_type": "Other"}, ["usage"]),
        ({"provider": "system"}, ["meta"]),
        ({"provider": "user", "service": "shop"}, ["app", "usage"]),
    ],
    ids=str,
)
def test_filters(stores: Stores, query: dict[str, Any], expected: list[str]) -> None:
    suite = {"type": "testSuite", "fullyQualifiedName": "shop2.t.testSuite"}
    application = {"config": {"type": "Application", "appConfig": {"type": "Cleaner"}}}
    for pipeline in (
        a_pipeline("meta", provider="system"),
        a_pipeline("usage", pipelineType="usage", applicationType="Other", provider="user"),
        a_pipeline("app", pipelineType="application", sourceConfig=application),
        changed(a_pipeline("tests", service="shop2.t.testSuite", pipelineType="TestSuite"), service=suite),
        a_pipeline("quoted", service='"shop.db"'),
    ):
        stores.pipelines.create(pipeline)
    page = stores.pipelines.page(PipelineQuery(**query))
    assert (names(page), page.total) == (expected, len(expected))
