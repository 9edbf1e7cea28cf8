"""Commands on pipelines and runs: what they ask of the server, and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation

ID = "9e555cea-6a5a-4fe5-a9ad-4ff65efc8289"
RUN_ID = "0f5f4c1e-3a0b-4d5e-9d59-4d1a44a9f111"
PIPELINES = "/api/v1/services/ingestionPipelines"
RUNS = "/api/v1/minisched/runs"
QUEUE = "/api/v1/minisched/queue"


def _entity(name: str = "daily", service: str = "mysql", **changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "name": name,
        "fullyQualifiedName": f"{service}.{name}",
        "pipelineType": "metadata",
        "service": {"id": ID, "type": "databaseService", "fullyQualifiedName": service},
        "airflowConfig": {"scheduleInterval": "0 * * * *"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "enabled": True,
        "deployed": True,
        **changes,
    }


def _run(**changes: Any) -> dict[str, Any]:
    return {
        "id": RUN_ID,
        "pipelineFqn": "mysql.daily",
        "state": "success",
        "kind": "manual",
        "startedAt": 1_000,
        "endedAt": 3_500,
        "steps": [{"name": "Mysql", "records": 12, "errors": 0}],
        **changes,
    }


class FakeServer:
    """Answers by method and path; an answer is (status, body), and requests are kept."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.bodies: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        self.asked.append(f"{request.method} {path}")
        self.bodies.append(json.loads(request.content) if request.content else None)
        answer = self.answers.get(f"{request.method} {path}", (404, {"code": 404, "message": f"{path} not found"}))
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(body, bytes):
            return httpx.Response(status, content=body)
        return httpx.Response(status, json=body)


def _call(server: FakeServer, *arguments: str, stdin: str | None = None) -> Result:
    invocation = Invocation(transport=httpx.MockTransport(server), environ={"OWNER": "me"})
    return CliRunner().invoke(command_line, ["--url", "http://127.0.0.1:8580", *arguments], obj=invocation, input=stdin)


def test_a_user_without_a_password_does_not_become_the_admin() -> None:
    invocation = Invocation(transport=httpx.MockTransport(FakeServer({})), environ={"MINISCHED_USER": "ann"})
    result = CliRunner().invoke(command_line, ["--url", "http://127.0.0.1:8580", "pipeline", "list"], obj=invocation)
    assert result.exit_code == ExitCode.USAGE
    assert "MINISCHED_PASSWORD: there is no password for ann." in result.output


def _listing(*entities: dict[str, Any]) -> dict[str, Any]:
    return {"data": list(entities), "paging": {"total": len(entities)}}


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        (ID, {f"GET {PIPELINES}/{ID}": _entity()}),
        ("mysql.daily", {f"GET {PIPELINES}/name/mysql.daily": _entity()}),
        ('mysql."a.b"', {f'GET {PIPELINES}/name/mysql."a.b"': _entity()}),
        ("daily", {f"GET {PIPELINES}": _listing(_entity("hourly"), _entity())}),
        ("v1.2", {f"GET {PIPELINES}": _listing(_entity("v1.2"))}),
        (ID, {f"GET {PIPELINES}": _listing(_entity(ID))}),
    ],
)
def test_a_pipeline_is_found_by_id_fqn_or_name(name: str, answers: dict[str, Any]) -> None:
    server = FakeServer(answers | {f"POST {PIPELINES}/deploy/{ID}": {"code": 200, "platform": "local"}})
    result = _call(server, "pipeline", "deploy", name)
    assert result.exit_code == ExitCode.OK, result.output
    assert server.asked[-1] == f"POST {PIPELINES}/deploy/{ID}"


def test_a_name_that_two_pipelines_have_is_not_guessed() -> None:
    server = FakeServer({f"GET {PIPELINES}": _listing(_entity(), _entity(service="postgres"))})
    result = _call(server, "pipeline", "delete", "daily")
    assert result.exit_code == ExitCode.FAILED
    assert "mysql.daily, postgres.daily" in result.output
    assert not [asked for asked in server.asked if asked.startswith("DELETE")]


def test_an_unknown_name_ends_in_3_with_the_nearest_ones() -> None:
    result = _call(FakeServer({f"GET {PIPELINES}": _listing(_entity())}), "pipeline", "show", "dayly")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "Did you mean daily?" in result.output


def test_a_long_list_is_read_page_by_page() -> None:
    pages = {
        "": {"data": [_entity("a")], "paging": {"after": "cursor", "total": 2}},
        "cursor": {"data": [_entity("b")], "paging": {"total": 2}},
    }
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, json=pages[request.url.params.get("after", "")])
    )
    result = CliRunner().invoke(
        command_line,
        ["--url", "http://127.0.0.1:8580", "pipeline", "list", "--json"],
        obj=Invocation(transport=transport),
    )
    assert [entity["name"] for entity in json.loads(result.output)] == ["a", "b"]


@pytest.mark.parametrize(
    "statuses", [[{"pipelineState": "failed", "startDate": 0}], {"pipelineState": "failed", "timestamp": 0}, [], None]
)
def test_a_list_shows_both_shapes_of_statuses(statuses: Any) -> None:
    result = _call(FakeServer({f"GET {PIPELINES}": _listing(_entity(pipelineStatuses=statuses))}), "pipeline", "list")
    assert result.exit_code == ExitCode.OK, result.output
    assert "mysql.daily" in result.output
    assert ("failed" in result.output) is bool(statuses)


@pytest.mark.parametrize(
    "service", ["mysql", {"name": "mysql", "type": "databaseService"}, {"fullyQualifiedName": "mysql"}]
)
def test_a_service_given_by_name_is_looked_up(tmp_path: Path, service: Any) -> None:
    found = {"id": "891b373d-a253-4639-ad54-fc17491a7d5d", "name": "mysql"}
    server = FakeServer(
        {"GET /api/v1/services/databaseServices/name/mysql": found, f"POST {PIPELINES}": (201, _entity())}
    )
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps({"name": "daily", "service": service, "description": "$OWNER"}))
    result = _call(server, "pipeline", "create", str(file))
    assert result.exit_code == ExitCode.OK, result.output
    assert server.bodies[-1] == {
        "name": "daily",
        "service": {"id": found["id"], "type": "databaseService"},
        "description": "me",
    }


def test_a_service_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = _call(FakeServer({}), "pipeline", "create", "-", stdin="{name: x, service: nowhere}")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "service: there is no service nowhere." in result.output


def test_create_can_update_and_deploy_in_one_call() -> None:
    server = FakeServer(
        {
            f"PUT {PIPELINES}": _entity(deployed=False),
            f"POST {PIPELINES}/deploy/{ID}": {"code": 200, "platform": "local"},
            f"GET {PIPELINES}/{ID}": _entity(),
        }
    )
    result = _call(server, "pipeline", "create", "-", "--update", "--deploy", "--json", stdin="name: daily")
    assert json.loads(result.output)["deployed"] is True


def test_a_refusal_of_the_server_is_passed_on() -> None:
    refusal = (400, {"code": 400, "message": "pipelineType: Input should be one of …"})
    result = _call(FakeServer({f"POST {PIPELINES}": refusal}), "pipeline", "create", "-", stdin="name: x")
    assert result.exit_code == ExitCode.FAILED
    assert result.output == "minisched: pipelineType: Input should be one of …\n"


@pytest.mark.parametrize(
    ("verb", "enabled", "toggles"),
    [("enable", True, 0), ("enable", False, 1), ("disable", False, 0), ("disable", True, 1)],
)
def test_enable_and_disable_say_what_they_mean(verb: str, enabled: bool, toggles: int) -> None:
    server = FakeServer(
        {
            f"GET {PIPELINES}/{ID}": _entity(enabled=enabled),
            f"POST {PIPELINES}/toggleIngestion/{ID}": _entity(enabled=not enabled),
        }
    )
    result = _call(server, "pipeline", verb, ID)
    assert f"{verb}d" in result.output
    assert len([asked for asked in server.asked if "toggle" in asked]) == toggles


@pytest.mark.parametrize(("options", "hard"), [([], "false"), (["--hard"], "true")])
def test_delete_is_soft_unless_asked(options: list[str], hard: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.params.get('hardDelete')}")
        return httpx.Response(200, json=_entity())

    result = CliRunner().invoke(
        command_line,
        ["--url", "http://127.0.0.1:8580", "pipeline", "delete", ID, *options],
        obj=Invocation(transport=httpx.MockTransport(answer)),
    )
    assert result.exit_code == ExitCode.OK
    assert asked[-1] == f"DELETE {hard}"


def _followed(state: str) -> FakeServer:
    stream = b"id: 6\ndata: hello\ndata: \n\nevent: end\nid: 6\ndata: {}\n\n"
    failure = {"name": "t", "error": "boom\nTraceback"}
    steps = [{"name": "Mysql", "records": 12, "errors": 1, "failures": [failure]}]
    return FakeServer(
        {
            f"GET {PIPELINES}/{ID}": _entity(),
            f"POST {PIPELINES}/trigger/{ID}": {"code": 200, "platform": "local", "runId": RUN_ID},
            f"GET {RUNS}/{RUN_ID}/log/stream": stream,
            f"GET {RUNS}/{RUN_ID}": _run(state=state, reason="error", message="it says why", steps=steps),
        }
    )


@pytest.mark.parametrize(("state", "code"), [("success", 0), ("partialSuccess", 5), ("failed", 1), ("stopped", 1)])
def test_a_followed_run_shows_log_and_steps_and_ends_as_the_run_does(state: str, code: int) -> None:
    result = _call(_followed(state), "pipeline", "trigger", ID, "--follow")
    assert result.exit_code == code
    assert result.stdout.startswith("hello\n")
    assert result.stderr == f"run {RUN_ID}\n"
    assert all(part in result.output for part in (state, "it says why", "Mysql: t: boom", "2.5 s"))
    assert "Traceback" not in result.output


def test_a_followed_run_as_json_keeps_the_log_out_of_stdout() -> None:
    result = _call(_followed("failed"), "pipeline", "trigger", ID, "--follow", "--json")
    assert json.loads(result.stdout)["state"] == "failed"
    assert "hello\n" in result.stderr


AGAIN = f"minisched pipeline logs {ID} --follow --run {RUN_ID}\n"


def _lost(server: FakeServer, error: type[BaseException]) -> httpx.MockTransport:
    """The server, which answers everything but with the log."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            raise error("gone")
        return server(request)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt, ExitCode.INTERRUPTED, f"run {RUN_ID} goes on"),
        (httpx.ReadError, ExitCode.UNREACHABLE, f"Run {RUN_ID} goes on unless"),
    ],
)
@pytest.mark.parametrize("verb", [("trigger",), ("logs", "--run", RUN_ID)])
def test_who_stops_following_learns_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], code: int, said: str, verb: tuple[str, ...]
) -> None:
    monkeypatch.setattr("minisched.cli.run_log._RECONNECT_S", (0.0,))
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    result = CliRunner().invoke(
        command_line,
        ["--url", "http://127.0.0.1:8580", "pipeline", verb[0], ID, "--follow", *verb[1:]],
        obj=Invocation(transport=_lost(_followed("running"), error), environ={}),
    )
    assert result.exit_code == code
    assert said in result.stderr
    assert AGAIN in result.stderr
    assert result.stdout == ""


def test_the_log_of_a_pipeline_that_never_ran_ends_in_3() -> None:
    placement = {f"GET /api/v1/minisched/pipelines/{ID}/placement": {"client": "local"}}
    answers = {f"GET {PIPELINES}/{ID}": _entity(), f"GET {RUNS}": {"data": []}} | placement
    result = _call(FakeServer(answers), "pipeline", "logs", ID)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "has not run yet" in result.output


def test_runs_are_listed_with_state_and_duration() -> None:
    server = FakeServer({f"GET {PIPELINES}/{ID}": _entity(), f"GET {RUNS}": {"data": [_run()]}})
    for arguments in (["pipeline", "runs", ID], ["runs", "list"]):
        result = _call(server, *arguments)
        assert all(part in result.output for part in (RUN_ID, "mysql.daily", "success", "2.5 s")), result.output


def test_a_run_that_never_started_shows_no_start() -> None:
    never = _run(state="stopped", startedAt=None, enqueuedAt=1_772_150_400_000)
    result = _call(FakeServer({f"GET {RUNS}": {"data": [never]}}), "runs", "list")
    assert "2026-02-2" not in result.output


def test_lists_of_nothing_say_so_and_stay_lists_for_scripts() -> None:
    server = FakeServer({f"GET {RUNS}": {"data": []}, f"GET {PIPELINES}": _listing()})
    for command in (("runs", "list"), ("pipeline", "list")):
        assert _call(server, *command).output == "none\n"
        assert json.loads(_call(server, *command, "--json").output) == []


def test_facts_begin_with_the_first_one() -> None:
    server = FakeServer(
        {f"GET {PIPELINES}/{ID}": _entity(), f"GET {RUNS}": {"data": []}, f"GET {RUNS}/{RUN_ID}": _run()}
    )
    assert _call(server, "pipeline", "show", ID).output.startswith("pipeline ")
    assert _call(server, "runs", "show", RUN_ID).output.startswith("run ")


def test_the_queue_says_why_runs_wait() -> None:
    waiting = {"position": 3, "reason": "slots", "text": "All 4 slots are taken."}
    queued = {**_run(state="queued"), "waiting": waiting}
    queue = {"data": [queued], "slots": 4, "running": 4, "draining": False}
    server = FakeServer({f"GET {QUEUE}": queue, f"GET {RUNS}": {"data": [queued]}, f"GET {RUNS}/{RUN_ID}": queued})
    result = _call(server, "runs", "queue")
    assert all(part in result.output for part in (RUN_ID, "mysql.daily", "All 4 slots are taken.", "4 of 4 slots"))
    assert json.loads(_call(server, "runs", "queue", "--json").stdout) == queue
    for arguments in (["list"], ["show", RUN_ID]):
        assert "#3 in the queue: All 4 slots are taken." in _call(server, "runs", *arguments).output


def test_names_from_the_server_are_not_taken_for_markup() -> None:
    server = FakeServer({f"GET {RUNS}": {"data": [_run(pipelineFqn="svc.[red]x[/nope]")]}})
    assert "svc.[red]x[/nope]" in _call(server, "runs", "list").output


def test_a_run_is_shown_and_stopped() -> None:
    server = FakeServer({f"GET {RUNS}/{RUN_ID}": _run(), f"POST {RUNS}/{RUN_ID}/stop": _run(state="stopped")})
    assert "Mysql" in _call(server, "runs", "show", RUN_ID).output
    assert json.loads(_call(server, "runs", "stop", RUN_ID, "--json").output)["state"] == "stopped"
