"""Secrets that were planted wherever one can be are found nowhere: no file, no answer, no process shows one (R12)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from minisched.cli.credentials import basic, bearer
from minisched.worker import protocol
from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.served_runs import ServedRuns, served_runs
from tests.acceptance.server_process import PIPELINES, RUNS, pipeline_request
from tests.airflow_java_client import JavaClient, deploy_payload
from tests.processes_of_tests import processes_about
from tests.requirements_of_tests import skip_or_fail
from tests.waiting import wait_until

# What can be found of a secret whatever becomes of the characters behind it.
STEM = "c4nary-"
TAIL = "-ö/+&\"'"
CANARIES = {
    kind: f"{STEM}{kind}{TAIL}"
    for kind in (
        "service",
        "token",
        "private",
        "app",
        "override",
        "source",
        "environment",
        "plugin",
        "settings",
        "admin",
    )
}
SECRETS_OF_OUR_OWN = {"secret.key", "sandbox.token"}


class Planted:
    """A server with a secret in every place that takes one, runs that told all they knew, and one that still runs."""

    def __init__(self, server: ServedRuns) -> None:
        self.server = server
        self.java = JavaClient(server.http, server.url, password=CANARIES["plugin"])
        self.sandbox_token = (server.data / "sandbox.token").read_text()
        self.api_token = self._api_token()
        self.runs: list[str] = []

    def _api_token(self) -> str:
        """One of the admin's, used once."""
        command = [sys.executable, "-m", "minisched", "token", "create", "ci"]
        environment = {**os.environ, "MINISCHED_DATA_DIR": str(self.server.data)}
        token = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
        assert self.server.http.get(RUNS, headers={"Authorization": bearer(token)}).status_code == 200
        return token

    def plant(self) -> None:
        self._plant_service()
        application = self._application(then_hang=False)
        self._tell(application, appConfigOverride={"password": CANARIES["override"]})
        self._tell_from_elsewhere(application)
        self._tell(self._by_plugin(self.sandbox_token))
        self._tell(self._by_plugin(CANARIES["token"]))
        self.going_on = self.server.trigger(self._application(then_hang=True))
        self.server.note(self.going_on, "told")

    def _plant_service(self) -> None:
        connection = {"config": {"type": "Mysql", "username": "u", "authType": {"password": CANARIES["service"]}}}
        answer = self.server.http.put("/api/v1/services/databaseServices", json=SERVICE | {"connection": connection})
        assert answer.status_code in (200, 201), answer.text

    def _application(self, *, then_hang: bool) -> dict[str, Any]:
        request = pipeline_request()
        config = {
            "type": "Application",
            "sourcePythonClass": "some.Application",
            "appConfig": {
                "behaviour": "tell_everything",
                "then_hang": then_hang,
                "password": CANARIES["app"],
                "list": [{"apiKey": CANARIES["app"]}],
            },
            "appPrivateConfig": {"anything": {"at": CANARIES["private"]}},
        }
        request.update(pipelineType="application", sourceConfig={"config": config})
        return self.server.deployed_as(request)

    def _by_plugin(self, token: str) -> dict[str, Any]:
        """As OpenMetadata deploys it: with the bot's token. The service's names differ, so its connection is sent."""
        payload = deploy_payload(f"{self.server.url}/api", service=SERVICE, token=token)
        payload["service"]["name"] = "another name"
        payload["sourceConfig"]["config"].update(behaviour="tell_everything", dbPassword=CANARIES["source"])
        answer = self.java.post("deploy", payload)
        assert answer.status_code == 200, answer.text
        return payload

    def _tell(self, pipeline: dict[str, Any], **overrides: Any) -> None:
        if "openMetadataServerConnection" in pipeline:
            answer = self.java.post("trigger", {"dag_id": pipeline["name"]})
            run_id = answer.json()["message"].rpartition(" ")[2].strip(">")
        else:
            answer = self.server.http.post(f"{PIPELINES}/trigger/{pipeline['id']}", json=overrides)
            run_id = answer.json()["runId"]
        run = self.server.ended(run_id)
        assert run["state"] == "failed"
        self.runs.append(run_id)

    def _tell_from_elsewhere(self, pipeline: dict[str, Any]) -> None:
        """What a workflow of the same pipeline sends that somebody else has started."""
        fqn, self.elsewhere = quote(pipeline["fullyQualifiedName"], safe=""), str(uuid4())
        everything = "I know " + " ".join(CANARIES[kind] for kind in ("app", "private", "settings"))
        update = {"runId": self.elsewhere, "timestamp": 1, "updateType": "ERROR", "message": everything}
        metrics = [{"category": everything, "operation": "SELECT", "timestamp": 1, "errorMessage": everything}]
        failure = {"name": everything, "error": everything, "stackTrace": everything}
        status = {"runId": self.elsewhere, "pipelineState": "failed", "timestamp": 1}
        http, run = self.server.http, f"{fqn}/{self.elsewhere}"
        answers = [
            http.post(f"{PIPELINES}/logs/{run}", json=f"{everything}\n"),
            http.post(f"{PIPELINES}/logs/{run}/close"),
            http.put(f"{PIPELINES}/progress/{run}", json=update),
            http.put(
                f"{PIPELINES}/{fqn}/pipelineStatus",
                json=status | {"status": [{"name": "x", "failures": [failure]}]},
            ),
            http.post(
                f"{PIPELINES}/metrics/{fqn}/{self.runs[0]}",
                json={"runId": self.runs[0], "stepName": "x", "metrics": metrics},
            ),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 201, 200]
        self.told_elsewhere = [
            f"{PIPELINES}/logs/{run}",
            f"{PIPELINES}/logs/{fqn}/stream/{self.elsewhere}",
            f"{PIPELINES}/progress/{run}",
            f"{PIPELINES}/progress/{fqn}/stream/{self.elsewhere}",
            f"{PIPELINES}/{fqn}/pipelineStatus/{self.elsewhere}",
        ]

    def told(self, run_id: str) -> bytes:
        return (self.server.run_dir(run_id) / protocol.LOG_FILE).read_bytes()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    directory = tmp_path_factory.mktemp("canary")
    settings = directory / "settings.yaml"
    settings.write_text(
        json.dumps(
            {
                "admin_password": CANARIES["admin"],
                "airflow_plugin": {"password": CANARIES["plugin"]},
                "openmetadata": {"jwt_token": CANARIES["settings"]},
                "runtime": {"environment": {"WAREHOUSE_PASSWORD": CANARIES["environment"], "GREETING": "hello"}},
            }
        )
    )
    settings.chmod(0o600)
    with served_runs(
        directory,
        CONFIG=str(settings),
        LOGGING__LEVEL="debug",
        ADMIN_PASSWORD="",
        authorization=basic("admin", CANARIES["admin"]),
    ) as server:
        found = Planted(server)
        found.plant()
        yield found


def test_the_runs_had_something_to_tell(planted: Planted) -> None:
    """Or else nothing below would mean anything."""
    application, known_to_sandbox, _ = planted.runs
    for run_id, least in ((application, 20), (known_to_sandbox, 10)):
        log = planted.told(run_id)
        assert b"config: " in log
        assert log.count(b"*********") > least
        assert b"'GREETING': 'hello'" in log
        assert b"'WAREHOUSE_PASSWORD': '*********'" in log
        # What came past the streams is looked through at the end: in place, so that every byte keeps its offset.
        for told in (b"straight: {", b"behind: {", b"told by a program: **********"):
            assert told in log
        assert b"*" * len(CANARIES["environment"].encode()) + b"\n" in log
    assert b'"serviceConnection"' in planted.told(known_to_sandbox)


def test_no_file_has_one(planted: Planted) -> None:
    files = [path for path in planted.server.data.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"minisched.db", "minisched.db-wal", "sandbox.db", protocol.LOG_FILE, protocol.RESULT_FILE} < names
    files += [path for path in planted.server.data.parent.glob("*.log") if path.is_file()]
    assert [str(path) for path in files if STEM.encode() in path.read_bytes()] == []
    token = planted.sandbox_token.encode()
    assert [path.name for path in files if token in path.read_bytes()] == ["sandbox.token"]
    assert [str(path) for path in files if planted.api_token.encode() in path.read_bytes()] == []
    assert {
        path.name for path in files if path.stat().st_mode & 0o077 and path.is_relative_to(planted.server.data)
    } <= {path.name for path in (planted.server.data / "runtimes").rglob("*")}


def test_no_answer_has_one(planted: Planted) -> None:
    server = planted.server
    pipelines = server.http.get(PIPELINES, params={"limit": 100, "fields": "*"}).json()["data"]
    paths = [
        f"{PIPELINES}?limit=100&fields=*",
        f"{RUNS}?limit=100",
        "/api/v1/minisched/outbox",
        "/api/v1/minisched/runtimes",
        "/api/v1/minisched/deployments",
        "/api/v1/minisched/audit?limit=1000",
        "/api/v1/minisched/sandbox/tree",
        "/api/v1/minisched/sandbox/export",
        "/api/v1/services/databaseServices?limit=100&fields=*",
        f"/api/v1/services/databaseServices/{SERVICE['id']}?fields=*",
        f"/api/v1/services/databaseServices/name/{SERVICE['name']}?fields=*",
        "/health/live",
        "/health/ready",
        "/schema/openapi.json",
    ]
    for pipeline in pipelines:
        fqn = quote(pipeline["fullyQualifiedName"], safe="")
        paths += [
            f"{PIPELINES}/{pipeline['id']}?fields=*",
            f"{PIPELINES}/name/{fqn}?fields=*",
            f"{PIPELINES}/{pipeline['id']}/versions",
            f"{PIPELINES}/logs/{pipeline['id']}/last",
            f"{PIPELINES}/logs/{pipeline['id']}/last/download",
            f"{PIPELINES}/logs/{fqn}",
            f"{PIPELINES}/{fqn}/pipelineStatus?startTs=0&endTs=9999999999999",
        ]
    for run_id in (*planted.runs, planted.going_on):
        paths += [f"{RUNS}/{run_id}", f"{RUNS}/{run_id}/log"]
    for run_id in planted.runs:
        paths.append(f"{RUNS}/{run_id}/log/stream")
    paths += planted.told_elsewhere
    run = server.run(planted.runs[0])
    own = f"{quote(run['pipelineFqn'], safe='')}"
    paths += [f"{PIPELINES}/logs/{own}/{run['id']}", f"{PIPELINES}/logs/{own}/stream/{run['id']}"]
    answers = {path: server.http.get(path) for path in paths}
    assert all("I know *********" in answers[path].text for path in planted.told_elsewhere)
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    for name in {server.run(run_id)["pipelineName"] for run_id in planted.runs}:
        answers[f"last_dag_logs of {name}"] = planted.java.get(f"last_dag_logs?dag_id={name}&task_id=x")
        answers[f"status of {name}"] = planted.java.get(f"status?dag_id={name}")
    wanted = (STEM, planted.sandbox_token, planted.api_token)
    assert [path for path, answer in answers.items() if any(secret in answer.text for secret in wanted)] == []


def test_no_process_shows_one(planted: Planted) -> None:
    server = planted.server
    ours = {server.process.pid, *(process.pid for process in processes_about(server.data))}
    assert {server.launcher(), server.guard(planted.going_on), server.runner(planted.going_on)} < ours
    shown = {}
    for pid in ours:
        for name in ("cmdline", "environ"):
            try:
                shown[pid, name] = Path(f"/proc/{pid}/{name}").read_bytes()
            except PermissionError:  # its memory is hidden, and we are not root
                assert name == "environ"
    secrets = [secret.encode() for secret in (STEM, planted.sandbox_token, planted.api_token)]
    assert [key for key, text in shown.items() if any(secret in text for secret in secrets)] == []


def test_no_process_lets_others_of_its_user_look_into_it(planted: Planted) -> None:
    """A reader of the same user, without root's rights."""
    server = planted.server
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        skip_or_fail("setpriv is needed to give up root's rights")
    reader = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    wait_until(lambda: len(server.children_of_launchers()) >= 4)  # a spare pair beside the run's
    for pid in (server.process.pid, server.launcher(), *(process.pid for process in server.children_of_launchers())):
        for name in ("environ", "mem", "maps"):
            done = subprocess.run(
                [*reader, "head", "-c", "1", f"/proc/{pid}/{name}"], check=False, capture_output=True, text=True
            )
            assert done.returncode != 0, (pid, name)
            assert "ermission denied" in done.stderr
