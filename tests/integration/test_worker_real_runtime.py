"""The real ingestion package in warm processes, against a stub of an OpenMetadata server."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minisched.worker import protocol
from tests.integration.launcher_process import WORKER, LauncherProcess, SpawnedRun, pids_with
from tests.integration.openmetadata_stub import TOKEN, OpenMetadataStub, openmetadata_stub

pytestmark = pytest.mark.real_runtime

_APPS = """
import os, time
from metadata.workflow.application import AppRunner

class Good(AppRunner):
    def run(self):
        print("config", self.app_config)
        self.status.scanned("one")

    def close(self):
        pass

class Bad(Good):
    def run(self):
        raise RuntimeError("the app broke")

class Slow(Good):
    def run(self):
        with open("draft", "w") as file:
            file.write(str(os.getpid()))
        os.rename("draft", "main.pid")
        while True:
            time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def launcher(real_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LauncherProcess]:
    directory = tmp_path_factory.mktemp("real")
    (directory / "apps_of_test.py").write_text(_APPS)
    launcher = LauncherProcess(
        directory, "--path", str(directory), "--linger-s", "30", python=str(real_runtime), timeout_s=180
    )
    yield launcher
    launcher.close()


@pytest.fixture
def openmetadata(launcher: LauncherProcess) -> Iterator[OpenMetadataStub]:
    with openmetadata_stub(version=".".join(launcher.hello["version"].split(".")[:3])) as stub:
        yield stub


def run_pipeline(launcher: LauncherProcess, document: dict[str, Any], **job: Any) -> SpawnedRun:
    return launcher.spawn({"task": "pipeline", "pipeline": document, **job})


def application(openmetadata: OpenMetadataStub, name: str, **config: Any) -> dict[str, Any]:
    service = openmetadata.add_service("OpenMetadata", "OpenMetadata", {})
    return openmetadata.pipeline("app", "application", service, sourcePythonClass=f"apps_of_test.{name}", **config)


def postgres(openmetadata: OpenMetadataStub, **config: Any) -> dict[str, Any]:
    """A metadata pipeline of a database that refuses connections."""
    connection = {
        "type": "Postgres",
        "username": "hugo",
        "authType": {"password": "hunter22-secret"},
        "hostPort": "127.0.0.1:1",
        "database": "x",
    }
    return openmetadata.pipeline("m", "metadata", openmetadata.add_service("pg", "Postgres", connection), **config)


def states(openmetadata: OpenMetadataStub) -> list[str]:
    return [status["pipelineState"] for status in openmetadata.statuses]


def test_it_is_ready_to_fork(launcher: LauncherProcess) -> None:
    assert launcher.hello["state"] == "ready", launcher.hello["problem"]
    assert launcher.hello["version"]
    assert len(list(Path(f"/proc/{launcher.process.pid}/task").iterdir())) == 1


def test_application_runs_with_its_override(launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
    document = application(openmetadata, "Good", appConfig={"type": "x", "n": 1})

    run = run_pipeline(launcher, document, overrides={"appConfig": {"n": 2}})
    ended = run.wait(60)

    assert ended["exit_code"] == protocol.EXIT_SUCCESS, run.log
    assert (run.result["verdict"], run.result["stage"]) == ("success", "done")
    assert run.result["steps"][0]["records"] == 1
    assert run.result["reported"] is True
    assert "config {'type': 'x', 'n': 2}" in run.log
    assert states(openmetadata) == ["running", "success"]
    assert {status["runId"] for status in openmetadata.statuses} == {run.id}
    assert "\x1b" not in run.log
    assert pids_with(run.id) == []


def test_application_that_breaks(launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
    run = run_pipeline(launcher, application(openmetadata, "Bad"))

    assert run.wait(60)["exit_code"] == protocol.EXIT_FAILED
    assert run.result["error"] == {"type": "RuntimeError", "message": "the app broke", "hint": None}
    assert states(openmetadata) == ["running", "failed"]


def test_stop_is_reported_as_stopped(launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
    run = run_pipeline(launcher, application(openmetadata, "Slow"))
    run.note("main", timeout_s=60)

    run.stop()
    ended = run.wait()

    assert (ended["ended_by"], ended["exit_code"]) == ("stop", protocol.EXIT_STOPPED)
    assert ended["kill_ms"] < 3000
    assert (run.result["verdict"], run.result["reported"]) == ("stopped", True)
    assert states(openmetadata) == ["running", "stopped"]


def test_source_that_is_down_is_named(launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
    run = run_pipeline(launcher, postgres(openmetadata) | {"loggerLevel": "ERROR"})

    assert run.wait(60)["exit_code"] == protocol.EXIT_FAILED
    assert (run.result["stage"], run.result["reported"]) == ("create", False)
    error = run.result["error"]
    assert error["type"] == "SourceConnectionException"
    assert error["message"].startswith("CheckAccess failed: ")
    assert "refused" in error["message"]
    assert error["hint"]
    assert "hunter22" not in run.log
    assert "hunter22" not in json.dumps(run.result)
    assert TOKEN not in run.log


def test_fields_of_newer_servers_are_left_out(launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
    document = postgres(openmetadata, type="DatabaseMetadata", threads=1, fieldOfTomorrow=True)
    document["openMetadataServerConnection"]["connectionFieldOfTomorrow"] = 1

    run = run_pipeline(launcher, document)
    run.wait(60)

    assert run.result["dropped_fields"] == [
        "openMetadataServerConnection.connectionFieldOfTomorrow",
        "sourceConfig.config.fieldOfTomorrow",
    ]
    assert "fieldOfTomorrow" in run.log
    assert run.result["error"]["type"] == "SourceConnectionException"


@pytest.mark.parametrize(
    ("trouble", "kind", "text"),
    [
        ("gone", "ServiceUnavailable", "there is no databaseService pg in OpenMetadata"),
        ("token", "ServiceUnavailable", "the bot token was rejected"),
        ("down", "ServiceUnavailable", "cannot be reached"),
        ("version", "OMetaClientInitError", "VersionMismatchException"),
        ("unknown", "AttributeError", "no connector of this source type"),
        ("plugin", "MissingPluginException", "snowflake"),
    ],
)
def test_trouble_before_the_start_is_readable(
    launcher: LauncherProcess, openmetadata: OpenMetadataStub, trouble: str, kind: str, text: str
) -> None:
    document = postgres(openmetadata)
    service = openmetadata.services["databaseServices", "pg"]
    if trouble == "gone":
        openmetadata.services.clear()
    elif trouble == "token":
        openmetadata.reject_token = True
    elif trouble == "down":
        document["openMetadataServerConnection"]["hostPort"] = "http://127.0.0.1:1/api"
    elif trouble == "version":
        openmetadata.version = "0.1.0"
    else:
        service["serviceType"] = {"unknown": "Nonsense", "plugin": "Snowflake"}[trouble]

    run = run_pipeline(launcher, document)

    assert run.wait(60)["exit_code"] == protocol.EXIT_FAILED
    assert run.result["error"]["type"] == kind
    assert text in run.result["error"]["message"]
    assert run.result["error"]["hint"]
    if trouble == "plugin":
        assert "pip install" in run.result["error"]["message"]
        assert "--replace" in run.result["error"]["hint"]
        assert run.result["error"]["hint"].endswith(",snowflake")


class TestWorkflowFile:
    def test_sqlite_reaches_the_sink(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub, tmp_path: Path
    ) -> None:
        with sqlite3.connect(tmp_path / "x.db") as database:
            database.execute("create table t (a int)")
        database.close()
        connection = {"type": "SQLite", "databaseMode": str(tmp_path / "x.db")}
        openmetadata.add_service("lite", "SQLite", connection)
        config = {
            "source": {
                "type": "sqlite",
                "serviceName": "lite",
                "serviceConnection": {"config": connection},
                "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
            },
            "sink": {"type": "metadata-rest", "config": {}},
        }

        run = launcher.spawn({"task": "workflow", "config": config, "connection": openmetadata.connection})
        run.wait(60)

        # The stub keeps no catalog, so entities get lost on the way; what counts is that the whole workflow ran.
        assert run.result["stage"] in ("raise", "done")
        assert [step["name"] for step in run.result["steps"]] == ["SQLite", "OpenMetadata"]
        assert "PUT databases/bulk" in openmetadata.calls or "DELETE storedProcedures/deleteStale" in openmetadata.calls

    def test_extra_fields_are_errors_here(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
        config = {
            "source": {
                "type": "sqlite",
                "serviceName": "x",
                "sourceConfig": {"config": {"type": "Profiler", "tpyo": 1}},
            },
            "processor": {"type": "orm-profiler", "config": {}},
            "sink": {"type": "metadata-rest", "config": {}},
        }

        run = launcher.spawn({"task": "workflow", "config": config, "connection": openmetadata.connection})
        run.wait(60)

        assert run.result["error"]["type"] == "ParsingConfigurationError"
        assert "tpyo" in run.result["error"]["message"]

    @pytest.mark.parametrize(
        ("named", "near"),
        [("nosuch", None), ("postgress", "postgres"), ("postgress-usage", "postgres"), ("snowflak", "snowflake")],
    )
    def test_an_unknown_connector_ends_in_one_line(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub, named: str, near: str | None
    ) -> None:
        config = postgres_file(named, password="x")

        run = launcher.spawn({"task": "workflow", "config": config, "connection": openmetadata.connection})
        run.wait(60)

        error = run.result["error"]
        assert error["type"] == "UnknownSourceType"
        assert f"source.type is '{named}'" in error["message"]
        assert ("near: " in error["message"]) == (near is not None)
        assert near is None or near in error["message"].partition("near: ")[2]
        assert "source.type" in error["hint"]
        assert len(run.log) < 1000

    def test_a_secret_under_a_misspelt_key_is_nowhere(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub
    ) -> None:
        config = postgres_file("postgres", geheim="HUNTER2HUNTER2")

        run = launcher.spawn({"task": "workflow", "config": config, "connection": openmetadata.connection})
        run.wait(60)

        assert run.result["error"]["type"] == "ParsingConfigurationError"
        assert "geheim" in run.log
        assert "input_value=*********" in run.log
        assert "HUNTER2" not in run.log + json.dumps(run.result)

    @pytest.mark.parametrize(("named", "near"), [("NoSuch", ""), ("postgres", "; near: Postgres")])
    def test_an_unknown_connection_is_named(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub, named: str, near: str
    ) -> None:
        config = postgres_file("postgres", password="x")
        config["source"]["serviceConnection"]["config"]["type"] = named

        run = launcher.spawn({"task": "workflow", "config": config, "connection": openmetadata.connection})
        run.wait(60)

        error = run.result["error"]
        assert error["type"] == "ParsingConfigurationError"
        assert error["message"].startswith(f"serviceConnection.config.type is '{named}': ")
        assert near in error["message"]
        assert len(run.log) < 30_000


def postgres_file(named: str, **authentication: str) -> dict[str, Any]:
    """A workflow file with this source.type and a connection to PostgreSQL."""
    connection = {"type": "Postgres", "username": "u", "hostPort": "127.0.0.1:1", "database": "d"}
    return {
        "source": {
            "type": named,
            "serviceName": "x",
            "serviceConnection": {"config": connection | {"authType": authentication}},
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        },
        "sink": {"type": "metadata-rest", "config": {}},
    }


class TestValidation:
    def validate(self, launcher: LauncherProcess, document: dict[str, Any]) -> dict[str, Any]:
        run = launcher.spawn({"task": "validate", "pipeline": document})
        run.wait(60)
        return run.result

    def test_good_pipelines(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
        for kind in ("metadata", "usage", "lineage", "profiler", "autoClassification"):
            result = self.validate(launcher, postgres(openmetadata) | {"pipelineType": kind})
            assert (result["verdict"], result["problems"]) == ("success", []), kind
        assert openmetadata.calls == []

    def test_test_suites(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
        document = postgres(openmetadata, type="TestSuite") | {"pipelineType": "TestSuite"}

        assert self.validate(launcher, document)["problems"] == []

    def test_every_problem_has_a_line_and_no_value(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub
    ) -> None:
        document = postgres(openmetadata, threads="hunter22", type="DatabaseMetadata") | {
            "loggerLevel": "LOUD-hunter22",
            "airflowConfig": {"retries": "hunter22"},
        }

        result = self.validate(launcher, document)

        assert [problem.split(":")[0] for problem in result["problems"]] == [
            "Invalid parameter value for 'threads' in 'sourceConfig.config'",
            "Invalid parameter value for 'loggerLevel'",
            "Invalid parameter value for 'retries' in 'airflowConfig'",
        ]
        assert "hunter22" not in str(result["problems"])
        assert result["verdict"] == "failed"

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"pipelineType": "policyAgent"}, "no open-source workflow"),
            ({"pipelineType": "application"}, "Missing parameter 'sourcePythonClass' in 'sourceConfig.config'"),
            ({"sourceConfig": {"config": {"type": "Nonsense"}}}, "no pipeline of that type"),
        ],
    )
    def test_what_cannot_work(
        self, launcher: LauncherProcess, openmetadata: OpenMetadataStub, change: dict[str, Any], text: str
    ) -> None:
        problems = self.validate(launcher, postgres(openmetadata) | change)["problems"]

        assert len(problems) == 1
        assert text in problems[0]


class TestAutomation:
    def run(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub, config: dict[str, Any]) -> SpawnedRun:
        document = {
            "id": "33333333-3333-4333-8333-333333333333",
            "name": "test-connection",
            "workflowType": "TEST_CONNECTION",
            "request": {
                "connection": {"config": config},
                "serviceType": "Database",
                "connectionType": config["type"],
            },
            "openMetadataServerConnection": openmetadata.connection,
        }
        openmetadata.automations["test-connection"] = document
        run = launcher.spawn({"task": "automation", "config": document})
        run.wait(60)
        return run

    def test_good_connection(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
        run = self.run(launcher, openmetadata, {"type": "SQLite"})

        assert (run.result["verdict"], run.result["reported"]) == ("success", True)
        assert [(step["name"], step["errors"]) for step in run.result["steps"]] == [("CheckAccess", 0)]
        assert openmetadata.patches[-1][1]["value"] == "Successful"

    def test_bad_connection(self, launcher: LauncherProcess, openmetadata: OpenMetadataStub) -> None:
        config = {"type": "Postgres", "username": "u", "hostPort": "127.0.0.1:1", "database": "x"}

        run = self.run(launcher, openmetadata, config)

        assert (run.result["verdict"], run.result["reported"]) == ("failed", True)
        assert run.result["error"]["message"].startswith("CheckAccess failed: ")
        assert openmetadata.patches[-1][1]["value"] == "Failed"


def test_inspect_names_every_workflow_module(real_runtime: Path) -> None:
    output = subprocess.run([str(real_runtime), str(WORKER), "inspect"], check=True, capture_output=True).stdout
    found = json.loads(output)

    assert found["modules"]["metadata.workflow.metadata"] is None
    assert found["version"]
    assert "metadata.ingestion.api.workflow" not in found["modules"]
