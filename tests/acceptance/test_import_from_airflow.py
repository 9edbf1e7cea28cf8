"""Pipelines that a real Airflow's plugin keeps are imported, run here, are exported, and deployed back to that Airflow.

Opt-in as test_real_airflow.py is, with two more variables: MINISCHED_TEST_AIRFLOW_CONFIGS, the directory
dag_generated_configs of that Airflow, and MINISCHED_TEST_AIRFLOW_DATABASE_URL, its database. With
MINISCHED_TEST_AIRFLOW_DAGS, its folder of DAGs, files are laid down there without the plugin, too. Durations are
printed: pytest -s.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.demo_documents import service
from minisched.cli.invocation import Invocation
from minisched.cli.sample_database import create_sample_database
from minisched.domain.pipeline import Document
from tests.acceptance.server_process import PIPELINES, ServerProcess, server_process
from tests.credentials import ADMIN_PASSWORD
from tests.waiting import wait_until

URL = os.environ.get("MINISCHED_TEST_AIRFLOW")
CONFIGS = os.environ.get("MINISCHED_TEST_AIRFLOW_CONFIGS")
DATABASE_URL = os.environ.get("MINISCHED_TEST_AIRFLOW_DATABASE_URL")
DAGS = os.environ.get("MINISCHED_TEST_AIRFLOW_DAGS")
ACCOUNT = (
    os.environ.get("MINISCHED_TEST_AIRFLOW_USERNAME", "admin"),
    os.environ.get("MINISCHED_TEST_AIRFLOW_PASSWORD", "admin"),
)
PREFIXES = ("/pluginsv2/api/v2/openmetadata", "/api/v2/openmetadata", "/api/v1/openmetadata")

pytestmark = [
    pytest.mark.skipif(
        not (URL and CONFIGS and DATABASE_URL),
        reason="MINISCHED_TEST_AIRFLOW, _CONFIGS and _DATABASE_URL name no Airflow",
    ),
    pytest.mark.real_runtime,
    pytest.mark.timeout(900),
]

DBT_TOKEN = "canary-of-dbt-4711"
# What differs here from what Airflow does, by the pipeline that asks for it.
ASKED: dict[str, Document] = {
    "zoned": {"scheduleInterval": "0 2 * * *", "pipelineTimezone": "Europe/Berlin", "workflowTimeout": 3600},
    "retried": {"scheduleInterval": "30 4 * * 1-5", "retries": 2, "retryDelay": 60, "pipelineCatchup": True},
    "days": {"scheduleInterval": "0 6 */2 * mon"},
    "demand": {"scheduleInterval": None},
    "paused": {"scheduleInterval": "*/30 * * * *"},
    "dbt": {"scheduleInterval": "@daily"},
}
NAMED = {
    "zoned": {"airflowConfig.pipelineTimezone", "airflowConfig.workflowTimeout"},
    "retried": {"airflowConfig.retries", "airflowConfig.retryDelay", "airflowConfig.pipelineCatchup"},
    "days": {"airflowConfig.scheduleInterval"},
    "demand": set(),
    "paused": set(),
    "dbt": set(),
}


class Plugin:
    """The plugin's own routes, as an OpenMetadata server calls them."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._prefix = next(prefix for prefix in PREFIXES if self._answers(prefix))

    @property
    def of_airflow_2(self) -> bool:
        return self._prefix == PREFIXES[-1]

    def _answers(self, prefix: str) -> bool:
        answer = self._http.get(f"{prefix}/health-auth")
        return answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")

    def deploy(self, document: Document) -> None:
        answer = self._http.post(f"{self._prefix}/deploy", json=document)
        assert answer.status_code == 200, answer.text

    def delete(self, name: str) -> bool:
        """The plugin fails at the records of a DAG that has run on Airflow 3; Airflow itself does not."""
        if self._http.delete(f"{self._prefix}/delete", params={"dag_id": name}).status_code == 200:
            return True
        login = self._http.post("/auth/token", json=dict(zip(("username", "password"), ACCOUNT, strict=True)))
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        return self._http.delete(f"/api/v2/dags/{name}", headers=bearer, auth=httpx.Auth()).is_success

    def knows(self, name: str) -> bool:
        """Whether Airflow has made a DAG of it."""
        return self._http.get(f"{self._prefix}/status", params={"dag_id": name}).status_code == 200


class OpenMetadata:
    """A server in the place of OpenMetadata: its pipelines are deployed to the Airflow, and what runs tells it."""

    def __init__(self, server: ServerProcess, database: Path) -> None:
        self.server = server
        create_sample_database(database)
        self.service = service(database)
        assert server.http.put("/api/v1/services/databaseServices", json=self.service).is_success

    def deployed(self, kind: str, marker: str) -> Document:
        config: Document = {"type": "DatabaseMetadata"}
        if kind == "dbt":
            source = {"dbtConfigType": "cloud", "dbtCloudAccountId": "1", "dbtCloudUrl": "https://cloud.getdbt.com"}
            config = {"type": "DBT", "dbtConfigSource": {**source, "dbtCloudAuthToken": DBT_TOKEN}}
        request = {
            "name": f"import.{kind} {marker}",
            "pipelineType": "dbt" if kind == "dbt" else "metadata",
            "service": {"id": self.service["id"], "type": "databaseService"},
            "sourceConfig": {"config": config},
            "airflowConfig": ASKED[kind],
        }
        created = self.server.http.post(PIPELINES, json=request)
        assert created.status_code == 201, created.text
        pipeline: Document = created.json()
        answer = self.server.http.post(f"{PIPELINES}/deploy/{pipeline['id']}", timeout=200)
        assert answer.status_code == 200, answer.text
        if kind == "paused":
            toggled = self.server.http.post(f"{PIPELINES}/toggleIngestion/{pipeline['id']}", timeout=200)
            assert toggled.json()["enabled"] is False
        return pipeline

    def run(self, pipeline: Document) -> None:
        """In Airflow, to its end."""
        answer = self.server.http.post(f"{PIPELINES}/trigger/{pipeline['id']}", timeout=200)
        assert answer.status_code == 200, answer.text
        wait_until(lambda: "success" in self.states(pipeline), timeout_s=300, every_s=0.5)

    def states(self, pipeline: Document) -> set[str]:
        fqn = pipeline["fullyQualifiedName"]
        rows = self.server.http.get(f"{PIPELINES}/{fqn}/pipelineStatus?startTs=0").json()["data"]
        return {row["pipelineState"] for row in rows}

    def tables(self) -> list[str]:
        return [table["name"] for table in self.server.http.get("/api/v1/tables?limit=100").json()["data"]]


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.2f} s")


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    with httpx.Client(base_url=str(URL), auth=ACCOUNT, timeout=200, trust_env=False) as http:
        yield Plugin(http)


@pytest.fixture
def openmetadata(tmp_path: Path) -> Iterator[OpenMetadata]:
    settings = {
        "CLIENT": "airflow",
        "AIRFLOW__URL": str(URL),
        "AIRFLOW__USERNAME": ACCOUNT[0],
        "AIRFLOW__PASSWORD": ACCOUNT[1],
    }
    with server_process(tmp_path / "openmetadata", **settings) as server:
        server.start(ready=False)
        server.wait_until_live()
        server.http.timeout = 60
        yield OpenMetadata(server, tmp_path / "shop.db")


@pytest.fixture
def here(tmp_path: Path, real_runtime: Path) -> Iterator[ServerProcess]:
    with server_process(tmp_path / "here", RUNTIME__DEFAULT=str(real_runtime), RUNTIME__PYTHON_PATH="[]") as server:
        server.start()
        yield server


def call(here: ServerProcess, *arguments: str) -> Result:
    environ = {"MINISCHED_DATA_DIR": str(here.data), "MINISCHED_PASSWORD": ADMIN_PASSWORD}
    result = CliRunner().invoke(command_line, ["--url", here.url, *arguments], obj=Invocation(environ=environ))
    assert DBT_TOKEN not in result.output
    return result


def said(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def copied(pipelines: list[str], target: Path) -> Path:
    """The plugin's own files of these workflow ids: the Airflow may have others."""
    target.mkdir()
    for name in pipelines:
        shutil.copy(Path(str(CONFIGS)) / f"{name}.json", target)
    return target


def without_state(document: Document) -> Document:
    """Less than what says whether it fires: that is kept elsewhere in Airflow."""
    config = {key: value for key, value in document["airflowConfig"].items() if key != "pausePipeline"}
    return {**{key: value for key, value in document.items() if key != "enabled"}, "airflowConfig": config}


def test_pipelines_of_a_real_airflow_come_run_and_go_back(
    openmetadata: OpenMetadata, here: ServerProcess, plugin: Plugin, tmp_path: Path
) -> None:
    marker = uuid4().hex[:8]
    ids = {kind: f"import_{kind}_{marker}" for kind in ASKED}
    try:
        with timed("6 pipelines deployed to Airflow"):
            pipelines = {kind: openmetadata.deployed(kind, marker) for kind in ASKED}
        with timed("one of them run in Airflow"):
            openmetadata.run(pipelines["demand"])
        configs = copied(list(ids.values()), tmp_path / "configs")
        _imported(here, configs, pipelines)
        _shadowed(here, plugin, configs, pipelines)
        _ran(here, openmetadata, pipelines["zoned"])
        _gone_back(here, plugin, configs, ids, tmp_path / "export")
        if DAGS:
            _laid_down(plugin, ids["zoned"], tmp_path / "export", Path(DAGS))
    finally:
        for name in ids.values():
            plugin.delete(name)


def _imported(here: ServerProcess, configs: Path, pipelines: dict[str, Document]) -> None:
    arguments = ("import", "airflow", "--configs", str(configs), "--database-url", str(DATABASE_URL), "--json")
    planned = said(call(here, *arguments, "--dry-run"))
    assert {one["outcome"] for one in planned["pipelines"]} == {"new"}
    assert here.http.get("/api/v1/minisched/deployments").json()["data"] == []
    with timed("6 pipelines imported"):
        first = said(call(here, *arguments))
    by_fqn = {one["fullyQualifiedName"]: one for one in first["pipelines"]}
    for kind, pipeline in pipelines.items():
        one = by_fqn[pipeline["fullyQualifiedName"]]
        assert (one["outcome"], one["enabled"]) == ("new", False), one
        assert {difference["field"] for difference in one["differences"]} == NAMED[kind]
        assert one["inAirflow"] == ("paused" if kind == "paused" else "active"), one
        # Its run is over for OpenMetadata a moment before it is for Airflow.
        # Plugins up to 1.6 let a DAG begin a day ago: what is scheduled more often than daily fires at once.
        runs = [run["state"] in ("success", "running", "queued") for run in one["lastRuns"]]
        assert all(runs)
        assert len(runs) == 1 or kind != "demand"
        assert one["secretsInClear"] == (2 if kind == "dbt" else 1)
        assert one["notes"] == [], one["notes"]
    print(call(here, *arguments[:-1]).output)
    assert {one["outcome"] for one in said(call(here, *arguments))["pipelines"]} == {"unchanged"}
    enabled = said(call(here, *arguments, "--enable"))["pipelines"]
    assert {one["fullyQualifiedName"] for one in enabled if not one["enabled"]} == {
        pipelines["paused"]["fullyQualifiedName"]
    }


def _shadowed(here: ServerProcess, plugin: Plugin, configs: Path, pipelines: dict[str, Document]) -> None:
    arguments = ("import", "airflow", "--configs", str(configs), "--database-url", str(DATABASE_URL), "--shadow", "14d")
    print(call(here, *arguments).output)
    shadowed = {one["fullyQualifiedName"]: one for one in said(call(here, *arguments, "--json"))["pipelines"]}
    # What Airflow itself says of its next run is what we take its plugin to mean.
    surprised = {kind for kind, pipeline in pipelines.items() if shadowed[pipeline["fullyQualifiedName"]]["surprise"]}
    # Airflow 2 fires at the end of an interval of the schedule: the first tick after the day before the deploy is none.
    assert surprised <= ({"retried", "dbt", "zoned"} if plugin.of_airflow_2 else set())
    differing = {kind for kind, pipeline in pipelines.items() if shadowed[pipeline["fullyQualifiedName"]]["reasons"]}
    assert differing == {"zoned", "days"}


def _ran(here: ServerProcess, openmetadata: OpenMetadata, pipeline: Document) -> None:
    with timed("trigger to success here"):
        run_id = said(call(here, "deployment", "trigger", pipeline["fullyQualifiedName"], "--json"))["runId"]
        ended = here.ended(run_id, timeout_s=300)
    assert ended["state"] == "success", here.run_log(run_id)[-4000:]
    # Its workflow told the server that had deployed it, with the token that came with it.
    wait_until(lambda: "success" in openmetadata.states(pipeline), timeout_s=30)
    assert "customer" in openmetadata.tables()


def _gone_back(here: ServerProcess, plugin: Plugin, configs: Path, ids: dict[str, str], target: Path) -> None:
    arguments = ("export", "airflow", str(target), "--with-secrets", "--dags", str(CONFIGS), "--json")
    exported = said(call(here, *arguments))
    assert len(exported["pipelines"]) == len(ids)
    for name in ids.values():
        assert plugin.delete(name)
    wait_until(lambda: not any(plugin.knows(name) for name in ids.values()), timeout_s=60, every_s=0.5)
    with timed("6 pipelines deployed back to Airflow"):
        for kind, name in ids.items():
            document = json.loads((target / "dag_generated_configs" / f"{name}.json").read_text())
            assert without_state(document) == without_state(json.loads((configs / f"{name}.json").read_text()))
            assert document["airflowConfig"]["pausePipeline"] is (kind == "paused")
            plugin.deploy(document)
    with timed("until Airflow had the 6 DAGs"):
        wait_until(lambda: all(plugin.knows(name) for name in ids.values()), timeout_s=120, every_s=0.5)


def _laid_down(plugin: Plugin, name: str, export: Path, dags: Path) -> None:
    assert plugin.delete(name)
    wait_until(lambda: not plugin.knows(name), timeout_s=60, every_s=0.5)
    shutil.copy(export / "dag_generated_configs" / f"{name}.json", str(CONFIGS))
    shutil.copy(export / "dags" / f"{name}.py", dags)
    with timed("until Airflow had made a DAG of the files"):
        wait_until(lambda: plugin.knows(name), timeout_s=400, every_s=0.5)
