"""The command line against a real server: the life of a pipeline, from its file to its deletion."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation
from minisched.cli.run_log import follow_log
from minisched.cli.server import Server
from minisched.cli.server_process import ServerProcess
from tests.acceptance.server_process import STANDIN, write_standin_runtime
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the server; its data is in `data`."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    """A server over the stand-in runtime, with the service `shop` in its sandbox."""
    write_standin_runtime(directory / "runtimes")
    variables = {
        "MINISCHED_RUNTIME__DEFAULT": "standin",
        "MINISCHED_RUNTIME__DIRECTORY": str(directory / "runtimes"),
        "MINISCHED_RUNTIME__PYTHON_PATH": str(STANDIN),
        "MINISCHED_EXECUTOR__STOP_GRACE_S": "2",
        "MINISCHED_EXECUTOR__DRAIN": "stop",
        "MINISCHED_LAUNCHER__LINGER_S": "1",
    }
    with ServerProcess(directory / "data", variables) as process:
        process.wait_until_live()
        process.wait_until_warm(60)
        with Server(process.url) as server:
            server.put("/api/v1/services/databaseServices", {"name": "shop", "serviceType": "Mysql"})
            yield server
    assert not processes_about(directory)


@pytest.fixture
def call(server: Server) -> Call:
    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command_line, ["--url", server.url, *arguments], input=stdin)

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
    assert call("pipeline", "logs", "daily", "--follow", "--run", run["id"]).output == log
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


def _airflow_file(directory: Path, name: str, **behaviour: Any) -> str:
    """What the plugin of an Airflow kept of an application that an OpenMetadata server had deployed to it."""
    directory.mkdir(exist_ok=True)
    document = {
        **yaml.safe_load(_document(name, **behaviour)),
        "id": str(uuid4()),
        "fullyQualifiedName": f"shop.{name}",
        "service": {"id": str(uuid4()), "type": "databaseService", "name": "shop", "fullyQualifiedName": "shop"},
        "pipelineStatuses": None,
        "owner": None,
    }
    (directory / f"{name}.json").write_text(json.dumps(document))
    return str(document["id"])


def test_a_pipeline_of_airflow_is_imported_run_and_managed_without_an_entity(call: Call, tmp_path: Path) -> None:
    pipeline_id = _airflow_file(tmp_path / "configs", "from_airflow")
    imports = ("import", "airflow", "--configs", str(tmp_path / "configs"))
    first = _json(call(*imports, "--json"))["pipelines"]
    assert [(one["outcome"], one["enabled"]) for one in first] == [("new", False)]
    assert _json(call(*imports, "--json"))["pipelines"][0]["outcome"] == "unchanged"
    assert "shop.from_airflow" in call("deployment", "list").output
    assert call("pipeline", "show", "shop.from_airflow").exit_code == ExitCode.NOT_FOUND

    run_id = _json(call("deployment", "trigger", "shop.from_airflow", "--json"))["runId"]
    wait_until(lambda: _json(call("runs", "show", run_id, "--json"))["state"] == "success", timeout_s=30)
    assert _json(call("runs", "list", "--pipeline", "from_airflow", "--json"))[0]["pipelineId"] == pipeline_id
    assert "It is disabled" in call("pipeline", "next", "from_airflow", "--count", "1").output

    assert _json(call(*imports, "--enable", "--json"))["pipelines"][0]["enabled"] is True
    assert "It is disabled" not in call("pipeline", "next", "from_airflow", "--count", "1").output
    for verb, done in (("disable", "disabled"), ("enable", "enabled"), ("delete", "deleted")):
        assert call("deployment", verb, pipeline_id).output == f"{pipeline_id}: {done}\n"
    assert call("deployment", "trigger", "from_airflow").exit_code == ExitCode.NOT_FOUND


def _dbt(name: str, password: str) -> str:
    source = {"dbtConfigType": "http", "dbtCatalogHttpPath": "http://x/catalog.json", "dbtHttpPassword": password}
    return yaml.safe_dump(
        {
            "name": name,
            "pipelineType": "dbt",
            "service": {"name": "shop", "type": "databaseService"},
            "airflowConfig": {"scheduleInterval": "0 3 * * *"},
            "sourceConfig": {"config": {"type": "DBT", "dbtConfigSource": source, "includeTags": False}},
        }
    )


def _call_with(server: Server, environ: dict[str, str]) -> Call:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(
            command_line, ["--url", server.url, *arguments], obj=Invocation(environ=environ), env=environ
        )

    return call


def test_pipelines_go_to_yaml_files_and_come_back(call: Call, server: Server, tmp_path: Path) -> None:
    call("pipeline", "create", "-", stdin=_dbt("in_git", "s3cret-of-dbt"))
    exported = _json(call("export", "yaml", str(tmp_path), "--json"))
    (file,) = [Path(one["file"]) for one in exported["pipelines"] if one["fullyQualifiedName"] == "shop.in_git"]
    (variable,) = exported["variables"]["shop.in_git"]
    text = file.read_text()
    assert "s3cret-of-dbt" not in text
    assert f"dbtHttpPassword: ${{env:{variable}}}" in text
    assert "includeTags: false" in text
    assert "parsingTimeoutLimit" not in text  # a default
    call("export", "yaml", str(tmp_path))
    assert file.read_text() == text

    without = call("import", "yaml", str(file))
    assert without.exit_code == ExitCode.USAGE
    assert f"dbtHttpPassword: the environment has no variable {variable}" in without.output

    with_secret = _call_with(server, {variable: "s3cret-of-dbt"})
    assert _json(with_secret("import", "yaml", str(file), "--dry-run", "--json"))["pipelines"][0]["outcome"] == (
        "unchanged"
    )
    assert _json(with_secret("import", "yaml", str(file), "--json"))["pipelines"][0]["outcome"] == "unchanged"
    changed = _json(_call_with(server, {variable: "another"})("import", "yaml", str(file), "--json"))
    assert changed["pipelines"][0]["outcome"] == "updated"

    file.write_text(text.replace("0 3 * * *", "0 4 * * *") + "enabled: false\n")
    assert "would be updated" in with_secret("import", "yaml", str(file), "--dry-run").output
    assert _json(call("pipeline", "show", "in_git", "--json"))["enabled"] is True
    deployed = _json(with_secret("import", "yaml", str(file), "--deploy", "--json"))["pipelines"][0]
    assert (deployed["outcome"], deployed["deployed"]) == ("updated", True)
    shown = _json(call("pipeline", "show", "in_git", "--json"))
    assert (shown["enabled"], shown["deployed"], shown["airflowConfig"]["scheduleInterval"]) == (
        False,
        True,
        "0 4 * * *",
    )
    again = _json(with_secret("import", "yaml", str(file), "--deploy", "--json"))["pipelines"][0]
    assert (again["outcome"], again["deployed"]) == ("unchanged", False)

    call("pipeline", "delete", "in_git", "--hard")
    assert _json(with_secret("import", "yaml", str(file), "--json"))["pipelines"][0]["outcome"] == "created"
    assert _json(call("pipeline", "show", "in_git", "--json"))["enabled"] is False


def test_one_file_that_is_wrong_keeps_all_from_being_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(_document("declared"))
    (tmp_path / "same.yml").write_text(_document("declared"))
    (tmp_path / "odd.yaml").write_text(_document("odd") + "colour: red\n")
    (tmp_path / "cron.yaml").write_text(_document("cron").replace("0 3 * * *", "whenever"))
    (tmp_path / "nowhere.yaml").write_text(_document("nowhere").replace("shop", "missing"))
    (tmp_path / "broken.yaml").write_text("{name: x")
    result = call("import", "yaml", str(tmp_path), "--deploy")
    assert result.exit_code == ExitCode.USAGE
    for said in (
        "same.yml: it declares the same pipeline as",
        "odd.yaml: colour",
        "cron.yaml: airflowConfig.scheduleInterval",
        "nowhere.yaml: service: there is no service missing",
        "broken.yaml, line 1",
    ):
        assert said in result.output
    assert call("pipeline", "show", "declared").exit_code == ExitCode.NOT_FOUND


def test_what_is_deployed_is_exported_for_airflow(call: Call, server: Server, directory: Path, tmp_path: Path) -> None:
    pipeline_id = _airflow_file(tmp_path / "configs", "back_again", apiToken="s3cret-of-app")
    call("import", "airflow", "--configs", str(tmp_path / "configs"))
    environ = {"MINISCHED_DATA_DIR": str(directory / "data")}
    masked, whole = tmp_path / "masked", tmp_path / "whole"
    told = _call_with(server, environ)("export", "airflow", str(masked))
    assert told.exit_code == ExitCode.OK, told.output
    assert "*********, so Airflow cannot run these files" in told.output
    _call_with(server, environ)("export", "airflow", str(whole), "--with-secrets", "--dags", "/opt/airflow/configs")
    name = "dag_generated_configs/back_again.json"
    assert "s3cret-of-app" not in (masked / name).read_text()
    document = json.loads((whole / name).read_text())
    original = json.loads((tmp_path / "configs" / "back_again.json").read_text())
    assert document["id"] == pipeline_id
    assert document["sourceConfig"] == original["sourceConfig"]
    assert document["openMetadataServerConnection"]["hostPort"] == f"{server.url}/api"
    assert (document["enabled"], document["airflowConfig"]["pausePipeline"]) == (False, True)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (whole, whole / name)] == [0o700, 0o600]
    dag = (whole / "dags/back_again.py").read_text()
    assert "'/opt/airflow/configs/back_again.json'" in dag
    compile(dag, "back_again.py", "exec")
    call("deployment", "delete", pipeline_id)


def test_an_export_without_a_database_says_where_to_run_it(server: Server, tmp_path: Path) -> None:
    environ = {"MINISCHED_DATA_DIR": str(tmp_path / "empty")}
    result = _call_with(server, environ)("export", "airflow", str(tmp_path / "out"))
    assert result.exit_code == ExitCode.USAGE
    assert "Run this where the server runs" in result.output
    assert not (tmp_path / "empty").exists()
