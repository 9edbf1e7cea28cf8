"""No input makes the API answer with a 5xx, and every refusal has OpenMetadata's shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minisched.domain.pipeline import Document
from tests.api_worlds import PIPELINES, World, a_create_request, in_process
from tests.contract.ingestion_pipelines import JSON_PATCH, a_status

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["*********", "0 * * * *", "UTC", "\0", "\ud800", "2026-02-30T00:00:00Z", 2**63, -1, 10**400]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with in_process(tmp_path_factory.mktemp("api")) as world:
        yield world


def bearable(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        body = answer.json()
        assert body["code"] == answer.status_code
        assert isinstance(body["message"], str)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


REQUEST = a_create_request(
    name="fuzzed",
    owners=[{"id": "e4b4bf36-4be6-41be-a551-b9b8d3fd9f54", "type": "user"}],
    domains=["Sales"],
    airflowConfig={"scheduleInterval": "0 * * * *", "startDate": "2026-01-01T00:00:00Z", "pipelineTimezone": "UTC"},
)
STATUS = a_status(status=[{"name": "s", "records": 1, "failures": [{"name": "n", "error": "e"}]}], config={})


@FUZZ
@given(st.sampled_from(sorted(places(REQUEST), key=str)), VALUES)
def test_a_create_request_with_one_thing_wrong(world: World, path: tuple[Any, ...], value: Any) -> None:
    bearable(world.http.put(PIPELINES, content=encoded(changed(REQUEST, path, value))))


@FUZZ
@given(st.sampled_from(sorted(places(STATUS), key=str)), VALUES)
def test_a_status_with_one_thing_wrong(world: World, path: tuple[Any, ...], value: Any) -> None:
    world.http.put(PIPELINES, json=a_create_request(name="reported"))
    url = f"{PIPELINES}/mysql.reported/pipelineStatus"
    bearable(world.http.put(url, content=encoded(changed(STATUS, path, value))))
    bearable(world.http.get(url))


POINTERS = st.one_of(
    st.sampled_from(
        [
            "",
            "/",
            "/name",
            "/owners",
            "/owners/0",
            "/owners/-",
            "/owners/0/id",
            "/sourceConfig",
            "/sourceConfig/config",
            "/sourceConfig/config/threads",
            "/airflowConfig/scheduleInterval",
            "/airflowConfig/scheduleInterval/0",
            "/service/id",
            "/version",
            "/deleted",
            "/domains/1",
            "/~2",
        ]
    ),
    st.text(max_size=6).map(lambda text: "/" + text),
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS},
    optional={"from": POINTERS, "value": VALUES},
)


@FUZZ
@given(st.lists(OPERATIONS, max_size=4))
def test_any_patch(world: World, operations: list[Document]) -> None:
    pipeline = world.http.put(PIPELINES, json={**REQUEST, "name": "patched"}).json()
    path = f"{PIPELINES}/{pipeline['id']}"
    bearable(world.http.patch(path, content=encoded(operations), headers=JSON_PATCH))
    answer = world.http.get(path, params={"fields": "*", "include": "all"})
    assert answer.status_code == 200
    assert answer.json()["name"] == "patched"


@FUZZ
@given(st.binary(max_size=40))
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", ""), ("PUT", "/restore"), ("POST", "/bulk/deploy")])
def test_any_bytes(world: World, method: str, path: str, content: bytes) -> None:
    bearable(world.http.request(method, PIPELINES + path, content=content))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@FUZZ
@given(
    TEXTS,
    st.sampled_from(
        [
            "/{}",
            "/name/{}",
            "/{}/pipelineStatus",
            "/{}/versions/{}",
            "/logs/{}/last",
            "/{}/{}/{}",
            "/{}/pipelineStatus/{}",
        ]
    ),
)
def test_any_path(world: World, text: str, pattern: str) -> None:
    part = quote(text, safe="")
    if part.strip(".") or "/" not in pattern:  # clients resolve dots themselves
        bearable(world.http.get(PIPELINES + pattern.replace("{}", part)))


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "fields",
                "service",
                "pipelineType",
                "agentType",
                "limit",
                "before",
                "after",
                "include",
                "sortField",
                "sortOrder",
                "provider",
            ]
        ),
        st.one_of(TEXTS, st.integers().map(str), st.sampled_from(["displayName", "*", "all", "desc"])),
        max_size=4,
    )
)
def test_any_question(world: World, params: dict[str, str]) -> None:
    bearable(world.http.get(PIPELINES, params=params))
    bearable(world.http.get("/api/v1/minisched/runs", params=params))
