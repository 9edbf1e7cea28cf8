"""What every request meets: names of the server, origins, limits, headers, health, the description of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute
from structlog.testing import capture_logs

from minisched.api.edge import is_loopback
from minisched.ports import RuntimeStatus
from tests.api_worlds import PIPELINES, World, a_create_request, in_process
from tests.contract.ingestion_pipelines import refused


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("api")
    with in_process(directory, max_body_bytes=20_000, public_url="https://minisched.example/") as world:
        yield world


# --- names and origins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8580", "127.0.0.1", "127.0.0.1:1", "[::1]:8580", "minisched.example"]
)
def test_the_server_answers_to_its_own_names(world: World, host: str) -> None:
    assert world.http.get("/health/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1"]
)
@pytest.mark.parametrize("path", ["/health/live", PIPELINES, "/schema", "/nothing"])
def test_a_name_that_was_bound_to_the_loopback_address_is_refused(world: World, host: str, path: str) -> None:
    refused(world.http.get(path, headers={"Host": host}), 403, "Host header")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:3000", "https://127.0.0.1:8580.evil.example", "http://["],
)
def test_a_page_of_another_origin_changes_nothing(world: World, origin: str) -> None:
    answer = world.http.post(PIPELINES, json=a_create_request(), headers={"Origin": origin})
    refused(answer, 403, "origins")
    assert world.http.get(PIPELINES, headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8580", "https://minisched.example"])
def test_a_page_of_this_server_may_change_things(world: World, origin: str) -> None:
    assert world.http.post(PIPELINES, json=a_create_request(), headers={"Origin": origin}).status_code == 201


def test_names_are_not_checked_where_everybody_may_come(tmp_path: Path) -> None:
    with in_process(tmp_path, bound_host="192.0.2.7") as world:
        assert world.http.get("/health/live", headers={"Host": "scheduler.example"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("host.example", False),
        ("192.0.2.1", False),
    ],
)
def test_what_only_this_machine_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_addresses_are_those_by_which_the_server_is_known(world: World) -> None:
    made = world.http.post(PIPELINES, json=a_create_request()).json()
    assert made["href"] == f"https://minisched.example{PIPELINES}/{made['id']}"


# --- limits and headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_too_large_a_body_is_refused(world: World, method: str) -> None:
    request = a_create_request(description="x" * 20_000)
    refused(world.http.request(method, PIPELINES, json=request), 413, "too large")

    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    refused(world.http.request(method, PIPELINES, content=chunks()), 413, "too large")


def test_too_large_a_body_is_refused_by_every_route(world: World) -> None:
    described = world.http.get("/schema/openapi.json").json()["paths"]
    taking = [
        (method, path) for path, methods in described.items() for method in methods if "requestBody" in methods[method]
    ]
    assert len(taking) > 12
    for method, path in taking:
        answer = world.http.request(method.upper(), path, content=b'"' + b"x" * 20_000 + b'"')
        assert answer.status_code == 413, (method, path)
        assert "too large" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/health/live", PIPELINES, f"{PIPELINES}/nothing", "/nothing", "/schema"])
def test_no_answer_is_cached_or_guessed_at(world: World, path: str) -> None:
    headers = world.http.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_requests_are_logged_without_their_questions(world: World) -> None:
    with capture_logs() as logs:
        world.http.get(f"{PIPELINES}?service=s3cret")
    (entry,) = [entry for entry in logs if entry["event"] == "http.request"]
    assert entry["log_level"] == "debug"
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", PIPELINES, 200)
    assert "s3cret" not in str(entry)


def test_the_body_is_json_whatever_it_says_it_is(world: World) -> None:
    content = json.dumps(a_create_request()).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": content_type}
        request = json.loads(content) | {"name": f"sent_as_{content_type.replace('/', '_')}"}
        answer = world.http.post(PIPELINES, content=json.dumps(request).encode(), headers=headers)
        assert answer.status_code == 201, answer.text


# --- health -----------------------------------------------------------------------------------------------------------


def test_a_healthy_server_is_alive_and_ready(world: World) -> None:
    assert world.http.get("/health/live").json() == {"status": "alive"}
    ready = world.http.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "runtimes": {"main": "ready"}})


def test_what_is_missing_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(world.problems, "store", "The database does not answer.")
    failed = [RuntimeStatus("main", "failed", problem="metadata cannot be imported")]
    monkeypatch.setattr(world.runtimes, "known", failed)
    answer = world.http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == [
        "store: The database does not answer.",
        "runtime main: metadata cannot be imported",
    ]
    assert world.http.get("/health/live").status_code == 200


@pytest.mark.parametrize("states", [[], ["starting"], ["stopped"], ["failed", "ready"]])
def test_one_usable_runtime_is_enough_and_none_is_no_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, states: list[str]
) -> None:
    runtimes = [RuntimeStatus(f"r{i}", state) for i, state in enumerate(states)]
    monkeypatch.setattr(world.runtimes, "known", runtimes)
    assert world.http.get("/health/ready").status_code == 200


def test_who_holds_memory_limits_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes = [
        RuntimeStatus("main", "ready", memory_limits="cgroup"),
        RuntimeStatus("old", "ready", memory_limits="watching", watched_because="the kernel has no cgroup v2"),
        RuntimeStatus("asleep", "stopped"),
    ]
    monkeypatch.setattr(world.runtimes, "known", runtimes)
    assert world.http.get("/health/ready").json()["memoryLimits"] == {"main": "cgroup", "old": "watching"}
    main, old, asleep = world.http.get("/api/v1/minisched/runtimes").json()["data"]
    assert (main["memoryLimits"], "watchedBecause" in main) == ("cgroup", False)
    assert (old["memoryLimits"], old["watchedBecause"]) == ("watching", "the kernel has no cgroup v2")
    assert "memoryLimits" not in asleep


# --- the description of the API ---------------------------------------------------------------------------------------


def test_every_route_is_described(world: World) -> None:
    described = world.http.get("/schema").json()
    assert described["openapi"].startswith("3.")
    for route in world.app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema"):
            operations = described["paths"][route.path_format]
            for method in route.methods - {"OPTIONS"}:
                operation = operations[method.lower()]
                assert operation["summary"]
                assert operation["description"]


@pytest.mark.parametrize(
    ("path", "method", "required"),
    [
        ("", "post", {"name", "pipelineType", "sourceConfig", "airflowConfig", "service"}),
        ("", "put", {"name", "pipelineType", "sourceConfig", "airflowConfig", "service"}),
        ("/{pipeline}/pipelineStatus", "put", {"runId", "pipelineState"}),
        ("/restore", "put", {"id"}),
    ],
)
def test_bodies_are_described(world: World, path: str, method: str, required: set[str]) -> None:
    described = world.http.get("/schema").json()
    body = described["paths"][PIPELINES + path][method]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert set(schema["required"]) == required
    assert schema["additionalProperties"] is False
    assert "$defs" not in json.dumps(schema)


def test_a_raw_request_without_a_host_is_refused(world: World) -> None:
    """What is left of HTTP/1.0."""
    scope_headers = [(b"accept", b"*/*")]
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health/live",
        "raw_path": b"/health/live",
        "query_string": b"",
        "headers": scope_headers,
        "scheme": "http",
        "server": ("127.0.0.1", 8580),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }

    async def ask() -> None:
        await world.app(scope, receive, send)  # type: ignore[arg-type]

    with world.http.portal() as portal:
        portal.call(ask)
    assert sent[0]["status"] == 403
