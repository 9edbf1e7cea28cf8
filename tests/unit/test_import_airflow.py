"""`minisched import airflow`: what it reads, what it asks of the server, what it prints and what it never prints."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minisched.cli import command_line
from minisched.cli.durations import duration
from minisched.cli.exit_codes import ExitCode
from minisched.cli.generated_configs import read_directory
from minisched.cli.invocation import Invocation
from minisched.cli.shredding import shred
from tests.unit.test_from_airflow import payload

TOKEN = "eyJ.a.b"
_IDS = iter(range(1, 10_000))


def write(directory: Path, name: str, config: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    pipeline_id = f"00000000-0000-4000-8000-{next(_IDS):012}"
    document = payload(config, **{"id": pipeline_id, "name": name, "fullyQualifiedName": f"mysql.{name}", **changes})
    (directory / f"{name}.json").write_text(json.dumps(document))
    return document


class FakeDeployments:
    """Answers POST /deployments; those in `refused` with 400. What was asked is kept."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.refused = refused
        self.known: dict[str, Any] = {}
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.bodies.append(body)
        pipeline = body["pipeline"]
        if str(pipeline["name"]) in self.refused:
            return httpx.Response(400, json={"code": 400, "message": "Missing parameter 'service'"})
        key = str(pipeline["id"])
        known = self.known.get(key)
        enabled = body["enabled"] if body["enabled"] is not None else bool(known and known["enabled"])
        standing = "new" if known is None else "unchanged" if known["enabled"] is enabled else "changed"
        if not body["dryRun"]:
            self.known[key] = {"enabled": enabled}
        return httpx.Response(200, json={"standing": standing, "enabled": enabled, "notes": ["a note"]})


def call(server: FakeDeployments, *arguments: str, stdin: str | None = None) -> Result:
    invocation = Invocation(transport=httpx.MockTransport(server), environ={})
    command = ["--url", "http://127.0.0.1:8580", "import", "airflow", *arguments]
    return CliRunner().invoke(command_line, command, obj=invocation, input=stdin)


def airflow_2(path: Path, **paused: bool) -> str:
    """A database with the columns of Airflow 2 that are read, and some that are not."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE dag (dag_id VARCHAR, is_paused BOOLEAN, is_active BOOLEAN, fileloc VARCHAR,"
            " next_dagrun TIMESTAMP, next_dagrun_create_after TIMESTAMP, schedule_interval TEXT)"
        )
        connection.execute(
            "CREATE TABLE dag_run (id INTEGER PRIMARY KEY, dag_id VARCHAR, execution_date TIMESTAMP, state VARCHAR,"
            " run_id VARCHAR, start_date TIMESTAMP, end_date TIMESTAMP, external_trigger BOOLEAN)"
        )
        for dag_id, is_paused in paused.items():
            connection.execute(
                "INSERT INTO dag VALUES (?, ?, 1, 'x.py', NULL, '2099-01-02 02:00:00.000000', '{}')",
                (dag_id, is_paused),
            )
            connection.execute(
                "INSERT INTO dag_run VALUES (NULL, ?, '2026-01-01 02:00:00.000000', 'success', 'scheduled__1',"
                " '2026-01-01 02:00:05.000000', '2026-01-01 02:03:00.000000', 0)",
                (dag_id,),
            )
    connection.close()
    return f"sqlite:///{path}"


# --- import -----------------------------------------------------------------------------------------------------------


def test_pipelines_are_handed_over_whole_disabled_and_only_once(tmp_path: Path) -> None:
    document, server = write(tmp_path, "daily"), FakeDeployments()
    first = call(server, "--configs", str(tmp_path))
    assert first.exit_code == ExitCode.OK, first.output
    assert server.bodies == [{"pipeline": document, "enabled": None, "runtime": None, "dryRun": False}]
    assert "1 imported." in first.output
    assert "disabled" in first.output
    assert "1 unchanged." in call(server, "--configs", str(tmp_path)).output


def test_a_dry_run_asks_the_server_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "daily")
    server = FakeDeployments()
    result = call(server, "--configs", str(tmp_path), "--dry-run")
    assert "1 would be imported." in result.output
    assert (server.bodies[0]["dryRun"], server.known) == (True, {})


def test_what_differs_is_named_and_no_secret_is_printed(tmp_path: Path) -> None:
    write(tmp_path, "daily", {"workflowTimeout": 3600, "pipelineTimezone": "Europe/Berlin"})
    shown, told = (call(FakeDeployments(), "--configs", str(tmp_path), *options) for options in ([], ["--json"]))
    for result in (shown, told):
        assert "3600 seconds" in result.output
        assert "Europe/Berlin; Airflow's plugin reads it in UTC" in result.output
        assert TOKEN not in result.output
    assert json.loads(told.stdout)["secretsInClear"] == 1


def test_a_difference_that_many_share_is_told_once(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, f"n{number}", {"workflowTimeout": 60})
    output = call(FakeDeployments(), "--configs", str(tmp_path)).output
    assert output.count("60 seconds") == 1
    assert "(mysql.n0, mysql.n1, mysql.n2 and 2 more)" in output


def test_one_bad_file_stops_nothing_and_is_named(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "odd")
    (tmp_path / "broken.json").write_text(f'{{"token": "{TOKEN}",')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "half.json").write_text('{"name": "\\ud800"}')
    (tmp_path / "nan.json").write_text('{"name": NaN}')
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    server = FakeDeployments(refused=("odd",))
    result = call(server, "--configs", str(tmp_path))
    assert result.exit_code == ExitCode.FAILED
    assert "1 imported, 1 refused, 6 no pipelines." in result.output
    assert "Missing parameter 'service' (mysql.odd)" in result.output
    assert "broken.json: it is not JSON: line 1" in result.output
    assert "list.json: it holds a list" in result.output
    assert "half.json: it cannot be kept: it holds half of a surrogate pair." in result.output
    assert "nan.json: it cannot be kept: it holds NaN" in result.output
    assert "binary.json: it is not UTF-8" in result.output
    assert "gone.json: it cannot be read" in result.output
    assert TOKEN not in result.output


def test_files_with_one_workflow_id_or_one_pipeline_are_told_apart(tmp_path: Path) -> None:
    first = write(tmp_path, "shop_daily")
    write(tmp_path, "shop.daily")
    write(tmp_path, "the_copy", id=first["id"])
    configs, unreadable = read_directory(tmp_path)
    assert [config.path.name for config in configs] == ["shop_daily.json"]
    assert {file.path.name: file.problem for file in unreadable} == {
        "shop.daily.json": "its workflow id 'shop_daily' is that of shop_daily.json; rename one.",
        "the_copy.json": "its id is that of shop_daily.json: it is the same pipeline.",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--configs", "/nowhere/at/all"], "is not a directory"),
        (["--configs", "."], "has no .json file"),
        ([], "--configs"),
        (["--configs", ".", "--shadow", "soon"], "is no duration"),
        (["--configs", ".", "--shadow", "999999w"], "a year ahead at most"),
        (["--configs", ".", "--shadow", "7d", "--enable"], "only compares"),
        (["--configs", ".", "--shred", "--dry-run"], "leave out --dry-run"),
        (["--configs", ".", "--shred", "--json"], "say --yes"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    server = FakeDeployments()
    result = call(server, *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert said in result.output
    assert server.bodies == []


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from(["@daily", "$A", "*********"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
PLACES = [(key,) for key in payload()] + [("airflowConfig", key) for key in payload()["airflowConfig"]]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(PLACES), VALUES, min_size=1, max_size=4), st.sampled_from([[], ["--shadow", "3d"]])
)
def test_no_file_whatever_it_holds_stops_an_import(
    tmp_path: Path, changes: dict[tuple[str, ...], Any], options: list[str]
) -> None:
    document = payload()
    for place, value in changes.items():
        holder = document if len(place) == 1 else document["airflowConfig"]
        if isinstance(holder, dict):
            holder[place[-1]] = value
    (tmp_path / "odd.json").write_text(json.dumps(document))
    result = call(FakeDeployments(), "--configs", str(tmp_path), *options)
    assert result.exit_code in (ExitCode.OK, ExitCode.FAILED), result.output
    assert "unexpected" not in result.output


# --- Airflow's database -----------------------------------------------------------------------------------------------


def test_what_airflow_fires_is_enabled_and_what_it_does_not_is_left(tmp_path: Path) -> None:
    for name in ("active", "paused", "unknown"):
        write(tmp_path, name)
    url = airflow_2(tmp_path / "airflow.db", active=False, paused=True)
    server = FakeDeployments()
    result = call(server, "--configs", str(tmp_path), "--database-url", url, "--enable")
    assert result.exit_code == ExitCode.OK, result.output
    asked = {body["pipeline"]["name"]: body["enabled"] for body in server.bodies}
    assert asked == {"active": True, "paused": None, "unknown": None}
    assert "success 2026-01-01 02:00 UTC" in result.output
    assert "Enabled on both sides; pause them in Airflow:\n  mysql.active\n" in result.output


def test_without_the_database_openmetadata_says_what_is_enabled(tmp_path: Path) -> None:
    write(tmp_path, "on", enabled=True)
    write(tmp_path, "off", enabled=False)
    server = FakeDeployments()
    call(server, "--configs", str(tmp_path), "--enable")
    assert {body["pipeline"]["name"]: body["enabled"] for body in server.bodies} == {"on": True, "off": None}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not the URL of a database"),
        ("oracle://scott:tiger@db/airflow", "No support for 'oracle'"),
        ("sqlite:////nowhere/airflow.db", "there is no such file"),
        ("postgresql+psycopg2://airflow:tiger@127.0.0.1:1/airflow", "cannot be read"),
        ("mysql+mysqldb://airflow:tiger@127.0.0.1:1/airflow", "cannot be read"),
    ],
)
def test_a_database_that_cannot_be_read_is_told_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    write(tmp_path, "daily")
    server = FakeDeployments()
    result = call(server, "--configs", str(tmp_path), "--database-url", url)
    assert result.exit_code == ExitCode.USAGE
    assert said in result.output
    assert "tiger" not in result.output
    assert server.bodies == []


def test_a_database_of_something_else_is_told(tmp_path: Path) -> None:
    write(tmp_path, "daily")
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "other.db").write_bytes(b"")
    result = call(FakeDeployments(), "--configs", str(tmp_path), "--database-url", f"sqlite:///{tmp_path / 'other.db'}")
    assert result.exit_code == ExitCode.USAGE
    assert "no such table: dag" in result.output


# --- shred ------------------------------------------------------------------------------------------------------------


def test_files_are_shredded_once_all_are_imported_and_only_then(tmp_path: Path) -> None:
    write(tmp_path, "daily")
    refusing = FakeDeployments(refused=("daily",))
    assert "Nothing was shredded" in call(refusing, "--configs", str(tmp_path), "--shred", "--yes").output
    assert "1 of 1 files" not in call(FakeDeployments(), "--configs", str(tmp_path), "--shred", stdin="n\n").output
    assert (tmp_path / "daily.json").exists()
    assert (
        "1 of 1 files were shredded" in call(FakeDeployments(), "--configs", str(tmp_path), "--shred", "--yes").output
    )
    assert list(tmp_path.iterdir()) == []


def test_shredding_overwrites_the_bytes_and_leaves_links_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret" * 1000)
    with file.open("rb") as held:
        assert shred(file) is None
        left = held.read()
    assert (file.exists(), len(left), b"s3cret" in left) == (False, 6000, False)
    file.write_text("s3cret")
    link = tmp_path / "link"
    link.symlink_to(file)
    assert shred(link) is not None
    os.link(file, tmp_path / "twin")
    assert "of its own" in (shred(file) or "")
    assert file.read_text() == "s3cret"


# --- shadow -----------------------------------------------------------------------------------------------------------


def test_shadow_asks_no_server_and_says_why_the_instants_differ(tmp_path: Path) -> None:
    write(tmp_path, "same")
    write(tmp_path, "zone", {"pipelineTimezone": "Asia/Tokyo"})
    write(tmp_path, "bad", {"scheduleInterval": "@once"})
    server = FakeDeployments()
    result = call(server, "--configs", str(tmp_path), "--shadow", "7d")
    assert result.exit_code == ExitCode.OK, result.output
    assert server.bodies == []
    assert "1 of 3 fire at the same instants" in result.output
    assert "zone: Asia/Tokyo here, UTC in Airflow" in result.output
    assert "@once" in result.output
    shown = json.loads(call(server, "--configs", str(tmp_path), "--shadow", "7d", "--json").stdout)
    by_name = {one["fullyQualifiedName"]: one for one in shown["pipelines"]}
    assert (by_name["mysql.same"]["here"], by_name["mysql.same"]["onlyHere"]) == (7, [])
    assert len(by_name["mysql.zone"]["onlyHere"]) == len(by_name["mysql.zone"]["onlyInAirflow"]) == 7


def test_shadow_tells_when_airflow_itself_says_otherwise(tmp_path: Path) -> None:
    write(tmp_path, "daily")
    url = airflow_2(tmp_path / "airflow.db", daily=False)
    result = call(FakeDeployments(), "--configs", str(tmp_path), "--database-url", url, "--shadow", "1d")
    assert "Airflow's database says Fri 2099-01-02 02:00" in result.output


@pytest.mark.parametrize(("text", "wanted"), [("90m", timedelta(minutes=90)), (" 2 W", timedelta(weeks=2))])
def test_a_duration_is_a_number_and_a_unit(text: str, wanted: timedelta) -> None:
    assert duration(text) == wanted


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0d", "1.5h", "7 years"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        duration(text)
