"""Who is let in, who may do what, and what is written down of it, route by route."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from litestar.routes import HTTPRoute

from minisched.api.airflow_plugin import AirflowPlugin, airflow_plugin_routers
from minisched.cli.credentials import basic, bearer
from minisched.domain.access import ACCESS, ANYBODY, BY_ITSELF, PEOPLE, Permission, Principal, Role
from minisched.operations.accounts import Accounts
from minisched.sandbox.routes import sandbox_routes
from minisched.serving import bind, serving_in_background
from minisched.store.accounts import SqlAccountStore
from minisched.store.documents import open_document_store
from tests.api_worlds import OWNER_ID, PIPELINES, World, a_create_request, a_world, in_process
from tests.contract.ingestion_pipelines import JSON_PATCH, a_status, refused
from tests.credentials import ADMIN_HEADERS, ADMIN_PASSWORD, RUN_TOKEN

AUDIT = "/api/v1/minisched/audit"
RUNS = "/api/v1/minisched/runs"
PASSWORDS = {Role.VIEWER: "v1ewer of tests", Role.OPERATOR: "0perator öf:tests", Role.ADMIN: ADMIN_PASSWORD}
HEADERS = {role: {"Authorization": basic(str(role), PASSWORDS[role])} for role in PEOPLE}
HEADERS[Role.BOT] = {"Authorization": bearer(RUN_TOKEN)}


class Asked(NamedTuple):
    """A route of the application, as it can be asked."""

    method: str
    path: str
    handler: str
    needs: Permission | str | None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """With a user of each role, with the sandbox and the dialect beside the API, and with streams that end at once."""
    directory = tmp_path_factory.mktemp("api")
    with in_process(directory) as world:
        world.stopping.set()
        for role in (Role.VIEWER, Role.OPERATOR):
            accounts(world).add(str(role), role, PASSWORDS[role])
        assert world.stores.box is not None
        documents = open_document_store(directory / "sandbox.db", world.stores.box)
        plugin = AirflowPlugin(client=world.client, username="om", password="pw", audit_trail=world.trail)
        routes = sandbox_routes(documents, server_version=lambda: "2.0.7", base_url="http://127.0.0.1:8580/api")
        for router in (*routes, *airflow_plugin_routers(plugin)):
            world.app.register(router)
        yield world
        documents.close()


@pytest.fixture(autouse=True)
def _forgiven(world: World) -> None:
    """What other tests have guessed is forgotten."""
    world.elapsed.s += 60


def accounts(world: World) -> Accounts:
    assert world.stores.database is not None
    return Accounts(SqlAccountStore(world.stores.database), world.stores.clock)


def ask(world: World, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
    """Without the credentials that the world's client usually shows."""
    usual = world.http.headers.pop("authorization")
    try:
        return world.http.request(method, path, headers=headers, **options)
    finally:
        world.http.headers["authorization"] = usual


def routes_of(world: World) -> list[Asked]:
    """Every method of every route, parameters filled in; only what the framework adds by itself is left out."""
    known = {"path": "x", "version": "0.1", "user_id": OWNER_ID, "service_type": "databaseService", "fqn": "a.b"}
    found = []
    for route in world.app.routes:
        assert isinstance(route, HTTPRoute)
        parts = [
            part if isinstance(part, str) else known.get(part.name, str(uuid4())) for part in route.path_components
        ]
        path = "/" + "/".join(parts)
        for method, (handler, _) in route.route_handler_map.items():
            if method == "OPTIONS":
                continue
            needs = handler.opt.get(ACCESS)
            if isinstance(needs, dict):
                needs = needs.get(method)
            found.append(Asked(str(method), path, handler.handler_name.rpartition(".")[2], needs))
    return found


# --- every route ------------------------------------------------------------------------------------------------------


def test_every_route_says_what_it_needs(world: World) -> None:
    routes = routes_of(world)
    silent = [asked for asked in routes if not isinstance(asked.needs, Permission | str)]
    assert silent == []
    assert len(routes) > 90


def test_every_stream_asks_again_whether_its_reader_is_let_in(world: World) -> None:
    handlers = {
        handler.handler_name.rpartition(".")[2]: handler
        for route in world.app.routes
        if isinstance(route, HTTPRoute)
        for handler, _ in route.route_handler_map.values()
        if str(handler.media_type) == "text/event-stream"
    }
    assert len(handlers) == 4
    assert [
        name for name, handler in handlers.items() if "admission" not in handler.parsed_fn_signature.parameters
    ] == []


def test_a_run_is_told_nothing_that_its_line_does_not_know(tmp_path: Path) -> None:
    """Its client refuses the whole entity for one field of a later line, and then cannot report."""
    with in_process(tmp_path, line_of_runs=lambda: (1, 6)) as world:
        made = world.http.post(PIPELINES, json=a_create_request()).json()
        path = f"{PIPELINES}/name/{made['fullyQualifiedName']}"
        told = ask(world, "GET", path, {"Authorization": bearer(RUN_TOKEN)}).json()
        whole = world.http.get(path).json()
    left_out = set(whole["sourceConfig"]["config"]) - set(told["sourceConfig"]["config"])
    assert {"markDeletedSchemas", "markDeletedDatabases"} <= left_out
    assert set(whole) - set(told) == {"raiseOnError", "enableStreamableLogs"}


def test_only_liveness_and_the_health_of_the_dialect_are_open(world: World) -> None:
    dialect = ("/pluginsv2/api/v2/openmetadata", "/api/v2/openmetadata", "/api/v1/openmetadata")
    for prefix in dialect:
        answer = ask(world, "GET", f"{prefix}/health")
        assert answer.status_code in (200, 400), answer.text
    let_in = []
    for asked in routes_of(world):
        answer = ask(world, asked.method, asked.path)
        if answer.status_code != 401:
            let_in.append((asked.method, asked.path))
        elif asked.needs != BY_ITSELF:
            # Routes of streamed logs leave the code out (contract §3.17).
            assert {"code": 401, **answer.json()} == {"code": 401, "message": "Not authorized! Token not present"}
            assert answer.headers["www-authenticate"] == "om-auth"
    assert let_in == [("GET", "/health/live")]


def test_each_role_may_ask_for_what_its_permissions_name_and_for_nothing_else(world: World) -> None:
    contradictions, allowed = [], 0
    for asked in routes_of(world):
        if asked.needs in (ANYBODY, BY_ITSELF):
            continue
        for role, headers in HEADERS.items():
            answer = ask(world, asked.method, asked.path, headers, content=b"" if asked.method != "GET" else None)
            may = Principal("x", role, "").may(Permission(str(asked.needs)))
            allowed += may
            if (answer.status_code == 403) == may or answer.status_code in (401, 429) or answer.status_code >= 500:
                contradictions.append((role, *asked, answer.status_code, answer.text[:200]))
            if answer.status_code == 403:
                assert "not allowed" in answer.json()["message"]
    assert contradictions == []
    assert allowed > 150


def test_what_each_permission_is_good_for_is_what_was_decided(world: World) -> None:
    """So that a route which is given the wrong permission is noticed, and not only one that has none."""
    found: dict[str, set[str]] = {}
    for asked in routes_of(world):
        if asked.method != "GET" and asked.needs != BY_ITSELF:
            found.setdefault(str(asked.needs), set()).add(asked.handler)
    assert found == {
        "operate": {
            "trigger_pipeline", "run_for_entity", "toggle_ingestion", "kill_ingestion", "stop_run", "backfill",
            "add_follower", "remove_follower",
            "trigger_deployment", "enable_deployment", "disable_deployment", "kill_deployment",
        },
        "report": {"sandbox", "put_status", "post_logs", "close_logs", "put_progress", "post_metrics"},
        "declare": {"put_pipeline"},
        "change": {
            "create_pipeline", "patch_pipeline", "patch_pipeline_by_name", "deploy_pipeline", "deploy_pipelines",
            "delete_pipeline", "delete_pipeline_by_name", "delete_pipeline_async", "restore_pipeline",
            "delete_statuses", "delete_status", "take_over", "delete_deployment", "move_pipeline",
        },
    }  # fmt: skip
    unusual = {asked.handler for asked in routes_of(world) if asked.method == "GET" and asked.needs != Permission.READ}
    assert unusual == {"live", "list_audit", "answer", "answer_of_runtime"}


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (basic("admin", "wrong"), "user name or the password"),
        (basic("nobody", ADMIN_PASSWORD), "user name or the password"),
        (basic("ADMIN", ADMIN_PASSWORD), "user name or the password"),
        ("Basic ", "not a user name and a password"),
        ("Basic !!", "not a user name and a password"),
        ("Basic " + base64.b64encode(b"admin").decode(), "not a user name and a password"),
        ("Basic " + base64.b64encode(b"\xff:\xfe").decode(), "not a user name and a password"),
        ("Bearer ", "Token not present"),
        ("Bearer x", "Invalid token"),
        ("Bearer minisched_x", "revoked"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "Invalid token"),
        (f"Token {RUN_TOKEN}", "Basic authentication or a Bearer token"),
        ("x", "Basic authentication or a Bearer token"),
    ],
)
def test_what_is_no_credential_is_401_and_never_repeated(world: World, authorization: str, words: str) -> None:
    answer = ask(world, "GET", RUNS, {"Authorization": authorization})
    message = refused(answer, 401, words)
    assert ADMIN_PASSWORD not in message


def test_a_browser_that_opens_a_page_may_ask_for_the_password_and_a_script_may_not(world: World) -> None:
    opened = ask(world, "GET", "/schema", {"Sec-Fetch-Mode": "navigate"})
    assert opened.headers["www-authenticate"].startswith("Basic realm=")
    fetched = ask(world, "GET", "/schema", {"Sec-Fetch-Mode": "cors"})
    assert fetched.headers["www-authenticate"] == "om-auth"


def test_a_token_may_what_its_scope_says_and_no_more_than_its_user(world: World) -> None:
    made = accounts(world)
    made.add("tina", Role.ADMIN, "t1na of tests")
    reading = made.add_token("reading", user="tina", role=Role.VIEWER, valid_for=None).text
    all_of_it = made.add_token("all", user="tina", role=Role.ADMIN, valid_for=None).text
    pipeline = created(world)
    deploy = f"{PIPELINES}/deploy/{pipeline['id']}"
    assert ask(world, "GET", RUNS, {"Authorization": bearer(reading)}).status_code == 200
    refused(ask(world, "POST", deploy, {"Authorization": bearer(reading)}), 403, "tina", "admin", "viewer")
    assert ask(world, "POST", deploy, {"Authorization": bearer(all_of_it)}).json()["code"] == 200
    made.set_role("tina", Role.OPERATOR)
    refused(after_a_second(world, "POST", deploy, bearer(all_of_it)), 403, "Change", "operator")


def after_a_second(world: World, method: str, path: str, authorization: str) -> Any:
    """For so long what was checked is believed."""
    world.elapsed.s += 1
    return ask(world, method, path, {"Authorization": authorization})


def test_a_token_ends_when_it_expires_or_is_revoked(world: World) -> None:
    made = accounts(world)
    short = made.add_token("short", user="viewer", role=Role.VIEWER, valid_for=timedelta(hours=1))
    long = made.add_token("long", user="viewer", role=Role.VIEWER, valid_for=None)
    for token in (short, long):
        assert ask(world, "GET", RUNS, {"Authorization": bearer(token.text)}).status_code == 200
    world.stores.clock.advance(3600)
    refused(after_a_second(world, "GET", RUNS, bearer(short.text)), 401, "Expired token")
    assert after_a_second(world, "GET", RUNS, bearer(long.text)).status_code == 200
    assert made.revoke(long.token.id).name == "long"
    refused(after_a_second(world, "GET", RUNS, bearer(long.text)), 401, "revoked")


def test_a_password_that_was_changed_and_a_user_who_is_gone_are_let_in_no_more(world: World) -> None:
    made = accounts(world)
    made.add("carl", Role.VIEWER, "carl of tests")
    old = basic("carl", "carl of tests")
    assert ask(world, "GET", RUNS, {"Authorization": old}).status_code == 200
    made.set_password("carl", "another one")
    refused(after_a_second(world, "GET", RUNS, old), 401)
    new = basic("carl", "another one")
    assert ask(world, "GET", RUNS, {"Authorization": new}).status_code == 200
    made.remove("carl")
    refused(after_a_second(world, "GET", RUNS, new), 401)


def test_guesses_are_slowed_down_and_whoever_is_known_or_has_a_token_is_not(world: World) -> None:
    token = accounts(world).add_token(f"new {uuid4()}", user="viewer", role=Role.VIEWER, valid_for=None).text
    accounts(world).add("nina", Role.VIEWER, "n1na of tests")
    nina = {"Authorization": basic("nina", "n1na of tests")}
    assert ask(world, "GET", RUNS, HEADERS[Role.VIEWER]).status_code == 200
    guesses = [{"Authorization": basic("admin", f"guess {number}")} for number in range(31)]
    assert [ask(world, "GET", RUNS, guess).status_code for guess in guesses] == [401] * 30 + [429]
    answer = ask(world, "GET", RUNS, nina)  # right, and seen for the first time
    refused(answer, 429, "try again in 60 s")
    assert answer.headers["retry-after"] == "60"
    world.elapsed.s += 1
    assert ask(world, "GET", RUNS, HEADERS[Role.VIEWER]).status_code == 200
    assert ask(world, "GET", RUNS, {"Authorization": bearer(token)}).status_code == 200
    assert ask(world, "GET", RUNS).status_code == 401  # no credentials, no guess
    world.elapsed.s += 60
    assert ask(world, "GET", RUNS, nina).status_code == 200


def test_a_header_without_end_is_not_read(world: World) -> None:
    refused(ask(world, "GET", RUNS, {"Authorization": "Bearer " + "x" * 20_000}), 431, "too long")


def test_how_a_path_is_spelled_opens_nothing(world: World) -> None:
    """CVE-2024-28255: an open path in the middle of another one (pitfall L1)."""
    for path in (
        "/health/live/../../schema", "/api/v1/minisched/runs;/health/live", "/api/v1/minisched/runs/%2fhealth%2flive",
        f"{PIPELINES}/health/live", f"{PIPELINES}/name/%2Fhealth%2Flive", "/api/v1/openmetadata/health/../status",
        "/api/v1/openmetadata/status?x=/health", "/api/v1/health/live", "//api/v1/minisched/runs",
    ):  # fmt: skip
        assert ask(world, "GET", path).status_code in (401, 404), path


# --- permissions within a route ---------------------------------------------------------------------------------------


def created(world: World) -> dict[str, Any]:
    answer = world.http.post(PIPELINES, json=a_create_request())
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def deployed(world: World) -> dict[str, Any]:
    pipeline = created(world)
    assert world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
    return pipeline


def test_an_operator_runs_what_is_deployed_and_not_something_else_in_its_name(world: World) -> None:
    pipeline = deployed(world)
    trigger = f"{PIPELINES}/trigger/{pipeline['id']}"
    assert ask(world, "POST", trigger, HEADERS[Role.OPERATOR]).json()["code"] == 200
    for change in ({"sourceConfigOverride": {"threads": 9}}, {"appConfigOverride": {"x": 1}}):
        refused(ask(world, "POST", trigger, HEADERS[Role.OPERATOR], json=change), 403, "operator")
    changed = {"sourceConfigOverride": {"threads": 9}}
    assert ask(world, "POST", trigger, HEADERS[Role.ADMIN], json=changed).json()["code"] == 200


def test_a_run_declares_pipelines_and_changes_none_that_runs(world: World) -> None:
    """Whoever changes what is deployed deploys it."""
    request = a_create_request()
    assert ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=request).status_code == 201
    changed = {**request, "airflowConfig": {"scheduleInterval": "* * * * *"}}
    assert ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=changed).status_code == 200
    pipeline = world.http.get(f"{PIPELINES}/name/mysql.{request['name']}").json()
    assert world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
    assert ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=changed).status_code == 200  # nothing changes
    refused(ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=request), 403, "deployed")
    assert world.http.get(f"{PIPELINES}/{pipeline['id']}").json()["airflowConfig"]["scheduleInterval"] == "* * * * *"
    world.http.delete(f"{PIPELINES}/{pipeline['id']}")
    refused(ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=changed), 403, "deleted")


def test_the_doer_is_named_in_what_was_done(world: World) -> None:
    pipeline = deployed(world)
    run_id = ask(world, "POST", f"{PIPELINES}/trigger/{pipeline['id']}", HEADERS[Role.OPERATOR]).json()["runId"]
    assert world.http.get(f"{RUNS}/{run_id}").json()["requestedBy"] == "operator"
    assert world.http.get(f"{PIPELINES}/{pipeline['id']}").json()["updatedBy"] == "admin"


def test_a_page_of_another_origin_cannot_use_a_password_that_a_browser_knows(tmp_path: Path) -> None:
    """Also where the server is not on loopback, and a browser would send what it was told once."""
    with in_process(tmp_path, bound_host="0.0.0.0") as world:
        pipeline = created(world)
        path = f"{PIPELINES}/deploy/{pipeline['id']}"
        refused(world.http.post(path, headers={"Origin": "https://evil.example"}), 403, "other origins")
        assert world.http.post(path, headers={"Origin": "http://127.0.0.1:8580"}).json()["code"] == 200


# --- the audit trail --------------------------------------------------------------------------------------------------


def newest(world: World, **params: Any) -> list[tuple[str, str, str]]:
    answer = world.http.get(AUDIT, params={"limit": 10, **params})
    assert answer.status_code == 200, answer.text
    return [(entry["user"], entry["operation"], entry.get("touched", "")) for entry in answer.json()["data"]]


def test_every_kind_of_change_leaves_one_row_that_says_who_and_what(world: World) -> None:
    pipeline = created(world)
    fqn, one = pipeline["fullyQualifiedName"], f"{PIPELINES}/{pipeline['id']}"
    patch = '[{"op": "add", "path": "/description", "value": "x"}]'
    world.http.patch(one, content=patch, headers=JSON_PATCH)
    world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}")
    world.http.post(f"{PIPELINES}/toggleIngestion/{pipeline['id']}")
    run_id = ask(world, "POST", f"{PIPELINES}/trigger/{pipeline['id']}", HEADERS[Role.OPERATOR]).json()["runId"]
    world.http.post(f"{RUNS}/{run_id}/stop", params={"wait_s": 0})
    world.http.delete(one, params={"hardDelete": True})
    assert newest(world, limit=7) == [
        ("admin", "delete_pipeline", fqn),
        ("admin", "stop_run", f"{fqn}, run {run_id}"),
        ("operator", "trigger_pipeline", f"{fqn}, run {run_id}"),
        ("admin", "toggle_ingestion", fqn),
        ("admin", "deploy_pipeline", fqn),
        ("admin", "patch_pipeline", fqn),
        ("admin", "create_pipeline", fqn),
    ]
    whole = world.http.get(AUDIT, params={"user": "operator", "limit": 1}).json()["data"][0]
    assert (whole["role"], whole["via"]) == ("operator", "password")
    assert whole["request"] == f"POST {PIPELINES}/trigger/{pipeline['id']}"


def test_several_pipelines_of_one_request_are_all_named(world: World) -> None:
    pipelines = [created(world) for _ in range(3)]
    world.http.post(f"{PIPELINES}/bulk/deploy", json=[pipeline["id"] for pipeline in pipelines])
    names = [("admin", "deploy_pipelines", pipeline["fullyQualifiedName"]) for pipeline in pipelines]
    assert newest(world, limit=3) == names[::-1]


def test_what_was_refused_or_only_read_leaves_no_row(world: World) -> None:
    pipeline = created(world)
    before = newest(world)
    assert ask(world, "POST", f"{PIPELINES}/deploy/{pipeline['id']}", HEADERS[Role.VIEWER]).status_code == 403
    assert world.http.post(PIPELINES, json={"name": "no pipeline"}).status_code == 400
    assert world.http.post(f"{PIPELINES}/trigger/{pipeline['id']}").status_code == 400  # not deployed
    assert world.http.get(f"{PIPELINES}/{pipeline['id']}").status_code == 200
    assert newest(world) == before


def test_what_one_item_of_many_could_not_do_is_not_told_of_it(world: World) -> None:
    """Names that differ in special characters only have one workflow id: the second is not deployed."""
    stem = uuid4().hex[:8]
    requests = [a_create_request(name=name) for name in (f"{stem}.x", f"{stem} x", stem)]
    first, second, third = (world.http.post(PIPELINES, json=request).json() for request in requests)
    ids = [pipeline["id"] for pipeline in (first, second, third)]
    codes = [answer["code"] for answer in world.http.post(f"{PIPELINES}/bulk/deploy", json=ids).json()]
    assert [code == 200 for code in codes] == [True, False, True]
    names = [third["fullyQualifiedName"], first["fullyQualifiedName"]]
    assert newest(world, limit=2) == [("admin", "deploy_pipelines", name) for name in names]
    before = newest(world)
    (refusal,) = world.http.post(f"{PIPELINES}/bulk/deploy", json=ids[1:2]).json()
    assert refusal["code"] != 200
    assert newest(world) == before


def test_a_repeated_key_names_no_run_that_never_was(world: World) -> None:
    pipeline = deployed(world)
    path, key = f"{PIPELINES}/trigger/{pipeline['id']}", {"Idempotency-Key": uuid4().hex}
    run_id = world.http.post(path, headers=key).json()["runId"]
    assert world.http.post(path, headers=key).json()["runId"] == run_id
    touched = [touched for _, _, touched in newest(world, limit=2)]
    assert touched == ["", f"{pipeline['fullyQualifiedName']}, run {run_id}"]


def test_a_deletion_in_the_background_is_told_when_it_is_done(world: World) -> None:
    pipeline = deployed(world)
    assert world.http.delete(f"{PIPELINES}/async/{pipeline['id']}", params={"hardDelete": True}).status_code == 202
    assert newest(world, limit=2) == [
        ("admin", "delete_pipeline_async", pipeline["fullyQualifiedName"]),
        ("admin", "deploy_pipeline", pipeline["fullyQualifiedName"]),
    ]


def test_what_changed_nothing_here_is_written_down_all_the_same(world: World) -> None:
    pipeline = deployed(world)
    world.http.post(f"{PIPELINES}/deploy/{pipeline['id']}")
    again = newest(world, limit=1)
    assert again == [("admin", "deploy_pipeline", pipeline["fullyQualifiedName"])]


def test_what_runs_report_is_no_change_and_what_they_declare_is(world: World) -> None:
    pipeline = created(world)
    before = newest(world)
    path = f"{PIPELINES}/{pipeline['fullyQualifiedName']}/pipelineStatus"
    assert ask(world, "PUT", path, HEADERS[Role.BOT], json=a_status()).status_code == 201
    assert newest(world) == before
    declared = ask(world, "PUT", PIPELINES, HEADERS[Role.BOT], json=a_create_request())
    assert declared.status_code == 201
    expected = ("ingestion-bot", "put_pipeline", declared.json()["fullyQualifiedName"])
    assert newest(world, limit=1) == [expected]


def test_a_request_that_was_refused_does_not_lend_its_name_to_the_next_of_the_connection(tmp_path: Path) -> None:
    refused_one = _raw("POST", PIPELINES, ADMIN_HEADERS, b"{}")
    with a_world(tmp_path) as world, bind("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            serving_in_background(world.app, listener, stopping=world.stopping),
            httpx.Client(base_url=url, trust_env=False, headers=ADMIN_HEADERS) as http,
        ):
            read = _raw("GET", RUNS, {**ADMIN_HEADERS, "Connection": "close"}, b"")
            with socket.create_connection(listener.getsockname()) as connection:
                connection.sendall(refused_one + read)
                answers = b"".join(iter(lambda: connection.recv(65536), b""))
            told = http.get(AUDIT).json()["data"]
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200"]
    assert told == []


def _raw(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    head = {**headers, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def test_what_an_openmetadata_server_does_through_the_dialect_is_written_down(world: World) -> None:
    pipeline = deployed(world)
    headers = {"Authorization": basic("om", "pw")}
    answer = ask(world, "POST", "/api/v1/openmetadata/trigger", headers, json={"dag_id": pipeline["name"]})
    assert answer.status_code == 200, answer.text
    ((user, operation, touched),) = newest(world, limit=1)
    assert (user, operation) == ("om", "trigger")
    assert touched.startswith(pipeline["fullyQualifiedName"])
    entry = world.http.get(AUDIT, params={"limit": 1}).json()["data"][0]
    assert entry["via"] == "airflow_plugin"


def test_pages_of_the_trail_follow_each_other(world: World) -> None:
    for _ in range(4):
        created(world)
    whole = world.http.get(AUDIT, params={"limit": 4}).json()["data"]
    first = world.http.get(AUDIT, params={"limit": 2}).json()
    second = world.http.get(AUDIT, params={"limit": 2, "before": first["paging"]["next"]}).json()
    assert first["data"] + second["data"] == whole


def test_the_description_tells_how_to_be_let_in(world: World) -> None:
    document = world.http.get("/schema/openapi.json", headers=ADMIN_HEADERS).json()
    assert {scheme["scheme"] for scheme in document["components"]["securitySchemes"].values()} == {"basic", "bearer"}
    assert document["security"] == [{"basic": []}, {"bearer": []}]
    assert document["paths"]["/health/live"]["get"]["security"] == []
    assert "401" in document["paths"][PIPELINES]["get"]["responses"]
