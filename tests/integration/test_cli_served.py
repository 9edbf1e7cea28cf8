"""The command line against a real server: the life of a pipeline, from its file to its deletion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.exit_codes import ExitCode
from minisched.cli.run_log import follow_log
from minisched.cli.server import Server
from minisched.cli.server_process import ServerProcess
from tests.integration.served_standin import password, served_standin
from tests.waiting import wait_until

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with served_standin(tmp_path_factory.mktemp("served")) as process:
        yield process


@pytest.fixture
def server(process: ServerProcess) -> Iterator[Server]:
    with process.server() as server:
        yield server


@pytest.fixture
def call(process: ServerProcess) -> Call:
    ours = password(process)

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command_line, ["--url", process.url, *arguments], input=stdin, env=ours)

    return call


def _document(name: str, **behaviour: Any) -> str:
    """An application whose stand-in behaves as its appConfig says; the service is given by name."""
    app = {"type": "Custom", **behaviour}
    return yaml.safe_dump(
        {
            "name": name,
            "pipelineType": "application",
            "service": {"name": "shop", "type": "databaseService"},
            "airflowConfig": {"scheduleInterval": "0 3 * * *"},
            "sourceConfig": {"config": {"type": "Application", "sourcePythonClass": "any.App", "appConfig": app}},
        }
    )


def _json(result: Result) -> Any:
    assert result.exit_code in (ExitCode.OK, ExitCode.PARTIAL_SUCCESS, ExitCode.FAILED), result.output
    return json.loads(result.stdout)


def test_the_life_of_a_pipeline(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "daily.yaml"
    file.write_text(_document("daily"))
    created = _json(call("pipeline", "create", str(file), "--json"))
    assert (created["fullyQualifiedName"], created["deployed"]) == ("shop.daily", False)
    assert call("pipeline", "create", str(file)).exit_code == ExitCode.FAILED  # it exists
    assert _json(call("pipeline", "create", str(file), "--update", "--json"))["id"] == created["id"]

    assert "deployed" in call("pipeline", "deploy", "daily").output
    listed = call("pipeline", "list").output
    assert all(word in listed for word in ("shop.daily", "application", "0 3 * * *", "yes"))

    followed = call("pipeline", "trigger", "shop.daily", "--follow")
    assert followed.exit_code == ExitCode.OK, followed.output
    assert "executing at" in followed.output
    assert "success" in followed.output

    (run,) = _json(call("pipeline", "runs", "daily", "--json"))
    assert run["state"] == "success"
    log = call("pipeline", "logs", "daily").output
    assert "executing at" in log
    assert call("pipeline", "logs", "daily", "--follow", "--run", run["id"]).stdout == log
    assert _json(call("pipeline", "logs", "daily", "--json"))["log"] == log
    assert run["id"] in call("runs", "list", "--pipeline", "daily", "--state", "success").output
    assert "Sink" in call("runs", "show", run["id"]).output
    shown = call("pipeline", "show", created["id"]).output
    assert all(word in shown for word in ("shop.daily", run["id"], "sourcePythonClass"))

    assert _json(call("pipeline", "disable", "daily", "--json"))["enabled"] is False
    assert _json(call("pipeline", "disable", "daily", "--json"))["enabled"] is False
    assert _json(call("pipeline", "enable", "daily", "--json"))["enabled"] is True

    assert call("pipeline", "delete", "daily", "--hard").exit_code == ExitCode.OK
    assert call("pipeline", "show", "daily").exit_code == ExitCode.NOT_FOUND


def test_a_service_is_made_from_a_file_and_pipelines_find_it(call: Call) -> None:
    auth = {"password": "${MYSQL_PASSWORD}"}
    connection = {"config": {"type": "Mysql", "username": "om", "authType": auth}}
    service = {"type": "databaseService", "name": "from_file", "serviceType": "Mysql", "connection": connection}
    missing = call("sandbox", "service", "-", stdin=yaml.safe_dump(service))
    assert missing.exit_code == ExitCode.USAGE
    assert "connection.config.authType.password: the environment has no variable MYSQL_PASSWORD" in missing.output
    auth["password"] = "s3cret-of-mysql"
    assert "from_file: stored" in call("sandbox", "service", "-", stdin=yaml.safe_dump(service)).output
    document = _document("reads_it").replace("name: shop", "name: from_file")
    assert "from_file.reads_it: created" in call("pipeline", "create", "-", stdin=document).output
    wrong = call("sandbox", "service", "-", stdin=yaml.safe_dump({**service, "type": "database"}))
    assert (wrong.exit_code, "type: is not a type of service. One of" in wrong.output) == (ExitCode.USAGE, True)


def test_what_became_of_a_pipeline_is_said(call: Call) -> None:
    document = _document("told")
    assert "shop.told: created, not deployed yet" in call("pipeline", "create", "-", stdin=document).output
    again = call("pipeline", "create", "-", stdin=document)
    assert "already exists" in again.output
    assert "--update" in again.output
    update = ("pipeline", "create", "-", "--update")
    assert "shop.told: unchanged, not deployed yet" in call(*update, stdin=document).output
    assert "shop.told: unchanged, deployed" in call(*update, "--deploy", stdin=document).output
    later = document.replace("0 3 * * *", "0 4 * * *")
    assert "shop.told: updated, deployed" in call(*update, stdin=later).output

    changes = [entry["operation"] for entry in _json(call("audit", "--json")) if "told" in str(entry)]
    assert changes == ["put_pipeline", "deploy_pipeline", "create_pipeline"]


def test_a_hidden_pipeline_can_be_found_brought_back_and_deleted_for_good(call: Call) -> None:
    call("pipeline", "create", "-", "--deploy", stdin=_document("hidden"))
    assert "its schedule goes on until it is deleted with --hard" in call("pipeline", "delete", "hidden").output
    assert "shop.hidden" not in call("pipeline", "list").output
    assert [one["name"] for one in _json(call("pipeline", "list", "--deleted", "--json"))] == ["hidden"]
    assert _json(call("pipeline", "show", "hidden", "--json"))["deleted"] is True
    assert "restored" in call("pipeline", "restore", "hidden").output
    assert "shop.hidden" in call("pipeline", "list").output

    call("pipeline", "delete", "hidden")
    assert call("pipeline", "delete", "hidden").exit_code == ExitCode.NOT_FOUND
    assert "deleted for good" in call("pipeline", "delete", "hidden", "--hard").output
    assert call("pipeline", "show", "hidden").exit_code == ExitCode.NOT_FOUND
    assert "hidden" not in call("deployment", "list").output


@pytest.mark.parametrize(
    ("name", "failures", "code"), [("partly", 1, ExitCode.PARTIAL_SUCCESS), ("badly", 10, ExitCode.FAILED)]
)
def test_a_followed_run_ends_as_its_workflow_does(call: Call, name: str, failures: int, code: ExitCode) -> None:
    steps = [{"name": "Shop", "records": 10, "failures": failures}, {"name": "Sink", "records": 10}]
    call("pipeline", "create", "-", "--deploy", stdin=_document(name, steps=steps))
    result = call("pipeline", "trigger", name, "--follow")
    assert result.exit_code == code
    assert "boom 0" in result.output


def _is_running(call: Call, name: str) -> bool:
    runs = _json(call("pipeline", "runs", name, "--json"))
    return bool(runs) and runs[0]["state"] == "running"


@pytest.mark.parametrize("by", ["pipeline", "run"])
def test_a_stop_ends_the_run_and_the_one_who_follows_it(call: Call, server: Server, by: str) -> None:
    name = f"endless_{by}"
    call("pipeline", "create", "-", "--deploy", stdin=_document(name, behaviour="hang"))
    run_id = _json(call("pipeline", "trigger", name, "--json"))["runId"]
    written: list[bytes] = []
    follower = threading.Thread(target=follow_log, args=(server, run_id, written.append), daemon=True)
    follower.start()
    wait_until(lambda: b"executing at" in b"".join(written), timeout_s=30)
    stop = call("pipeline", "stop", name) if by == "pipeline" else call("runs", "stop", run_id)
    assert stop.exit_code == ExitCode.OK, stop.output
    assert "stopped" in stop.output
    assert _json(call("runs", "show", run_id, "--json"))["state"] == "stopped"
    follower.join(timeout=30)
    assert not follower.is_alive()
    assert call("pipeline", "stop", name).exit_code != ExitCode.OK  # nothing is left to stop


def test_ctrl_c_ends_the_following_and_not_the_run(call: Call, process: ServerProcess) -> None:
    call("pipeline", "create", "-", "--deploy", stdin=_document("watched", behaviour="hang"))
    command = [sys.executable, "-m", "minisched", "--url", process.url, "pipeline", "trigger", "watched", "--follow"]
    environment = {**os.environ, **password(process)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert any("executing at" in line for line in follower.stdout)
        follower.send_signal(signal.SIGINT)
        _, said = follower.communicate(timeout=30)
    assert follower.returncode == ExitCode.INTERRUPTED
    (run,) = _json(call("pipeline", "runs", "watched", "--json"))
    assert run["state"] == "running"
    assert f"run {run['id']} goes on" in said
    assert f"minisched pipeline logs watched --follow --run {run['id']}" in said
    assert call("runs", "stop", run["id"]).exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{name: x, pipelineType: nosuch, service: shop, airflowConfig: {}, sourceConfig: {}}", "pipelineType"),
        ("{name: x, service: shop}", "pipelineType"),
        ("{name: x, service: nowhere}", "nowhere"),
        (_document("x").replace("0 3 * * *", "never"), "never"),
        ("[1, 2]", "found a list"),
        ("{name: x", "line 1"),
    ],
)
def test_a_document_that_is_wrong_is_refused_by_what_is_wrong(call: Call, document: str, said: str) -> None:
    result = call("pipeline", "create", "-", stdin=document)
    assert result.exit_code in (ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_FOUND)
    assert said in result.output
    assert "Traceback" not in result.output


def test_an_unknown_run_ends_in_3(call: Call) -> None:
    for arguments in (("runs", "show", "nope"), ("runs", "stop", "00000000-0000-4000-8000-000000000000")):
        assert call(*arguments).exit_code == ExitCode.NOT_FOUND


def test_the_sandbox_is_drawn_and_exported(call: Call) -> None:
    assert "shop  Mysql" in call("sandbox", "tree").output
    kinds = {json.loads(line)["kind"] for line in call("sandbox", "export").output.splitlines()}
    assert "databaseService" in kinds
