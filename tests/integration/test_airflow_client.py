"""What the Airflow client makes of servers that are not what the settings say, and of those that move or stall."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.airflow.plugin import PREFIXES
from minisched.clients.airflow.server import tls_rules
from minisched.domain.errors import (
    ConfigurationError,
    InvalidPipelineConfig,
    NameCollision,
    OrchestratorError,
    OrchestratorRejected,
    OrchestratorUnavailable,
    PipelineNotFound,
    RunNotFound,
)
from minisched.domain.pipeline import Document, PipelineRef
from minisched.ports import RunOptions
from tests.certificates import self_signed
from tests.scripted_http import Asked, Page, ScriptedServer, scripted_server

PASSWORD = "canary-5d1f/ä"
PIPELINE: Document = {"id": "1", "name": "p", "fullyQualifiedName": "svc.p", "pipelineType": "metadata"}
HEALTHY = (200, {"status": "healthy", "version": "2.0.7.0"})
HTML = Page(b"<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"})
HIDDEN = {"error": "An unexpected problem occurred"}

HEALTHY_1_6 = (200, {"status": "healthy", "version": "1.6.13.2"})
UNKNOWN = (404, {"error": "DAG p not found."})
NONE_RUNNING = (404, {"error": "Workflow [p] has no running or pending runs nor tasks"})

Answers = dict[str, Any]


def client_of(url: str, **changes: Any) -> AirflowClient:
    ours = {name: changes.pop(name) for name in ("server_version", "holder_of", "host_ip") if name in changes}
    server = AirflowServer(url=url, username="ann", password=PASSWORD, **changes)
    return AirflowClient(server, complete=lambda document: document, **ours)


class Plugin:
    """Answers by route below one prefix, and 404 as Airflow does below the others. A list is used up one by one."""

    def __init__(self, answers: Answers, prefix: str = PREFIXES[0]) -> None:
        self.answers: Answers = {
            "health-auth": HEALTHY,
            "csrf-token": (200, {"csrf_token": None}),
            "status": (200, []),
            **answers,
        }
        self.prefix = prefix

    def answer(self, asked: Asked) -> tuple[int, Any]:
        start, _, route = asked.path.partition("?")[0].rpartition("/")
        if start != f"/{self.prefix}":
            return 404, {"error": "/api/v1 has been removed in Airflow 3"}
        answer = self.answers.get(route, (404, {"error": "Not Found"}))
        if isinstance(answer, list):
            answer = answer.pop(0)
        found: tuple[int, Any] = answer(asked) if callable(answer) else answer
        return found


@contextmanager
def plugin(answers: Answers | None = None, **changes: Any) -> Iterator[tuple[AirflowClient, ScriptedServer]]:
    with scripted_server(Plugin(answers or {}).answer) as server:
        yield client_of(server.url, **changes), server


def routes(server: ScriptedServer) -> list[str]:
    """What was asked for, without prefixes and arguments."""
    return [f"{asked.method} {asked.path.partition('?')[0].rpartition('/')[2]}" for asked in server.asked]


def refusals(client: AirflowClient) -> Iterator[str]:
    """What it says of its state and of each thing that it is asked to do; all of them in vain."""
    status = client.get_service_status()
    assert (status.code, status.version) == (500, None)
    yield str(status.reason)
    acts: list[Callable[[], object]] = [
        lambda: client.deploy_pipeline(PIPELINE),
        lambda: client.run_pipeline(PipelineRef("p"), RunOptions()),
        lambda: client.delete_pipeline(PipelineRef("p")),
        lambda: client.toggle_ingestion(PipelineRef("p"), enabled=True),
        lambda: client.get_pipeline_status(PipelineRef("p"), only_queued=True),
        lambda: client.get_last_ingestion_logs(PipelineRef("p"), None),
        lambda: client.kill_ingestion(PipelineRef("p")),
        lambda: client.run_automation({"name": "a"}),
        client.request_get_host_ip,
    ]
    for act in acts:
        with pytest.raises(OrchestratorError) as raised:
            act()
        yield str(raised.value)


def assert_all_say(client: AirflowClient, *words: str) -> None:
    for text in refusals(client):
        assert all(word in text for word in words), text
        assert PASSWORD not in text
        assert "\n" not in text


# --- servers that are not there, or not the plugin --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, HTML), ("not OpenMetadata's plugin", "text/html", "airflow.url")),
        ((200, {"metadatabase": {"status": "healthy"}}), ("not OpenMetadata's plugin", "airflow.url")),
        ((200, [1]), ("not OpenMetadata's plugin", "airflow.url")),
        ((302, Page(b"", {"Location": "/login?next=x"})), ("sends callers on to /login", "airflow.url")),
        ((401, HTML), ("Authentication failed for user 'ann'", "airflow.username", "airflow.password")),
        ((401, {"error": "wrong"}), ("Authentication failed for user 'ann'", "airflow.password")),
        ((403, HTML), ("does not allow user 'ann'", "(403)", "airflow.username")),
        ((404, HTML), ("plugin was not found", "(404)", "openmetadata-managed-apis", "airflow.url")),
        ((404, {"error": "removed in Airflow 3"}), ("plugin was not found", "(404)", "airflow.url")),
        ((400, {"error": "Unable to determine the state."}), ("Unable to determine the state.",)),
        ((500, HIDDEN), ("failed to tell its state (500)", "log of Airflow's API server")),
        ((500, HTML), ("(500)", "log of Airflow's API server")),
        ((503, HTML), ("is not available now (503)",)),
    ],
)
def test_one_sentence_names_the_cause_and_the_setting(answer: tuple[int, Any], words: tuple[str, ...]) -> None:
    with scripted_server(lambda _: answer) as server:
        assert_all_say(client_of(server.url), server.url, *words)


def test_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert_all_say(client_of(url), f"Nothing answers at {url}", "refused", "airflow.url")


def test_the_host_is_not_known() -> None:
    client = client_of("http://no-such-host.invalid:8080")
    assert "no-such-host.invalid:8080, is not known" in str(client.get_service_status().reason)


def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = client_of(url, connect_timeout_s=0.1, read_timeout_s=0.2, action_timeout_s=0.2)
        status = client.get_service_status()
        assert (status.code, "within 0.2 s" in str(status.reason)) == (500, True)
        assert "airflow.read_timeout_s" in str(status.reason)


def test_what_was_not_answered_in_time_may_have_been_done() -> None:
    leave = threading.Event()

    def stall(_: Asked) -> tuple[int, Any]:
        leave.wait(30)
        return 200, {}

    with plugin({"deploy": stall}, connect_timeout_s=0.1, action_timeout_s=0.3) as (client, _):
        with pytest.raises(OrchestratorUnavailable) as raised:
            client.deploy_pipeline(PIPELINE)
        leave.set()
    for words in ("within 0.3 s", "Whether it was done is not known", "airflow.action_timeout_s"):
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("told", "server_version", "words"),
    [
        ("2.0.7.0", "2.1.0", ("openmetadata-ingestion 2.0.7.0", "OpenMetadata is 2.1.0", "managed-apis 2.1")),
        ("1.0.4", "1.0.5", ("1.0.4", "1.0.5")),
        ("dev", None, ("'dev'", "x.y.z")),
    ],
)
def test_versions_that_do_not_go_together(told: str, server_version: str | None, words: tuple[str, ...]) -> None:
    answers = {"health-auth": (200, {"status": "healthy", "version": told})}
    with plugin(answers, server_version=lambda: server_version) as (client, _):
        status = client.get_service_status()
    assert status.code == 500
    assert all(word in str(status.reason) for word in words), status.reason


@pytest.mark.parametrize("server_version", [None, "2.0.3", "2.0.7-SNAPSHOT"])
def test_versions_that_go_together(server_version: str | None) -> None:
    with plugin(server_version=lambda: server_version) as (client, _):
        status = client.get_service_status()
    assert (status.code, status.platform, status.version, status.reason) == (200, "Airflow", "2.0.7.0", None)


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_signed_is_refused_until_its_authority_is_named(tmp_path: Path) -> None:
    shown, ca_file = self_signed(tmp_path)
    with scripted_server(Plugin({}).answer, tls=shown) as server:
        doubting = client_of(server.url, tls=tls_rules(server.url, verify=True, ca_file=None))
        reason = str(doubting.get_service_status().reason)
        assert "certificate" in reason
        assert "is not trusted" in reason
        assert "airflow.ca_file" in reason
        for verify, authority in ((True, str(ca_file)), (False, None)):
            trusting = client_of(server.url, tls=tls_rules(server.url, verify=verify, ca_file=authority))
            assert trusting.get_service_status().code == 200


def test_https_where_there_is_none() -> None:
    with scripted_server(Plugin({}).answer) as server:
        url = server.url.replace("http:", "https:")
        reason = str(client_of(url, tls=tls_rules(url, verify=True, ca_file=None)).get_service_status().reason)
    assert "No TLS connection" in reason
    assert "airflow.url" in reason


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_found_at_the_start(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"airflow\.ca_file: .*ca\.pem cannot be used"):
        tls_rules("https://airflow", verify=True, ca_file=str(ca_file))


# --- finding the plugin -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_prefix_is_found_once_and_kept(prefix: str) -> None:
    with scripted_server(Plugin({"ip": (200, {"ip": "192.0.2.1"})}, prefix).answer) as server:
        client = client_of(server.url)
        assert [client.request_get_host_ip() for _ in range(3)] == ["192.0.2.1"] * 3
    probes = [f"/{tried}/health-auth" for tried in PREFIXES[: PREFIXES.index(prefix) + 1]]
    assert [asked.path for asked in server.asked] == [*probes, *[f"/{prefix}/ip"] * 3]
    expected = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert {asked.headers["Authorization"] for asked in server.asked} == {expected}


def test_a_path_in_the_url_is_kept() -> None:
    with scripted_server(Plugin({"ip": (200, {"ip": "192.0.2.1"})}, f"deep/in/{PREFIXES[2]}").answer) as server:
        assert client_of(f"{server.url}/deep/in").request_get_host_ip() == "192.0.2.1"


def test_a_plugin_that_moved_is_found_again_and_nothing_is_done_twice() -> None:
    moving = Plugin({"trigger": (200, {"message": "ok"})}, PREFIXES[2])
    with scripted_server(moving.answer) as server:
        client = client_of(server.url)
        client.run_pipeline(PipelineRef("p"), RunOptions())
        moving.prefix = PREFIXES[0]
        client.run_pipeline(PipelineRef("p"), RunOptions())
    done = [asked.path.partition("?")[0] for asked in server.asked if asked.path.partition("?")[0].endswith("/trigger")]
    assert done == [f"/{PREFIXES[2]}/trigger", f"/{PREFIXES[2]}/trigger", f"/{PREFIXES[0]}/trigger"]


def test_after_a_failure_it_is_looked_for_again() -> None:
    answers: Answers = {"ip": [(200, {"ip": "192.0.2.1"}), (502, HTML), (200, {"ip": "192.0.2.1"})]}
    with plugin(answers) as (client, server):
        client.request_get_host_ip()
        with pytest.raises(OrchestratorUnavailable, match="502"):
            client.request_get_host_ip()
        client.request_get_host_ip()
    assert routes(server) == ["GET health-auth", "GET ip", "GET ip", "GET health-auth", "GET ip"]


# --- the token that changes need --------------------------------------------------------------------------------------


def test_token_and_cookies_go_with_every_change() -> None:
    token = Page(b'{"csrf_token": "t1"}', {"Set-Cookie": "session=s1; Path=/; Secure; HttpOnly", "Content-Type": "x/y"})
    with plugin({"csrf-token": (200, token), "enable": (200, {"message": "ok"})}) as (client, server):
        assert client.toggle_ingestion(PipelineRef("p"), enabled=True).code == 200
    change = server.asked[-1]
    assert (change.headers["X-CSRFToken"], change.headers["Cookie"]) == ("t1", "session=s1")


def test_a_cookie_may_be_the_token() -> None:
    token = Page(b'{"csrf_token": null}', {"Set-Cookie": "csrftoken=t2; Path=/"})
    with plugin({"csrf-token": (200, token), "enable": (200, {"message": "ok"})}) as (client, server):
        client.toggle_ingestion(PipelineRef("p"), enabled=True)
    assert server.asked[-1].headers["X-CSRFToken"] == "t2"


@pytest.mark.parametrize("token", [(404, {"error": "Not Found"}), (500, HTML), (200, {"csrf_token": None})])
def test_plugins_without_tokens_get_none(token: tuple[int, Any]) -> None:
    with plugin({"csrf-token": token, "enable": (200, {"message": "ok"})}) as (client, server):
        assert client.toggle_ingestion(PipelineRef("p"), enabled=True).code == 200
    assert "X-CSRFToken" not in server.asked[-1].headers


def test_an_expired_token_is_renewed_once() -> None:
    expired = (400, {"error": "The CSRF token has expired."})
    tokens = [(200, {"csrf_token": name}) for name in ("old", "new")]
    with plugin({"csrf-token": tokens, "enable": [expired, (200, {"message": "ok"})]}) as (client, server):
        assert client.toggle_ingestion(PipelineRef("p"), enabled=True).code == 200
    assert [asked.headers.get("X-CSRFToken") for asked in server.asked if asked.method == "POST"] == ["old", "new"]


def test_a_token_that_is_never_right_is_given_up() -> None:
    answers = {"enable": (400, {"error": "The CSRF token is missing."})}
    with plugin(answers) as (client, server), pytest.raises(OrchestratorRejected, match="CSRF token is missing"):
        client.toggle_ingestion(PipelineRef("p"), enabled=True)
    assert routes(server).count("POST enable") == 2


# --- deploying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((400, {"error": "Missing parameter 'sourceConfig'"}), InvalidPipelineConfig, "Missing parameter"),
        ((500, HIDDEN), OrchestratorRejected, "failed to deploy 'p' (500) and does not say why"),
        ((500, {"error": "OpenMetadata is down"}), OrchestratorRejected, "did not deploy 'p': OpenMetadata is down"),
        ((201, {"message": "created"}), OrchestratorRejected, "not OpenMetadata's plugin (status 201)"),
    ],
)
def test_a_deployment_that_fails_says_why(answer: Any, error: type[Exception], words: str) -> None:
    with plugin({"deploy": answer}) as (client, _), pytest.raises(error) as raised:
        client.deploy_pipeline(PIPELINE)
    assert words in str(raised.value)


def test_what_is_disabled_is_created_paused_and_told_so() -> None:
    ok = (200, {"message": "ok"})
    with plugin({"deploy": ok, "disable": ok}) as (client, server):
        assert client.deploy_pipeline({**PIPELINE, "enabled": False}).code == 200
    [sent] = [asked.body for asked in server.asked if asked.path.endswith("/deploy")]
    assert sent["airflowConfig"] == {"pausePipeline": True}
    assert routes(server)[-1] == "POST disable"


def test_a_first_deployment_waits_until_airflow_has_parsed_it() -> None:
    ok = (200, {"message": "ok"})
    answers: Answers = {"deploy": ok, "enable": ok, "status": [UNKNOWN, UNKNOWN, (200, [])]}
    with plugin(answers) as (client, server):
        assert client.deploy_pipeline({**PIPELINE, "enabled": True}).notes == ()
    assert routes(server)[-1] == "POST enable"


def test_an_airflow_that_does_not_parse_is_not_waited_for_for_ever() -> None:
    with plugin({"deploy": (200, {"message": "ok"}), "status": UNKNOWN}, parse_wait_s=0) as (client, server):
        done = client.deploy_pipeline({**PIPELINE, "enabled": True})
    assert (done.code, [note for note in done.notes if "has not parsed it yet" in note]) == (200, list(done.notes))
    assert "POST enable" not in routes(server)


def test_a_web_worker_that_hangs_after_a_deployment_does_not_use_up_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.clients.airflow.client._PARSE_LOOK_S", 0.2)
    over, looks = threading.Event(), list[None]()

    def status(_: Asked) -> tuple[int, Any]:
        looks.append(None)
        if len(looks) == 1:
            over.wait(30)
        return 200, []

    ok = (200, {"message": "ok"})
    with plugin({"deploy": ok, "enable": ok, "status": status}, parse_wait_s=20) as (client, server):
        assert client.deploy_pipeline({**PIPELINE, "enabled": True}).notes == ()
        over.set()
    assert routes(server)[-1] == "POST enable"


def test_an_old_plugin_is_not_sent_defaults_that_it_would_refuse() -> None:
    """Nobody has asked for them: the entity is kept with the defaults of the newest line."""
    config = {"type": "DatabaseMetadata", "includeViews": True, "markDeletedSchemas": False, "threads": 1}
    document = {**PIPELINE, "raiseOnError": False, "sourceConfig": {"config": config}}
    for health, sent_config in (
        (HEALTHY_1_6, {key: config[key] for key in ("type", "includeViews", "threads")}),
        (HEALTHY, config),
    ):
        with plugin({"deploy": (200, {"message": "ok"}), "health-auth": health}) as (client, server):
            notes = client.deploy_pipeline(document).notes
        [sent] = [asked.body for asked in server.asked if asked.path.endswith("/deploy")]
        assert sent["sourceConfig"]["config"] == sent_config
        assert ("raiseOnError" in sent) is (health is HEALTHY)
        assert any("does not know raiseOnError" in note for note in notes) is (health is HEALTHY_1_6)


@pytest.mark.parametrize(("status", "swept"), [("unknown", True), ("known", False)])
def test_files_of_a_first_deployment_that_failed_are_swept(status: str, swept: bool) -> None:
    answers = {"deploy": (500, HIDDEN), "status": UNKNOWN if status == "unknown" else (200, [])}
    with plugin(answers) as (client, server), pytest.raises(OrchestratorRejected, match="failed to deploy"):
        client.deploy_pipeline(PIPELINE)
    assert ("DELETE delete" in routes(server)) is swept


def test_who_keeps_what_was_toggled_tells_nothing_more() -> None:
    with plugin({"deploy": (200, {"message": "ok"})}) as (client, server):
        client.deploy_pipeline({**PIPELINE, "enabled": True}, keep_toggled=True)
    assert [route for route in routes(server) if route.startswith("POST")] == ["POST deploy"]


def test_what_airflow_does_otherwise_is_noted() -> None:
    config = {
        "scheduleInterval": "0 4 * * *",
        "pipelineTimezone": "Europe/Prague",
        "workflowTimeout": 3600,
        "retries": 2,
        "retryDelay": 60,
    }
    with plugin({"deploy": (200, {"message": "ok"})}) as (client, _):
        done = client.deploy_pipeline({**PIPELINE, "airflowConfig": config})
        plain = client.deploy_pipeline({**PIPELINE, "airflowConfig": {"scheduleInterval": "0 4 * * *", "retries": 1}})
    assert [note.split(" (")[0] for note in done.notes] == [
        "Airflow's plugin ignores pipelineTimezone",
        "Airflow's plugin takes workflowTimeout",
        "Airflow's plugin ignores retryDelay",
    ]
    assert all(note in str(done.reason) for note in done.notes)
    assert plain.notes == ()


def test_a_pipeline_that_airflow_would_overwrite_is_not_sent() -> None:
    with plugin(holder_of=lambda _: "other.p") as (client, server), pytest.raises(NameCollision, match=r"other\.p"):
        client.deploy_pipeline(PIPELINE)
    assert server.asked == []


# --- answers that mean several things ---------------------------------------------------------------------------------


def a_row(run_id: str) -> Document:
    return {"runId": run_id, "pipelineState": "queued", "startDate": None, "timestamp": 1735689600000}


def test_a_trigger_that_fails_without_words_is_explained_by_the_runs() -> None:
    with plugin({"trigger": (500, HIDDEN), "status": UNKNOWN}) as (client, _), pytest.raises(PipelineNotFound):
        client.run_pipeline(PipelineRef("p"), RunOptions())
    with (
        plugin({"trigger": (500, HIDDEN), "status": (200, [])}) as (client, _),
        pytest.raises(OrchestratorRejected, match="failed to trigger 'p'"),
    ):
        client.run_pipeline(PipelineRef("p"), RunOptions())


def test_two_runs_of_one_second_are_triggered_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.clients.airflow.client._SECOND_S", 0)
    answers = {"trigger": [(500, HIDDEN), (200, {"message": "triggered"})], "status": (200, [a_row("another")])}
    with plugin(answers) as (client, server):
        run_id = client.run_pipeline(PipelineRef("p"), RunOptions()).run_id
        asked = [httpx.URL(one.path).params["run_id"] for one in server.asked if "/trigger" in one.path]
        assert asked == [run_id, run_id]


class EmptyRuns:
    """An Airflow that makes its first runs without a task."""

    def __init__(self, empty: int) -> None:
        self.empty = empty
        self.runs: list[str] = []

    def trigger(self, asked: Asked) -> tuple[int, Any]:
        run_id = httpx.URL(asked.path).params["run_id"]
        if run_id in self.runs:
            return 500, HIDDEN
        self.runs.append(run_id)
        return 200, {"message": "triggered"}

    def log(self, _: Asked) -> tuple[int, Any]:
        if len(self.runs) <= self.empty:
            return 404, {"error": "Cannot find any task instance for the last DagRun of p."}
        return 404, {"error": "No logs found"}

    @property
    def answers(self) -> Answers:
        rows: Callable[[Asked], tuple[int, Any]] = lambda _: (200, [a_row(run) for run in self.runs])  # noqa: E731
        return {"trigger": self.trigger, "last_dag_logs": self.log, "status": rows}


def test_a_run_without_a_task_is_triggered_again_and_found_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.clients.airflow.client._SECOND_S", 0)
    airflow = EmptyRuns(empty=2)
    options = RunOptions(idempotency_key="k")
    with plugin(airflow.answers) as (client, _):
        run_id = client.run_pipeline(PipelineRef("p"), options).run_id
        assert (len(airflow.runs), run_id) == (3, airflow.runs[2])
        assert client.run_pipeline(PipelineRef("p"), options).run_id == run_id
        assert len(airflow.runs) == 3


def test_runs_that_never_have_a_task_are_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.clients.airflow.client._SECOND_S", 0)
    with (
        plugin(EmptyRuns(empty=99).answers) as (client, _),
        pytest.raises(OrchestratorUnavailable, match="have no task"),
    ):
        client.run_pipeline(PipelineRef("p"), RunOptions())


def test_a_kill_of_nothing_is_told_from_a_kill_of_nobody() -> None:
    with plugin({"kill": NONE_RUNNING, "status": (200, [])}) as (client, _):
        assert client.kill_ingestion(PipelineRef("p")).code == 404
    with plugin({"kill": UNKNOWN, "status": UNKNOWN}) as (client, _), pytest.raises(PipelineNotFound):
        client.kill_ingestion(PipelineRef("p"))


def test_a_delete_that_failed_because_nothing_was_left_is_done() -> None:
    with plugin({"kill": UNKNOWN, "delete": (500, HIDDEN), "status": UNKNOWN}) as (client, _):
        assert client.delete_pipeline(PipelineRef("p")).code == 200
    with (
        plugin({"kill": (500, HIDDEN), "delete": (500, HIDDEN), "status": (200, [])}) as (client, _),
        pytest.raises(OrchestratorRejected, match="failed to delete 'p'"),
    ):
        client.delete_pipeline(PipelineRef("p"))


@pytest.mark.parametrize(
    ("prefix", "asked_for", "credentials"),
    [
        (PREFIXES[0], ["POST /auth/token", "DELETE /api/v2/dags/a_b"], "Bearer t0ken"),
        (PREFIXES[2], ["DELETE /api/v1/dags/a_b"], "Basic "),
    ],
)
def test_records_that_the_plugin_cannot_delete_are_deleted_by_airflow_itself(
    prefix: str, asked_for: list[str], credentials: str
) -> None:
    records = [True]

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/auth/token":
            assert asked.body == {"username": "ann", "password": PASSWORD}
            return 201, {"access_token": "t0ken"}
        if "/dags/" in asked.path:
            records.clear()
            return 204, b""
        return told.answer(asked)

    told = Plugin({"delete": (500, HIDDEN), "status": lambda _: (200, []) if records else UNKNOWN}, prefix)
    with scripted_server(answer) as server:
        assert client_of(server.url).delete_pipeline(PipelineRef("a.b")).code == 200
    own = [asked for asked in server.asked if "openmetadata" not in asked.path]
    assert [f"{asked.method} {asked.path}" for asked in own] == asked_for
    assert own[-1].headers["Authorization"].startswith(credentials)


def test_a_log_is_looked_for_under_every_task_until_it_is_known() -> None:
    def log(asked: Asked) -> tuple[int, Any]:
        if "task_id=dbt_task" in asked.path:
            return 200, {"dbt_task": "text", "total": "3", "after": "1"}
        return 400, {"error": "Task x not found in DAG p."}

    with plugin({"last_dag_logs": log}) as (client, server):
        for _ in range(2):
            page = client.get_last_ingestion_logs(PipelineRef("p"), 0)
            assert (page.task_id, page.text, page.total, page.after) == ("dbt_task", "text", 3, 1)
    assert routes(server)[-2:] == ["GET last_dag_logs"] * 2
    assert "task_id=dbt_task" in server.asked[-1].path


@pytest.mark.parametrize(
    "text",
    [
        "Can't fetch logs for DAG p and Task ingestion_task.",
        "After index None is out of bounds. Total pagination is 0 for DAG p and Task ingestion_task.",
    ],
)
def test_a_run_that_has_not_written_anything_has_an_empty_log(text: str) -> None:
    with plugin({"last_dag_logs": (400, {"error": text})}) as (client, _):
        page = client.get_last_ingestion_logs(PipelineRef("p"), None)
    assert (page.text, page.total, page.after) == ("", 1, None)


def test_logs_are_those_of_the_latest_run() -> None:
    answers = {"status": (200, [a_row("r2"), a_row("r1")]), "last_dag_logs": (200, {"ingestion_task": "x", "total": 1})}
    with plugin(answers) as (client, _):
        assert client.get_last_ingestion_logs(PipelineRef("p"), None, "r2").text == "x"
        with pytest.raises(OrchestratorRejected, match="latest run only"):
            client.get_last_ingestion_logs(PipelineRef("p"), None, "r1")
        with pytest.raises(RunNotFound):
            client.get_last_ingestion_logs(PipelineRef("p"), None, "r0")


def test_rows_come_without_nulls_and_strange_ones_not_at_all() -> None:
    with plugin({"status": (200, [a_row("r1"), {"runId": None}, "x"])}) as (client, server):
        [row] = client.get_pipeline_status(PipelineRef("p"), only_queued=True)
    assert row == {"runId": "r1", "pipelineState": "queued", "timestamp": 1735689600000}
    assert server.asked[-1].path.endswith("status?dag_id=p&only_queued=true")


def test_an_address_that_airflow_does_not_know_is_asked_for_in_the_settings() -> None:
    answers = {"ip": (200, {"ip": "unknown"})}
    with plugin(answers) as (client, _), pytest.raises(OrchestratorUnavailable, match="Set host_ip"):
        client.request_get_host_ip()
    assert client_of("http://127.0.0.1:1", host_ip="192.0.2.5").request_get_host_ip() == "192.0.2.5"
