"""`minisched run WORKFLOW.yaml` as people call it: processes, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from minisched.cli.exit_codes import ExitCode
from minisched.cli.sample_database import create_sample_database
from tests.acceptance.server_process import STANDIN, write_standin_runtime
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until

WITHIN_S = 120.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data directory; nothing may run in it when the test is over."""
    yield tmp_path / "data"
    left = processes_about(tmp_path)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """With the stand-in for a runtime, whose source says how it behaves."""
    write_standin_runtime(home / "runtimes")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINISCHED_")}
    return {
        **inherited,
        "MINISCHED_DATA_DIR": str(home),
        "MINISCHED_RUNTIME__DEFAULT": "standin",
        "MINISCHED_RUNTIME__PYTHON_PATH": str(STANDIN),
        "MINISCHED_EXECUTOR__STOP_GRACE_S": "2",
    }


@pytest.fixture
def real_environment(environment: dict[str, str], real_runtime: Path) -> dict[str, str]:
    """With the real package."""
    del environment["MINISCHED_RUNTIME__PYTHON_PATH"]
    return environment | {"MINISCHED_RUNTIME__DEFAULT": str(real_runtime)}


def _workflow(directory: Path, **source: Any) -> str:
    config = {
        "source": {"type": "mysql", "serviceName": "shop", **source},
        "workflowConfig": {"openMetadataServerConfig": {"hostPort": "http://127.0.0.1:1/api"}},
    }
    path = directory / "workflow.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def _started(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "minisched", "run", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with _started(environment, *arguments) as process:
        out, err = process.communicate(timeout=WITHIN_S)
        return process.returncode, out, err


@pytest.mark.parametrize(
    ("failures", "state", "code"),
    [(0, "success", ExitCode.OK), (1, "partialSuccess", ExitCode.PARTIAL_SUCCESS), (10, "failed", ExitCode.FAILED)],
)
def test_log_steps_and_exit_code_are_those_of_the_workflow(
    environment: dict[str, str], tmp_path: Path, failures: int, state: str, code: ExitCode
) -> None:
    steps = [{"name": "Shop", "records": 10, "failures": failures}, {"name": "Sink", "records": 10}]
    returned, out, err = _run(environment, _workflow(tmp_path, steps=steps))
    assert returned == code, err
    assert "executing at" in out  # the workflow's own log
    assert "Shop" in out
    assert state in out
    assert ("boom 0" in out) is bool(failures)


def test_json_goes_to_stdout_and_the_log_to_stderr(environment: dict[str, str], tmp_path: Path) -> None:
    returned, out, err = _run(environment, "--json", _workflow(tmp_path))
    assert returned == ExitCode.OK, err
    assert json.loads(out)["state"] == "success"
    assert "executing at" in err


def test_what_the_workflow_raises_is_the_message(environment: dict[str, str], tmp_path: Path) -> None:
    workflow = _workflow(tmp_path, behaviour="wrong_password", password="hunter2")
    returned, out, _ = _run(environment, "--json", workflow)
    assert returned == ExitCode.FAILED
    assert "password authentication failed" in json.loads(out)["message"]
    assert "hunter2" not in out


def test_a_variable_of_the_environment_reaches_the_workflow(environment: dict[str, str], tmp_path: Path) -> None:
    workflow = _workflow(tmp_path, behaviour="$BEHAVIOUR", secret="x")
    returned, out, _ = _run(environment | {"BEHAVIOUR": "raise_error"}, workflow)
    assert returned == ExitCode.FAILED
    assert "it broke with" in out


@pytest.mark.parametrize(
    ("text", "said"), [("source: [1, 2\nx: 1\n", "line 2"), ("a: b\n", "workflowConfig"), ("", "found nothing")]
)
def test_a_file_that_is_no_workflow_starts_nothing(
    environment: dict[str, str], tmp_path: Path, home: Path, text: str, said: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    returned, out, err = _run(environment, str(tmp_path / "wrong.yaml"))
    assert (returned, out) == (ExitCode.USAGE, "")
    assert said in err
    assert "Traceback" not in err
    assert [entry.name for entry in home.iterdir()] == ["runtimes"]


def test_a_runtime_that_is_not_there_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    returned, _, err = _run(environment, "--runtime", "nowhere", _workflow(tmp_path))
    assert returned in (ExitCode.FAILED, ExitCode.NOT_FOUND)
    assert "nowhere" in err


def test_a_run_that_takes_too_long_is_ended(environment: dict[str, str], tmp_path: Path) -> None:
    returned, out, _ = _run(environment, "--json", "--timeout-s", "0.5", _workflow(tmp_path, behaviour="hang"))
    assert returned == ExitCode.FAILED
    assert json.loads(out)["reason"] == "timed_out"


def _is_executing(home: Path) -> bool:
    return any("executing at" in log.read_text() for log in home.glob("single_runs/*/*/run.log"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_interruption_stops_the_run(
    environment: dict[str, str], tmp_path: Path, home: Path, number: signal.Signals
) -> None:
    with _started(environment, "--json", _workflow(tmp_path, behaviour="hang")) as process:
        wait_until(lambda: _is_executing(home), timeout_s=WITHIN_S)
        process.send_signal(number)
        out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == ExitCode.INTERRUPTED
    assert json.loads(out)["state"] == "stopped"
    assert "press Ctrl-C again" in err
    assert not processes_about(home)


def test_a_second_interruption_kills_the_run(environment: dict[str, str], tmp_path: Path, home: Path) -> None:
    environment["MINISCHED_EXECUTOR__STOP_GRACE_S"] = "600"
    with _started(environment, _workflow(tmp_path, behaviour="ignore_term")) as process:
        wait_until(lambda: _is_executing(home), timeout_s=WITHIN_S)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "press Ctrl-C again" in process.stderr.readline() + process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert not processes_about(home)


@pytest.mark.real_runtime
def test_a_file_of_the_connector_docs_runs_with_the_real_package(
    real_environment: dict[str, str], tmp_path: Path
) -> None:
    create_sample_database(tmp_path / "shop.db")
    connection = {"config": {"type": "SQLite", "database": "shop", "databaseMode": "$SHOP"}}
    workflow = _workflow(
        tmp_path,
        type="sqlite",
        serviceConnection=connection,
        sourceConfig={"config": {"type": "DatabaseMetadata"}},
    )
    document = yaml.safe_load(Path(workflow).read_text()) | {"sink": {"type": "metadata-rest", "config": {}}}
    Path(workflow).write_text(yaml.safe_dump(document))
    shop = {"SHOP": str(tmp_path / "shop.db")}
    returned, out, err = _run(real_environment | shop, "--sandbox", "--json", workflow)
    assert returned == ExitCode.OK, err
    records = {step["name"]: step["records"] for step in json.loads(out)["steps"]}
    assert records["SQLite"] >= 24
    assert records["OpenMetadata"] >= 24


@pytest.mark.real_runtime
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "nosuchconnector"}, "no connector of this source type"),
        ({"type": "sqlite", "serviceConnection": {"config": {"type": "SQLite", "unknown": 1}}}, "unknown"),
    ],
)
def test_a_wrong_connector_is_named(
    real_environment: dict[str, str], tmp_path: Path, source: dict[str, Any], said: str
) -> None:
    source = {"sourceConfig": {"config": {"type": "DatabaseMetadata"}}, **source}
    returned, out, _ = _run(real_environment, "--sandbox", "--json", _workflow(tmp_path, **source))
    assert returned == ExitCode.FAILED
    assert said in json.loads(out)["message"].lower()
