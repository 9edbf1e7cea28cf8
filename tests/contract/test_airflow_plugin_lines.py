"""Servers of several lines share one minisched: each is served by the runtime of its line (contract §1.3, §5.4)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from minisched.domain.pipeline import Document
from minisched.domain.versions import same_line
from minisched.runtimes.runtime import Manifest
from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import STANDIN, ServerProcess, server_process
from tests.airflow_java_client import PREFIXES, JavaClient, basic, deploy_payload
from tests.scripted_http import scripted_server

PASSWORD = "pw"
LEGACY = STANDIN.parent / "standin_legacy"
RULES = '[{"runtime": "om-1.1", "server": "1.1"}, {"runtime": "om-1.1", "pipeline": "*.by_name_*"}]'


def write_runtime(directory: Path, name: str, version: str, package: Path) -> None:
    """A runtime whose interpreter finds this package."""
    home = directory / name
    home.mkdir(parents=True)
    python = home / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    manifest: dict[str, Any] = {"name": name, "version": version, "requirement": "openmetadata-ingestion"}
    manifest |= {"extras": (), "python_version": "3", "uv_version": "0", "created_at": "2026-01-01T00:00:00Z"}
    Manifest(**manifest, duration_s=0.0, import_s=0.0, interpreter="python").write(home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("lines")
    settings = {
        "AIRFLOW_PLUGIN__PASSWORD": PASSWORD,
        "RUNTIME__DEFAULT": "om-2.0",
        "RUNTIME__PYTHON_PATH": os.devnull,  # each runtime has its own package
        "RUNTIME__RULES": RULES,
    }
    with server_process(directory, **settings) as server:
        write_runtime(server.data / "runtimes", "om-2.0", "2.0.7.0", STANDIN)
        write_runtime(server.data / "runtimes", "om-1.1", "1.1.7.0", LEGACY)
        server.start()
        server.make_service()
        # Which line the pipelines' server has is asked when one of them runs, and remembered.
        ran(server, client(server), payload(server))
        yield server


def client(server: ServerProcess, runtime: str | None = None) -> JavaClient:
    """Of an OpenMetadata server that was set up with the endpoint of this runtime."""
    start = f"/runtimes/{runtime}" if runtime else ""
    return JavaClient(server.http, f"{server.url}{start}", password=PASSWORD)


def payload(server: ServerProcess, url: str | None = None, **changes: Any) -> Document:
    return deploy_payload(url or f"{server.url}/api", service=SERVICE, token=server.bot_token, **changes)


def ran(server: ServerProcess, java: JavaClient, document: Document) -> tuple[dict[str, Any], str]:
    """The run of the pipeline once it is deployed and triggered, and its log."""
    assert java.post("deploy", document).status_code == 200
    answer = java.post("trigger", {"dag_id": document["name"]})
    assert answer.status_code == 200, answer.text
    run_id = str(UUID(answer.json()["message"].rpartition(" ")[2].strip(">")))
    return server.ended(run_id), server.run_log(run_id)


@pytest.mark.parametrize(("runtime", "version"), [(None, "2.0.7.0"), ("om-2.0", "2.0.7.0"), ("om-1.1", "1.1.7.0")])
def test_each_endpoint_has_the_version_of_its_runtime(server: ServerProcess, runtime: str | None, version: str) -> None:
    java = client(server, runtime)
    assert java.get("health-auth").json() == {"status": "healthy", "version": version}
    assert java.prefix == PREFIXES[0]
    health = server.http.get(f"/runtimes/{runtime}/api/v1/openmetadata/health" if runtime else f"/{PREFIXES[2]}/health")
    assert same_line(version, health.json()["version"])


def test_a_legacy_line_runs_its_own_workflow_class(server: ServerProcess) -> None:
    document = payload(server)
    run, log = ran(server, client(server, "om-1.1"), document)
    assert (run["state"], run["runtime"]) == ("success", "om-1.1"), log
    assert "executed by metadata.ingestion.api.workflow as mysql" in log
    assert "legacy summary" in log
    stored = {one["id"]: one for one in server.http.get("/api/v1/minisched/deployments").json()["data"]}
    assert stored[document["id"]]["runtime"] == "om-1.1"


def test_the_default_line_runs_the_rest(server: ServerProcess) -> None:
    run, log = ran(server, client(server), payload(server))
    assert (run["state"], run["runtime"]) == ("success", "om-2.0"), log


def test_a_rule_by_name_decides(server: ServerProcess) -> None:
    run, log = ran(server, client(server), payload(server, name="by_name_1"))
    assert (run["state"], run["runtime"]) == ("success", "om-1.1"), log


def test_a_rule_by_the_servers_line_decides_when_the_run_starts_and_not_at_deploy(server: ServerProcess) -> None:
    def answer(asked: Any) -> tuple[int, Any]:
        if asked.path.endswith("/system/version"):
            return 200, {"version": "1.1.5"}
        return (200, {"serviceType": "Mysql"}) if "databaseServices" in asked.path else (200, b"")

    with scripted_server(answer) as old:
        java, document = client(server), payload(server, f"{old.url}/api")
        assert java.post("deploy", document).status_code == 200
        assert old.asked == []
        run, log = ran(server, java, document)
    assert (run["state"], run["runtime"]) == ("success", "om-1.1"), log


@pytest.mark.parametrize(
    ("kind", "text"),
    [("dataInsight", "ended with OpenMetadata 1.4; here is 2.0.7.0"), ("policyAgent", "have no workflow")],
)
def test_a_type_that_the_line_does_not_have_is_refused(server: ServerProcess, kind: str, text: str) -> None:
    refused = client(server).post("deploy", payload(server, pipelineType=kind))
    assert refused.status_code == 400
    assert text in refused.json()["error"]


def test_the_line_that_counts_is_that_of_the_runtime(server: ServerProcess) -> None:
    """The legacy stand-in has no such workflow either, but that is for its own modules to say."""
    answer = client(server, "om-1.1").post("deploy", payload(server, pipelineType="dataInsight"))
    assert "here is 2.0.7.0" not in answer.text


@pytest.mark.parametrize("runtime", ["absent", "a%20b", "%2e%2e%2fx"])
def test_an_endpoint_of_no_runtime_says_so(server: ServerProcess, runtime: str) -> None:
    headers = {"Authorization": basic("admin", PASSWORD)}
    url = httpx.URL(f"{server.url}/runtimes/{runtime}/api/v1/openmetadata/health-auth")
    answer = server.http.get(url, headers=headers)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("application/json")
    if runtime == "absent":
        assert answer.json()["error"].startswith("There is no runtime 'absent'.")


def test_an_endpoint_of_a_runtime_needs_the_password_too(server: ServerProcess) -> None:
    assert server.http.get("/runtimes/om-1.1/api/v1/openmetadata/health-auth").status_code == 401
