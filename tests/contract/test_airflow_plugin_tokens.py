"""A bot's token is pinned at deploy: after it was rotated runs fail in words, until the pipeline is deployed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from minisched.domain.pipeline import Document
from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import ServerProcess, server_process
from tests.airflow_java_client import JavaClient, deploy_payload
from tests.scripted_http import Asked, ScriptedServer, scripted_server
from tests.waiting import wait_until

PASSWORD = "pw"


class Bots:
    """An OpenMetadata server that takes one token only, which a test may rotate."""

    token = "first-token"

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/system/version"):
            return 200, {"version": "2.0.7"}
        if asked.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"code": 401, "message": "Expired token!"}
        return (200, {"serviceType": "Mysql"}) if "databaseServices" in asked.path else (200, b"")


@pytest.fixture
def bots() -> Bots:
    return Bots()


@pytest.fixture
def openmetadata(bots: Bots) -> Iterator[ScriptedServer]:
    with scripted_server(bots) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"AIRFLOW_PLUGIN__PASSWORD": PASSWORD, "OUTBOX__FIRST_DELAY_S": "0.1", "OUTBOX__MAX_DELAY_S": "0.3"}
    with server_process(tmp_path, **settings) as server:
        server.start()
        yield server


def test_a_rotated_token_is_named_and_deploying_again_helps(
    server: ServerProcess, openmetadata: ScriptedServer, bots: Bots
) -> None:
    java = JavaClient(server.http, server.url, password=PASSWORD)
    document = deploy_payload(f"{openmetadata.url}/api", service=SERVICE, token=bots.token)
    assert java.post("deploy", document).status_code == 200
    assert ran(server, java, document)["state"] == "success"

    bots.token = "second-token"
    run = ran(server, java, document)
    assert run["state"] == "failed"
    assert run["message"].startswith("the bot token was rejected by OpenMetadata at http://127.0.0.1:")
    assert run["hint"].startswith("Deploy the pipeline again so that it gets the current token")
    assert "the bot token was rejected" in server.run_log(run["id"])
    assert "first-token" not in str(run) + server.run_log(run["id"])
    [waiting] = wait_until(lambda: postponed(server, run), timeout_s=10)
    assert "401" in waiting["lastError"]
    assert "Deploy the pipeline again" in waiting["lastError"]

    document["openMetadataServerConnection"]["securityConfig"]["jwtToken"] = bots.token
    assert java.post("deploy", document).status_code == 200
    assert ran(server, java, document)["state"] == "success"
    # What could not be said with the old token is said with the new one.
    wait_until(lambda: not server.outbox(), timeout_s=10)
    told = [
        asked.body for asked in openmetadata.asked if asked.method == "PUT" and asked.body.get("runId") == run["id"]
    ]
    [step] = told[-1]["status"]
    assert told[-1]["pipelineState"] == "failed"
    assert "token was rejected" in step["failures"][0]["error"]
    assert "Deploy the pipeline again" in step["failures"][0]["error"]


def postponed(server: ServerProcess, run: dict[str, Any]) -> list[dict[str, Any]]:
    """What OpenMetadata has refused to hear of the run so far."""
    return [entry for entry in server.outbox() if entry["runId"] == run["id"] and entry.get("lastError")]


def ran(server: ServerProcess, java: JavaClient, document: Document) -> dict[str, Any]:
    answer = java.post("trigger", {"dag_id": document["name"]})
    assert answer.status_code == 200, answer.text
    return server.ended(str(UUID(answer.json()["message"].rpartition(" ")[2].strip(">"))))
