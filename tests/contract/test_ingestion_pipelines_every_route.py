"""What holds for every route alike, taken from the description at /schema: how bad input is answered (§3.17)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from tests.api_worlds import PIPELINES
from tests.contract.ingestion_pipelines import Api

LOG_ROUTE = re.compile(r"/logs/{fqn}(/{run_id}(/close)?)?$")


@dataclass(frozen=True)
class Route:
    """One operation; `body` is the schema of what it takes, if it takes something."""

    method: str
    path: str
    body: Document | None
    media_type: str | None

    def at(self, **parameters: str) -> str:
        path = self.path
        for name, value in parameters.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    def to(self, pipeline: Document) -> str:
        """The path of an existing pipeline, of an unknown run."""
        names = {"pipeline": pipeline["fullyQualifiedName"], "fqn": pipeline["fullyQualifiedName"]}
        return self.at(pipeline_id=pipeline["id"], run_id=str(uuid4()), user_id=str(uuid4()), version="9.9", **names)


@pytest.fixture(scope="module")
def routes(api: Api) -> list[Route]:
    return list(_routes(api.http.get("/schema/openapi.json").json()))


def _routes(described: Document) -> Iterator[Route]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), None)
            body = content[media_type]["schema"] if media_type else None
            if path.startswith(PIPELINES):
                yield Route(method.upper(), path, body, media_type)


def said(route: Route, answer: Any, code: int) -> str:
    assert answer.status_code == code, (route, answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body.keys() <= {"code", "message", "errorType"}, route
    assert LOG_ROUTE.search(route.path) or body["code"] == code, (route, body)
    return str(body["message"])


def sent(api: Api, route: Route, path: str, content: bytes = b"") -> Any:
    headers = {"Content-Type": route.media_type} if route.media_type else {}
    return api.http.request(route.method, path, content=content, headers=headers)


def a_body(route: Route) -> bytes:
    """Something that passes for the body, so that only the path is wrong."""
    examples: dict[str, Any] = {
        "followers": str(uuid4()),
        "pipelineStatus": {"runId": str(uuid4()), "pipelineState": "running"},
        "/logs/": "a line\n",
        "/progress/": {"runId": "x", "timestamp": 1, "updateType": "ERROR"},
        "/metrics/": {"runId": "x", "stepName": "s", "metrics": []},
    }
    body: Any = next((body for part, body in examples.items() if part in route.path), [])
    return json.dumps(body).encode() if route.body and "trigger" not in route.path else b""


def test_every_route_is_there(routes: list[Route]) -> None:
    """The 39 of OpenMetadata, and the question for the progress of a run that its Python client has."""
    assert len(routes) == 40


@pytest.mark.parametrize("key", ["00000000-0000-4000-8000-000000000000", "not-a-uuid", "..%2F..%2Fx", "a%25b%20%E5"])
def test_a_pipeline_of_nowhere_is_not_found(api: Api, routes: list[Route], key: str) -> None:
    asked = [route for route in routes if re.search(r"{(pipeline_id|pipeline|fqn)}", route.path)]
    assert len(asked) > 30
    for route in asked:
        values = dict.fromkeys(("pipeline_id", "pipeline", "fqn"), key)
        path = route.at(
            run_id=str(uuid4()), user_id=str(uuid4()), version="0.1", service_type="mlmodelService", **values
        )
        assert "not found" in said(route, sent(api, route, path, a_body(route)), 404)


@pytest.mark.parametrize("run_id", ["7", "not-a-uuid", "..%2F..%2Fx"])
def test_the_id_of_a_run_is_a_uuid(api: Api, routes: list[Route], run_id: str) -> None:
    pipeline = api.created()
    # Whatever an orchestrator calls its runs may be followed, and whatever was reported may be forgotten.
    others = ("/logs/{pipeline}/stream/{run_id}", "/{pipeline}/pipelineStatus/{run_id}")
    asked = [route for route in routes if "{run_id}" in route.path and not route.path.endswith(others)]
    assert len(asked) >= 7
    for route in asked:
        path = route.at(fqn=pipeline["fullyQualifiedName"], pipeline=pipeline["fullyQualifiedName"], run_id=run_id)
        assert "not found" in said(route, sent(api, route, path, a_body(route)), 404)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"nonsense", b'{"a": NaN', b"[" * 50_000])
def test_malformed_json_is_refused(api: Api, routes: list[Route], content: bytes) -> None:
    pipeline = api.deployed()
    asked = [route for route in routes if route.body]
    assert len(asked) == 13
    for route in asked:
        assert "JSON" in said(route, sent(api, route, route.to(pipeline), content), 400)


@pytest.mark.parametrize("content", [b"7", b"true", b"null", b'{"canary": "canary"}', b'[{"canary": "canary"}]'])
def test_the_wrong_type_is_refused_without_its_value(api: Api, routes: list[Route], content: bytes) -> None:
    pipeline = api.deployed()
    for route in routes:
        if route.body:
            message = said(route, sent(api, route, route.to(pipeline), content), 400)
            assert '"canary"' not in message
            assert "canary: canary" not in message


def test_an_unknown_property_is_named(api: Api, routes: list[Route]) -> None:
    pipeline = api.deployed()
    objects = [route for route in routes if route.body and "properties" in _object(route.body)]
    assert len(objects) >= 9
    for route in objects:
        message = said(route, sent(api, route, route.to(pipeline), b'{"no_such_property": "secret-value"}'), 400)
        assert "no_such_property: Unrecognized field" in message, route
        assert "secret-value" not in message


def _object(schema: Document) -> Document:
    """The schema, or that of its alternative that is an object."""
    return next((option for option in schema.get("anyOf", []) if "properties" in option), schema)


def test_other_methods_are_refused(api: Api, routes: list[Route]) -> None:
    allowed: dict[str, set[str]] = {}
    for route in routes:
        allowed.setdefault(route.path, set()).add(route.method)
    pipeline = api.created()
    for path, methods in allowed.items():
        route = Route("DELETE", path, None, None)
        if "DELETE" not in methods and not path.endswith(("/run", "/ip", "/status", "/restore")):
            answer = api.http.request("DELETE", route.to(pipeline).replace("{service_type}", "x"))
            said(route, answer, 405)
            assert methods <= set(answer.headers["Allow"].split(", "))
