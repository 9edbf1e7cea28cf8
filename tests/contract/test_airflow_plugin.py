"""The plugin's interface of a live server, with the requests of OpenMetadata's Java client (contract §1, §9)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest

from minisched.clients.log_pages import PAGE_BYTES
from minisched.domain.pipeline import Document
from minisched.domain.versions import same_line
from minisched.operations.failed_attempts import FailedAttempts
from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import ServerProcess, server_process
from tests.airflow_java_client import PREFIXES, JavaClient, basic, deploy_payload
from tests.waiting import wait_until

PASSWORD = "s3same:öffne dich"
AUTOMATION_LIMIT_S = 2.0


class Plugin:
    """A live server and the Java client of an OpenMetadata that is set up to use it as its Airflow."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.java = self.client()

    def client(self, **changes: Any) -> JavaClient:
        return JavaClient(self.server.http, self.server.url, **{"password": PASSWORD, **changes})

    def payload(self, behaviour: str | None = None, **changes: Any) -> Document:
        changes = {"token": self.server.bot_token, **changes}
        payload = deploy_payload(f"{self.server.url}/api", service=SERVICE, **changes)
        if behaviour is not None:
            payload["sourceConfig"]["config"]["behaviour"] = behaviour
        return payload

    def deployed(self, behaviour: str | None = None, **changes: Any) -> str:
        """Its name."""
        payload = self.payload(behaviour, **changes)
        said(self.java.post("deploy", payload), f"Workflow [{payload['name']}] has been created")
        return str(payload["name"])

    def triggered(self, name: str, **body: Any) -> str:
        """The id of the run."""
        answer = self.java.post("trigger", {"dag_id": name, **body})
        assert answer.status_code == 200, answer.text
        message = answer.json()["message"]
        assert message.startswith(f"Workflow [{name}] has been triggered <")
        return str(UUID(message.rpartition(" ")[2].strip(">")))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    settings = {
        "AIRFLOW_PLUGIN__PASSWORD": PASSWORD,
        "EXECUTOR__AUTOMATION_TIMEOUT_S": str(AUTOMATION_LIMIT_S),
        "EXECUTOR__STOP_GRACE_S": "0.5",
        "HOST_IP": "192.0.2.9",
    }
    with server_process(tmp_path_factory.mktemp("plugin"), **settings) as server:
        server.start()
        server.make_service()
        yield Plugin(server)


def said(answer: httpx.Response, message: str) -> None:
    assert (answer.status_code, answer.json()) == (200, {"message": message})


def refused(answer: httpx.Response, code: int, *words: str) -> str:
    body = answer.json()
    assert (answer.status_code, list(body)) == (code, ["error"]), answer.text
    for word in words:
        assert word in body["error"]
    return str(body["error"])


# --- finding each other -----------------------------------------------------------------------------------------------


def test_health_needs_no_password_and_has_a_version_that_servers_accept(plugin: Plugin) -> None:
    for prefix in PREFIXES:
        answer = plugin.server.http.get(f"/{prefix}/health")
        assert answer.status_code == 200
        assert answer.json() == {"status": "healthy", "version": "0.0.1"}
        assert same_line("0.0.1", answer.json()["version"])


def test_the_first_prefix_that_is_probed_answers_and_is_kept(plugin: Plugin) -> None:
    java = plugin.client()
    assert java.get("health-auth").json()["status"] == "healthy"
    assert java.post("trigger", {"dag_id": "nobody"}).status_code == 500
    first = PREFIXES[0]
    assert java.calls == [
        f"GET {first}/health-auth",
        f"GET {first}/health-auth",
        f"GET {first}/csrf-token",
        f"POST {first}/trigger",
    ]


def test_old_servers_know_only_one_prefix(plugin: Plugin) -> None:
    java = plugin.client(prefix=PREFIXES[-1])
    assert java.get("health-auth").json()["version"] == "0.0.1"


@pytest.mark.parametrize("path", ["//api/v1/openmetadata/health-auth", "/api//v1/openmetadata//health-auth/"])
def test_doubled_slashes_are_one(plugin: Plugin, path: str) -> None:
    headers = {"Authorization": basic("admin", PASSWORD)}
    answer = httpx.get(plugin.server.url + path, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")


@pytest.mark.parametrize("path", ["/api/v3/openmetadata/health-auth", "/pluginsv2/health-auth", "/health-auth", "/"])
def test_elsewhere_is_404_in_json(plugin: Plugin, path: str) -> None:
    answer = plugin.server.http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert isinstance(answer.json(), dict)


def test_unknown_routes_and_methods_are_404_in_the_plugins_shape(plugin: Plugin) -> None:
    refused(plugin.java.get("nonsense"), 404, "nonsense")
    refused(plugin.java.get("trigger"), 404, "GET")
    refused(plugin.java.post("status?dag_id=x", {}), 404, "POST")


def test_a_request_to_upgrade_the_protocol_is_answered(plugin: Plugin) -> None:
    headers = {
        "Authorization": basic("admin", PASSWORD),
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    }
    answer = httpx.get(f"{plugin.server.url}/api/v1/openmetadata/health-auth", headers=headers, trust_env=False)
    assert answer.status_code == 200


# --- who is let in ----------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "health-auth"),
    ("GET", "csrf-token"),
    ("GET", "status?dag_id=x"),
    ("GET", "last_dag_logs?dag_id=x"),
    ("GET", "ip"),
    ("POST", "deploy"),
    ("POST", "trigger"),
    ("POST", "enable"),
    ("POST", "disable"),
    ("POST", "kill"),
    ("POST", "run_automation"),
    ("POST", "run_application"),
    ("DELETE", "delete?dag_id=x"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_without_credentials_there_is_only_health(plugin: Plugin, method: str, route: str) -> None:
    answer = plugin.server.http.request(method, f"/api/v1/openmetadata/{route}")
    refused(answer, 401, "password")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "authorization",
    [
        basic("admin", "wrong"),
        basic("root", PASSWORD),
        basic("admin", ""),
        f"Bearer {PASSWORD}",
        "Basic",
        "Basic %%%",
        "Basic ÿ".encode("latin-1"),
    ],
)
def test_wrong_credentials_are_401(plugin: Plugin, authorization: str | bytes) -> None:
    headers = {b"Authorization": authorization if isinstance(authorization, bytes) else authorization.encode()}
    answer = plugin.server.http.get("/api/v1/openmetadata/health-auth", headers=headers)
    assert PASSWORD not in refused(answer, 401, "wrong")


def test_guessing_is_slowed_down_for_each_address_alone() -> None:
    now_s = 0.0
    attempts = FailedAttempts(lambda: now_s)
    for _ in range(30):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.note("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 60
    assert attempts.wait_s("192.0.2.2") == 0
    now_s = 60.0
    assert attempts.wait_s("192.0.2.1") == 0


def test_what_is_remembered_of_guesses_is_bounded() -> None:
    attempts = FailedAttempts(lambda: 0.0)
    for number in range(5000):
        attempts.note(f"192.0.2.{number}")
    assert len(attempts._windows) == 1024


# --- deploy -----------------------------------------------------------------------------------------------------------


def test_a_deployed_pipeline_is_triggerable_at_once_and_its_rows_carry_our_run_id(plugin: Plugin) -> None:
    name = plugin.deployed()
    run_id = plugin.triggered(name)
    assert plugin.server.ended(run_id)["state"] == "success"
    row = plugin.java.get(f"status?dag_id={name}").json()[0]
    assert (row["runId"], row["pipelineState"]) == (run_id, "success")


def test_deploying_again_keeps_it_disabled_whatever_else_changes(plugin: Plugin) -> None:
    payload = plugin.payload(airflowConfig={"scheduleInterval": "* * * * *"})
    name = payload["name"]
    plugin.java.post("deploy", payload)
    said(plugin.java.post("disable", {"dag_id": name}), f"DAG {name} has been disabled")
    for changed in (payload, {**payload, "airflowConfig": {"scheduleInterval": "*/2 * * * *"}}):
        said(plugin.java.post("deploy", changed), f"Workflow [{name}] has been created")
        assert not is_enabled(plugin, payload)
    without = {key: value for key, value in payload.items() if key != "enabled"}
    plugin.java.post("deploy", without)
    assert not is_enabled(plugin, payload)
    said(plugin.java.post("enable", {"dag_id": name}), f"DAG {name} has been enabled")
    assert is_enabled(plugin, payload)


def test_the_entitys_own_change_of_enabled_counts(plugin: Plugin) -> None:
    payload = plugin.payload(airflowConfig={"scheduleInterval": "* * * * *"})
    plugin.java.post("deploy", payload)
    plugin.java.post("deploy", {**payload, "enabled": False})
    assert not is_enabled(plugin, payload)
    plugin.java.post("deploy", {**payload, "enabled": True})
    assert is_enabled(plugin, payload)


def is_enabled(plugin: Plugin, payload: Document) -> bool:
    """What the scheduler goes by, which no route tells."""
    with contextlib.closing(sqlite3.connect(plugin.server.data / "minisched.db")) as connection:
        [(enabled,)] = connection.execute("SELECT enabled FROM deployments WHERE id = ?", (payload["id"],))
        return bool(enabled)


def test_one_line_per_problem_and_no_values(plugin: Plugin) -> None:
    payload = plugin.payload(name=None, airflowConfig=None, enabled="s3cr3t", sourceConfig="s3cr3t")
    text = refused(plugin.java.post("deploy", payload), 400)
    assert text.splitlines() == [
        "Missing parameter 'name'",
        "Invalid parameter value for 'sourceConfig'",
        "Missing parameter 'airflowConfig'",
        "Invalid parameter value for 'enabled'",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sourceConfig": {}}, "Missing parameter 'config' in 'sourceConfig'"),
        ({"id": "s3cr3t"}, "Invalid parameter value for 'id'"),
        ({"id": None}, "Missing parameter 'id'"),
        ({"name": "a::b"}, "Invalid parameter value for 'name'"),
        ({"pipelineType": "s3cr3t"}, "Invalid parameter value for 'pipelineType'"),
        ({"pipelineType": "policyAgent"}, "policyAgent pipelines have no workflow"),
        ({"service": None}, "Missing parameter 'name' in 'service'"),
        ({"airflowConfig": {"scheduleInterval": "61 * * * *"}}, "airflowConfig.scheduleInterval"),
        (
            {"airflowConfig": {"maxActiveRuns": "s3cr3t"}},
            "Invalid parameter value for 'maxActiveRuns' in 'airflowConfig'",
        ),
        ({"airflowConfig": {"workflowTimeout": 1e300}}, "Invalid parameter value for 'workflowTimeout'"),
        ({"openMetadataServerConnection": {"hostPort": "s3cr3t"}}, "Invalid parameter value for 'hostPort'"),
        ({"openMetadataServerConnection": {"type": "OpenMetadata"}}, "Missing parameter 'hostPort'"),
        (
            {"openMetadataServerConnection": {"hostPort": "http://om/api", "secretsManagerLoader": "airflow"}},
            "there is no Airflow here",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_words_and_the_old_deployment_stays(
    plugin: Plugin, changes: Document, text: str
) -> None:
    payload = plugin.payload()
    plugin.java.post("deploy", payload)
    assert "s3cr3t" not in refused(plugin.java.post("deploy", {**payload, **changes}), 400, text)
    plugin.triggered(payload["name"])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Did not receive any JSON request to deploy"),
        (b"null", "Did not receive any JSON request to deploy"),
        (b"[1]", "not a JSON object"),
        (b'{"jwtToken": "s3cr3t"', "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b"[" * 100_000, "body"),
    ],
)
def test_bodies_that_are_no_pipeline_are_400(plugin: Plugin, body: bytes, text: str) -> None:
    headers = {"Authorization": basic("admin", PASSWORD), "Content-Type": "application/json"}
    answer = plugin.server.http.post("/api/v1/openmetadata/deploy", content=body, headers=headers)
    assert "s3cr3t" not in refused(answer, 400, text)


def test_fields_of_a_newer_line_are_accepted(plugin: Plugin) -> None:
    name = plugin.deployed(fromTheFuture={"x": 1})
    assert plugin.server.ended(plugin.triggered(name))["state"] == "success"


def test_deploying_asks_nobody(plugin: Plugin) -> None:
    connection = {"hostPort": "http://192.0.2.1:8585/api", "securityConfig": {"jwtToken": "t"}}
    started = time.monotonic()
    plugin.deployed(openMetadataServerConnection=connection)
    assert time.monotonic() - started < 3


def test_two_pipelines_of_one_workflow_id_are_told_apart(plugin: Plugin) -> None:
    suffix = uuid4().hex[:8]
    plugin.deployed(name=f"a.b {suffix}")
    payload = plugin.payload(name=f"a b_{suffix}")
    refused(plugin.java.post("deploy", payload), 400, f"'a_b_{suffix}'", f"a.b {suffix}", "Rename")


def test_the_words_that_make_the_client_repeat_itself_are_never_said(plugin: Plugin) -> None:
    plugin.deployed(name="CSRF token")
    refused(plugin.java.post("deploy", plugin.payload(name="CSRF.token")), 400, "Rename")


@pytest.mark.parametrize("name", ["é té", "名前", "a.b", "a b  c", 'q"uote', "sla/sh", "per%cent+", "x" * 256])
def test_odd_names_work_in_every_route(plugin: Plugin, name: str) -> None:
    java, quoted = plugin.java, quote(name, safe="")
    plugin.deployed("hang", name=name)
    for route, word in (("disable", "disabled"), ("enable", "enabled")):
        said(java.post(route, {"dag_id": name}), f"DAG {name} has been {word}")
    run_id = plugin.triggered(name)
    plugin.server.started(run_id)
    assert [row["runId"] for row in java.get(f"status?dag_id={quoted}").json()] == [run_id]
    assert java.get(f"last_dag_logs?after=&dag_id={quoted}&task_id=ingestion_task").status_code == 200
    said(java.post("kill", {"dag_id": name}), f"Workflow [{name}] has been killed")
    said(java.delete(f"delete?dag_id={quoted}"), f"DAG [{name}] has been deleted")
    refused(java.post("enable", {"dag_id": name}), 404, "not found")


def test_names_in_any_script_are_told_apart_as_far_as_their_ids_differ(plugin: Plugin) -> None:
    names = ["é té", "名前"]
    for name in names:
        plugin.deployed(name=name)
    refused(plugin.java.post("deploy", plugin.payload(name="日本")), 400, "名前", "Rename")
    runs = {name: plugin.triggered(name) for name in names}
    for name in names:
        listed = plugin.java.get(f"status?dag_id={quote(name, safe='')}").json()
        assert [row["runId"] for row in listed] == [runs[name]]
        said(plugin.java.delete(f"delete?dag_id={quote(name, safe='')}"), f"DAG [{name}] has been deleted")


# --- trigger, toggle, kill, delete ------------------------------------------------------------------------------------


def test_a_disabled_pipeline_runs_when_it_is_triggered(plugin: Plugin) -> None:
    name = plugin.deployed()
    plugin.java.post("disable", {"dag_id": name})
    assert plugin.server.ended(plugin.triggered(name))["state"] == "success"


def test_the_timeout_of_a_workflow_is_in_seconds(plugin: Plugin) -> None:
    name = plugin.deployed("hang", airflowConfig={"workflowTimeout": 1})
    run = plugin.server.ended(plugin.triggered(name), timeout_s=30)
    assert (run["state"], run["reason"]) == ("failed", "timed_out")


def test_overrides_hold_for_one_run(plugin: Plugin) -> None:
    name = plugin.deployed()
    broken = plugin.triggered(name, conf={"sourceConfigOverride": {"behaviour": "raise_error"}})
    assert plugin.server.ended(broken)["state"] == "failed"
    assert plugin.server.ended(plugin.triggered(name))["state"] == "success"


@pytest.mark.parametrize("how", ["query", "form", "json"])
def test_a_run_may_be_given_its_id(plugin: Plugin, how: str) -> None:
    name, run_id = plugin.deployed(), str(uuid4())
    url, headers = "/api/v1/openmetadata/trigger", {"Authorization": basic("admin", PASSWORD)}
    if how == "query":
        answer = plugin.server.http.post(f"{url}?run_id={run_id}", json={"dag_id": name}, headers=headers)
    elif how == "form":
        answer = plugin.server.http.post(url, data={"dag_id": name, "run_id": run_id}, headers=headers)
    else:
        answer = plugin.server.http.post(url, json={"dag_id": name, "run_id": run_id}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert run_id in answer.json()["message"]
    assert plugin.server.ended(run_id)["id"] == run_id
    again = plugin.java.post("trigger", {"dag_id": name, "run_id": run_id})
    refused(again, 409)


def test_unknown_pipelines(plugin: Plugin) -> None:
    java = plugin.java
    refused(java.post("trigger", {"dag_id": "nobody"}), 500, "nobody", "Deploy")
    for route in ("enable", "disable", "kill"):
        assert refused(java.post(route, {"dag_id": "nobody"}), 404) == "DAG nobody not found."
    assert refused(java.get("status?dag_id=nobody&only_queued=true"), 404) == "DAG nobody not found."
    refused(java.get("last_dag_logs?after=&dag_id=nobody&task_id=ingestion_task"), 404)
    said(java.delete("delete?dag_id=nobody"), "DAG [nobody] has been deleted")


@pytest.mark.parametrize("route", ["trigger", "enable", "disable", "kill"])
@pytest.mark.parametrize("body", [{}, {"dag_id": ""}, {"dag_id": 7}, {"dag_id": "\0"}, None])
def test_a_missing_name_is_400(plugin: Plugin, route: str, body: Any) -> None:
    refused(plugin.java.post(route, body), 400)


@pytest.mark.parametrize("conf", ["x", {"appConfigOverride": 1}, {"sourceConfigOverride": [1]}])
def test_overrides_that_are_no_objects_are_400(plugin: Plugin, conf: Any) -> None:
    refused(plugin.java.post("trigger", {"dag_id": plugin.deployed(), "conf": conf}), 400, "Invalid parameter value")


def test_missing_arguments_of_questions_are_400(plugin: Plugin) -> None:
    for route in ("status", "last_dag_logs?task_id=ingestion_task"):
        refused(plugin.java.get(route), 400, "dag_id")
    refused(plugin.java.delete("delete"), 400, "dag_id")


def test_killing_ends_what_runs_and_what_waits_and_says_so_when_there_is_nothing(plugin: Plugin) -> None:
    name = plugin.deployed("hang")
    refused(plugin.java.post("kill", {"dag_id": name}), 404, "no running or pending runs")
    running, queued = plugin.triggered(name), plugin.triggered(name)
    plugin.server.started(running)
    said(plugin.java.post("kill", {"dag_id": name}), f"Workflow [{name}] has been killed")
    assert {plugin.server.run(run_id)["state"] for run_id in (running, queued)} == {"stopped"}
    refused(plugin.java.post("kill", {"dag_id": name}), 404)


def test_deleting_ends_its_runs_and_can_be_repeated(plugin: Plugin) -> None:
    name = plugin.deployed("hang")
    run = plugin.triggered(name)
    started = plugin.server.started(run)
    for _ in range(2):
        said(plugin.java.delete(f"delete?dag_id={name}"), f"DAG [{name}] has been deleted")
    assert started.living() == []
    refused(plugin.java.post("kill", {"dag_id": name}), 404)


# --- status and logs --------------------------------------------------------------------------------------------------


def test_the_status_has_every_key_and_the_queue_only_what_waits(plugin: Plugin) -> None:
    name = plugin.deployed("hang")
    assert plugin.java.get(f"status?dag_id={name}").json() == []
    running, queued = plugin.triggered(name), plugin.triggered(name)
    plugin.server.started(running)
    waiting = plugin.java.get(f"status?dag_id={name}&only_queued=true").json()
    assert [row["runId"] for row in waiting] == [queued]
    row = waiting[0]
    assert list(row) == ["runId", "pipelineState", "startDate", "timestamp", "endDate", "status", "config", "metadata"]
    assert row["pipelineState"] == "queued"
    assert abs(row["timestamp"] / 1000 - time.time()) < 60
    assert [row[key] for key in ("endDate", "status", "config", "metadata")] == [None] * 4
    assert {row["runId"] for row in plugin.java.get(f"status?dag_id={name}").json()} == {running, queued}
    plugin.java.delete(f"delete?dag_id={name}")


def test_a_long_log_is_read_page_by_page(plugin: Plugin) -> None:
    name = plugin.deployed("big_log", sourceConfig={"config": {"lines": 4096, "behaviour": "big_log"}})
    plugin.server.ended(plugin.triggered(name))
    pages: list[Document] = []
    after = ""
    while True:
        answer = plugin.java.get(f"last_dag_logs?after={after}&dag_id={name}&task_id=ingestion_task")
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        if "after" not in pages[-1]:
            break
        after = str(pages[-1]["after"])
    assert [(page["total"], page.get("after")) for page in pages] == [(3, 1), (3, 2), (3, None)]
    assert [len(page["ingestion_task"]) == PAGE_BYTES for page in pages] == [True, True, False]
    text = "".join(page["ingestion_task"] for page in pages)
    assert all(f"{number:012d} " in text for number in (0, 2000, 4095))
    refused(plugin.java.get(f"last_dag_logs?after=3&dag_id={name}&task_id=ingestion_task"), 400, "After index 3", "3")


def test_logs_that_are_not_there(plugin: Plugin) -> None:
    name = plugin.deployed()
    question = f"last_dag_logs?dag_id={name}"
    refused(plugin.java.get(f"{question}&after=&task_id=ingestion_task"), 404, "no run")
    plugin.server.ended(plugin.triggered(name))
    refused(plugin.java.get(f"{question}&after=&task_id=usage_task"), 400, "usage_task")
    for after in ("x", "-1", "1.5", "²", "9" * 40):
        refused(plugin.java.get(f"{question}&after={quote(after)}&task_id=ingestion_task"), 400)


def test_the_address_is_the_configured_one(plugin: Plugin) -> None:
    assert plugin.java.get("ip").json() == {"ip": "192.0.2.9"}


# --- automations ------------------------------------------------------------------------------------------------------


def automation(plugin: Plugin, behaviour: str | None = None) -> Document:
    """An automation that OpenMetadata (the sandbox) has, as it hands it on."""
    config = {"type": "Mysql", "username": "u", "hostPort": "h:3306", "authType": {"password": "s3cr3t"}}
    request = {
        "connection": {"config": config | ({"behaviour": behaviour} if behaviour else {})},
        "serviceType": "Database",
        "connectionType": "Mysql",
        "secretsManagerProvider": "db",
    }
    body = {"name": f"test-connection-Mysql-{uuid4().hex[:8]}", "workflowType": "TEST_CONNECTION", "request": request}
    made = plugin.server.http.post("/api/v1/automations/workflows", json=body)
    assert made.status_code in (200, 201), made.text
    connection = plugin.payload()["openMetadataServerConnection"]
    return {**body, "id": made.json()["id"], "openMetadataServerConnection": connection}


def outcome(plugin: Plugin, workflow: Document) -> tuple[str, str]:
    found = plugin.server.http.get(f"/api/v1/automations/workflows/{workflow['id']}").json()
    return found["status"], found["response"]["status"]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (None, ("Successful", "Successful")),
        ("refuse", ("Successful", "Failed")),
        ("die", ("Failed", "Failed")),
        ("raise", ("Failed", "Failed")),
        ("hang", ("Failed", "Failed")),
    ],
)
def test_however_a_connection_test_ends_openmetadata_has_it_when_we_answer(
    plugin: Plugin, behaviour: str | None, expected: tuple[str, str]
) -> None:
    workflow = automation(plugin, behaviour)
    answer = plugin.java.post("run_automation", workflow)
    said(answer, f"Workflow [{workflow['name']}] has been triggered.")
    assert outcome(plugin, workflow) == expected


def test_why_an_automation_came_to_nothing_is_a_step_of_its_response(plugin: Plugin) -> None:
    workflow = automation(plugin, "hang")
    plugin.java.post("run_automation", workflow)
    found = plugin.server.http.get(f"/api/v1/automations/workflows/{workflow['id']}").json()
    [step] = found["response"]["steps"]
    assert (step["passed"], step["mandatory"]) == (False, True)
    assert "time" in step["message"].lower() or "longer" in step["message"].lower()


def test_an_outcome_that_nobody_could_be_told_is_500(plugin: Plugin) -> None:
    workflow = automation(plugin, "die")
    workflow["openMetadataServerConnection"]["hostPort"] = "http://127.0.0.1:1/api"
    refused(plugin.java.post("run_automation", workflow), 500, "OpenMetadata could not be told")


def test_automations_hold_up_nothing(plugin: Plugin) -> None:
    name = plugin.deployed()
    workflows = [automation(plugin, "hang") for _ in range(4)]
    asked = threading.Barrier(len(workflows) + 1)

    def run(workflow: Document) -> int:
        with httpx.Client(trust_env=False, timeout=60) as http:
            java = JavaClient(http, plugin.server.url, password=PASSWORD, prefix=PREFIXES[0])
            asked.wait()
            return java.post("run_automation", workflow).status_code

    with ThreadPoolExecutor(len(workflows)) as pool:
        answers = [pool.submit(run, workflow) for workflow in workflows]
        asked.wait()
        run_id = plugin.triggered(name)
        assert plugin.server.ended(run_id)["state"] == "success"
        assert not all(answer.done() for answer in answers)
        assert [answer.result() for answer in answers] == [200] * len(workflows)
    assert {outcome(plugin, workflow) for workflow in workflows} == {("Failed", "Failed")}


@pytest.mark.parametrize("missing", ["name", "request", "workflowType"])
def test_an_automation_that_is_none_is_400(plugin: Plugin, missing: str) -> None:
    workflow = {"name": "x", "workflowType": "TEST_CONNECTION", "request": {}}
    del workflow[missing]
    refused(plugin.java.post("run_automation", workflow), 400, f"Missing parameter '{missing}'")


# --- applications -----------------------------------------------------------------------------------------------------


def test_an_application_is_run_by_its_pipeline(plugin: Plugin) -> None:
    name = plugin.deployed()
    reference = {"id": str(uuid4()), "type": "ingestionPipeline", "name": name}
    answer = plugin.java.post("run_application", {"name": "SomeApp", "pipelines": [reference]})
    assert answer.status_code == 200, answer.text
    assert f"[{name}] has been triggered" in answer.json()["message"]
    for other in ({"name": "OtherApp"}, {"pipelines": 5}, {"pipelines": [1, None]}):
        refused(plugin.java.post("run_application", other), 404)


# --- without a password -----------------------------------------------------------------------------------------------


def test_without_a_password_nobody_is_let_in_and_the_setting_is_named(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        server.start(ready=False)
        server.wait_until_live()
        headers = {"Authorization": basic("admin", "admin")}
        refused(server.http.get("/api/v1/openmetadata/health-auth", headers=headers), 401, "airflow_plugin.password")
        wait_until(lambda: server.http.get("/api/v1/openmetadata/health").status_code == 200, timeout_s=30)
        # The first answer comes while the launcher is still importing, or after that: both are healthy.
        assert server.http.get("/api/v1/openmetadata/health").json()["version"] == "0.0.1"
