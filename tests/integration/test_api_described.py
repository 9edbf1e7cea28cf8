"""The API does what it says of itself: it is asked what its description at /schema allows, and what it does not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import BaseModel
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from minisched.api.examples import EXAMPLES
from minisched.api.openapi import ANSWERS
from minisched.domain.pipeline import Document
from minisched.serving import bind, serving_in_background
from tests.api_worlds import OWNER_ID, PIPELINES, a_create_request, a_world
from tests.contract.ingestion_pipelines import a_status
from tests.credentials import ADMIN, ADMIN_HEADERS

# 5,000 requests and more with MINISCHED_LONG=1, some hundreds without.
REQUESTS = 100 if os.environ.get("MINISCHED_LONG") else 6

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@dataclass
class Described:
    """A served API, its description, and things that exist in it."""

    url: str
    document: Document
    schema: Any
    known: dict[str, str]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    with a_world(tmp_path_factory.mktemp("api")) as world, closing(bind("127.0.0.1", 0)) as listener:
        world.stopping.set()  # streams end at once
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            serving_in_background(world.app, listener, stopping=world.stopping),
            httpx.Client(base_url=url, trust_env=False, auth=ADMIN) as http,
        ):
            document = http.get("/schema/openapi.json").json()
            yield Described(url, document, schemathesis.openapi.from_dict(document), _planted(http))


def _planted(http: httpx.Client) -> dict[str, str]:
    """Values for path parameters behind which there is something."""
    pipeline = http.post(PIPELINES, json=a_create_request(name="known", enableStreamableLogs=True)).json()
    assert http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
    run_id = http.post(f"{PIPELINES}/trigger/{pipeline['id']}").json()["runId"]
    reported = str(uuid4())
    http.put(f"{PIPELINES}/mysql.known/pipelineStatus", json=a_status(runId=reported))
    http.post(f"{PIPELINES}/logs/mysql.known/{reported}", json="a line\n")
    return {
        "pipeline_id": pipeline["id"],
        "pipeline": "mysql.known",
        "fqn": "mysql.known",
        "run_id": run_id,
        "version": "0.1",
        "user_id": OWNER_ID,
        "service_type": "databaseService",
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_answer_contradicts_the_description(described: Described, mode: GenerationMode) -> None:
    asked: dict[str, int] = {}
    with httpx.Client(base_url=described.url, trust_env=False, auth=ADMIN) as http:
        for result in described.schema.get_all_operations():
            operation = result.ok()
            asked[operation.label] = _ask(described, operation, mode)
        assert http.get("/health/live").status_code == 200
    print(sum(asked.values()), "requests")
    assert len(asked) > 45
    # What takes no more than a path that may be anything cannot be asked wrongly.
    assert sum(count > 0 for count in asked.values()) > (45 if mode is GenerationMode.POSITIVE else 25)


def _ask(described: Described, operation: Any, mode: GenerationMode) -> int:
    """How many requests that were."""
    count = 0

    @seed(20260301)
    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.integers(0, 3))
    def ask(case: Any, luck: int) -> None:
        nonlocal count
        count += 1
        # What exists is asked for more often than not, and never deleted.
        if luck and operation.method.upper() != "DELETE":
            for name in case.path_parameters or {}:
                case.path_parameters[name] = described.known.get(name, case.path_parameters[name])
        answer = case.call(base_url=described.url, headers=ADMIN_HEADERS)
        case.validate_response(answer, checks=CHECKS)

    with suppress(Unsatisfiable):
        ask()
    return count


def test_every_operation_is_described_with_examples(described: Described) -> None:
    for path, methods in described.document["paths"].items():
        for method, operation in methods.items():
            texts = [operation["summary"], operation["description"]]
            assert all(texts), (method, path)
            bodies = [*operation.get("requestBody", {}).get("content", {}).values()]
            answers = [
                media for answer in operation["responses"].values() for media in answer.get("content", {}).values()
            ]
            assert all("example" in media and "schema" in media for media in (*bodies, *answers)), (method, path)
            assert any(re.match("2", code) for code in operation["responses"]), (method, path)


@pytest.mark.parametrize("model", ANSWERS)
def test_every_example_is_an_answer(model: type[BaseModel]) -> None:
    model.model_validate(EXAMPLES[model], strict=True)
