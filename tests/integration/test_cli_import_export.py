"""The command line against a real server: pipelines from Airflow and back to it, and from and to YAML files."""

from __future__ import annotations

import json
import stat
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
from minisched.cli.server_process import ServerProcess
from tests.integration.served_standin import password, served_standin
from tests.waiting import wait_until

Call = Callable[..., Result]
CallWith = Callable[[dict[str, str]], Call]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with served_standin(tmp_path_factory.mktemp("served")) as process:
        yield process


@pytest.fixture
def call_with(process: ServerProcess) -> CallWith:
    """Calls in an environment."""

    ours = password(process)

    def call_with(environ: dict[str, str]) -> Call:
        def call(*arguments: str, stdin: str | None = None) -> Result:
            return CliRunner().invoke(
                command_line,
                ["--url", process.url, *arguments],
                obj=Invocation(environ={**ours, **environ}),
                input=stdin,
            )

        return call

    return call_with


@pytest.fixture
def call(call_with: CallWith) -> Call:
    return call_with({})


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
    assert result.exit_code in (ExitCode.OK, ExitCode.FAILED), result.output
    return json.loads(result.stdout)


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


def test_pipelines_go_to_yaml_files_and_come_back(call: Call, call_with: CallWith, tmp_path: Path) -> None:
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

    with_secret = call_with({variable: "s3cret-of-dbt"})
    assert _json(with_secret("import", "yaml", str(file), "--dry-run", "--json"))["pipelines"][0]["outcome"] == (
        "unchanged"
    )
    assert _json(with_secret("import", "yaml", str(file), "--json"))["pipelines"][0]["outcome"] == "unchanged"
    changed = _json(call_with({variable: "another"})("import", "yaml", str(file), "--json"))
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


def test_pipelines_without_a_file_are_deleted_when_that_is_asked_for(call: Call, tmp_path: Path) -> None:
    for name in ("declared_1", "declared_2", "by_hand", "by_hand_and_hidden"):
        call("pipeline", "create", "-", stdin=_document(name))
    call("pipeline", "delete", "by_hand_and_hidden")
    for name in ("declared_1", "declared_2"):
        (tmp_path / f"{name}.yaml").write_text(_document(name))
    directory = ("import", "yaml", str(tmp_path))

    planned = {one["name"]: one for one in _json(call(*directory, "--prune", "--dry-run", "--json"))["pipelines"]}
    assert {name: one["outcome"] for name, one in planned.items() if name.startswith(("shop.decl", "shop.by"))} == {
        "shop.declared_1": "unchanged",
        "shop.declared_2": "unchanged",
        "shop.by_hand": "deleted",
        "shop.by_hand_and_hidden": "deleted",
    }
    assert planned["shop.by_hand"]["file"] is None

    assert call(*directory, "--prune", "--json").exit_code == ExitCode.USAGE
    one_file = call("import", "yaml", str(tmp_path / "declared_1.yaml"), "--prune", "--yes")
    assert (one_file.exit_code, "--prune needs the directory" in one_file.output) == (ExitCode.USAGE, True)
    asked = call(*directory, "--prune", stdin="n\n")
    assert "shop.by_hand" in asked.output
    assert "Nothing will be deleted" in asked.output
    nobody = call(*directory, "--prune", stdin="")
    assert (nobody.exit_code, "--yes" in nobody.output) == (ExitCode.USAGE, True)
    assert call("pipeline", "show", "by_hand").exit_code == ExitCode.OK

    # A file that the server refuses keeps everything else, but nothing is deleted.
    refused = tmp_path / "refused.yaml"
    refused.write_text(_document("refused") + "owners: [{id: 00000000-0000-4000-8000-000000000000, type: user}]\n")
    half = call(*directory, "--prune", "--yes")
    assert half.exit_code == ExitCode.FAILED
    assert "Nothing was deleted" in half.output
    assert call("pipeline", "show", "by_hand").exit_code == ExitCode.OK
    refused.unlink()

    done = {one["name"]: one["outcome"] for one in _json(call(*directory, "--prune", "--yes", "--json"))["pipelines"]}
    assert (done["shop.by_hand"], done["shop.by_hand_and_hidden"]) == ("deleted", "deleted")
    assert _json(call("pipeline", "list", "--deleted", "--json")) == []
    listed = {one["name"] for one in _json(call("pipeline", "list", "--json"))}
    assert listed == {"declared_1", "declared_2"}
    assert _json(call(*directory, "--prune", "--json", "--yes"))["pipelines"] == [
        {
            "name": f"shop.{name}",
            "file": str(tmp_path / f"{name}.yaml"),
            "outcome": "unchanged",
            "deployed": False,
            "notes": None,
            "problem": None,
        }
        for name in ("declared_1", "declared_2")
    ]


def test_what_is_deployed_is_exported_for_airflow(
    call: Call, call_with: CallWith, process: ServerProcess, tmp_path: Path
) -> None:
    pipeline_id = _airflow_file(tmp_path / "configs", "back_again", apiToken="s3cret-of-app")
    call("import", "airflow", "--configs", str(tmp_path / "configs"))
    environ = {"MINISCHED_DATA_DIR": str(process.data_dir)}
    masked, whole = tmp_path / "masked", tmp_path / "whole"
    told = call_with(environ)("export", "airflow", str(masked))
    assert told.exit_code == ExitCode.OK, told.output
    assert "*********, so Airflow cannot run these files" in told.output
    call_with(environ)("export", "airflow", str(whole), "--with-secrets", "--dags", "/opt/airflow/configs")
    name = "dag_generated_configs/back_again.json"
    assert "s3cret-of-app" not in (masked / name).read_text()
    document = json.loads((whole / name).read_text())
    original = json.loads((tmp_path / "configs" / "back_again.json").read_text())
    assert document["id"] == pipeline_id
    assert document["sourceConfig"] == original["sourceConfig"]
    assert document["openMetadataServerConnection"]["hostPort"] == f"{process.url}/api"
    assert (document["enabled"], document["airflowConfig"]["pausePipeline"]) == (False, True)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (whole, whole / name)] == [0o700, 0o600]
    dag = (whole / "dags/back_again.py").read_text()
    assert "'/opt/airflow/configs/back_again.json'" in dag
    compile(dag, "back_again.py", "exec")
    call("deployment", "delete", pipeline_id)


def test_an_export_without_a_database_says_where_to_run_it(call_with: CallWith, tmp_path: Path) -> None:
    environ = {"MINISCHED_DATA_DIR": str(tmp_path / "empty")}
    result = call_with(environ)("export", "airflow", str(tmp_path / "out"))
    assert result.exit_code == ExitCode.USAGE
    assert "Run this where the server runs" in result.output
    assert not (tmp_path / "empty").exists()
