"""`minisched config`: what people and scripts see of the settings, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minisched import cli
from minisched.cli.invocation import Invocation
from minisched.settings import example_yaml, load_settings, settings_table_markdown

CANARY = "canary-4711"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}


def call(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli.command_line, arguments, obj=Invocation(environ=environ))


def test_check_says_that_all_is_well_and_reads_no_more_than_it_has_to(environ: dict[str, str], tmp_path: Path) -> None:
    result = call(environ, "config", "check")

    assert (result.exit_code, result.stdout) == (0, "The settings are fine (no settings file).\n")
    assert list(tmp_path.iterdir()) == []


def test_check_looks_for_the_files_that_are_named(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {"MINISCHED_RUNTIME__PYTHON_PATH": f"{tmp_path},{tmp_path}/gone", "MINISCHED_AIRFLOW__CA_FILE": "/no/ca"}
    result = call(environ, "config", "check")
    assert result.exit_code == 2
    assert f"runtime.python_path (env MINISCHED_RUNTIME__PYTHON_PATH): {tmp_path}/gone does not exist." in result.stderr
    assert "airflow.ca_file (env MINISCHED_AIRFLOW__CA_FILE): /no/ca does not exist." in result.stderr
    assert f"{tmp_path} does not" not in result.stderr


def test_check_names_the_file_and_warns(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("sandbox: {enabled: false}\n")

    result = call(environ, "--config", str(file), "config", "check")
    told = json.loads(call(environ, "--config", str(file), "config", "check", "--json").stdout)

    assert result.exit_code == 0
    assert str(file) in result.stdout
    assert "warning: sandbox.enabled is false" in result.stderr
    assert told["file"] == str(file)
    assert len(told["warnings"]) == 1


def test_check_ends_with_2_and_one_line_for_each_thing_that_is_wrong(environ: dict[str, str]) -> None:
    environ |= {"MINISCHED_SERVER__PORT": CANARY, "MINISCHED_SERVER__PROT": "1"}

    result = call(environ, "config", "check")

    assert result.exit_code == 2
    assert "server.port (env MINISCHED_SERVER__PORT): should be a valid integer" in result.stderr
    assert "Did you mean MINISCHED_SERVER__PORT?" in result.stderr
    assert CANARY not in result.output


def test_a_settings_file_that_is_missing_ends_with_2(environ: dict[str, str], tmp_path: Path) -> None:
    result = call(environ, "--config", str(tmp_path / "missing.yaml"), "config", "check")

    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_show_tells_value_and_source_of_every_setting_with_secrets_masked(environ: dict[str, str]) -> None:
    environ |= {"MINISCHED_EXECUTOR__SLOTS": "7", "MINISCHED_OPENMETADATA__JWT_TOKEN": CANARY}

    result = call(environ, "config", "show")
    told = {row["name"]: row for row in json.loads(call(environ, "config", "show", "--json").stdout)}

    (line,) = [line.split() for line in result.stdout.splitlines() if line.startswith("executor.slots")]
    assert line == ["executor.slots", "7", "env", "MINISCHED_EXECUTOR__SLOTS"]
    assert CANARY not in result.stdout + json.dumps(told)
    assert told["openmetadata.jwt_token"]["value"] == "*********"
    assert told["server.port"] == {"name": "server.port", "value": 8580, "source": "default"}


def test_example_prints_a_file_that_can_be_used(environ: dict[str, str], tmp_path: Path) -> None:
    result = call(environ, "config", "example")

    assert result.stdout == example_yaml()
    (tmp_path / "config.yaml").write_text(result.stdout)
    assert load_settings(tmp_path / "config.yaml", environ).server.port == 8580
    assert call(environ, "config", "example", "--format", "markdown").stdout == settings_table_markdown()
