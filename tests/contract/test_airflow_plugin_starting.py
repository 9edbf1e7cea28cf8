"""What each route answers while the launcher is still importing: what can wait is taken, what cannot is 503."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import STANDIN, ServerProcess, server_process
from tests.airflow_java_client import JavaClient, deploy_payload
from tests.waiting import wait_until

PASSWORD = "pw"
SLOW = """
import os, time
while not os.path.exists({gate!r}):
    time.sleep(0.02)
class Workflow: ...
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The launcher's import comes to its end once this exists."""
    return tmp_path / "gate"


@pytest.fixture
def server(tmp_path: Path, gate: Path) -> Iterator[ServerProcess]:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "slow_start.py").write_text(SLOW.format(gate=str(gate)))
    settings = {
        "AIRFLOW_PLUGIN__PASSWORD": PASSWORD,
        "RUNTIME__PYTHON_PATH": f"{STANDIN},{modules}",
        "RUNTIME__WORKFLOW_CLASSES": '{"application": "slow_start:Workflow"}',
    }
    with server_process(tmp_path, **settings) as server:
        server.start(ready=False)
        server.wait_until_live()
        server.make_service()
        try:
            yield server
        finally:
            gate.touch()


def test_every_route_while_the_launcher_starts(server: ServerProcess, gate: Path) -> None:
    java = JavaClient(server.http, server.url, password=PASSWORD)
    # The version is known from the runtime's manifest, once that was read.
    wait_until(lambda: server.http.get("/api/v1/openmetadata/health").status_code == 200, timeout_s=30)
    assert java.get("health-auth").json() == {"status": "healthy", "version": "0.0.1"}
    document = deploy_payload(f"{server.url}/api", service=SERVICE, token=server.bot_token)
    name = document["name"]
    deployed = java.post("deploy", document)
    assert deployed.status_code == 200
    assert deployed.json()["message"].startswith(
        f"Workflow [{name}] has been created. It was not checked by the models"
    )
    triggered = java.post("trigger", {"dag_id": name})
    assert triggered.status_code == 200
    run_id = str(UUID(triggered.json()["message"].rpartition(" ")[2].strip(">")))
    assert [row["runId"] for row in java.get(f"status?dag_id={name}&only_queued=true").json()] == [run_id]
    assert java.get(f"last_dag_logs?dag_id={name}&after=").status_code == 200
    assert java.get("ip").status_code == 200
    for route in ("disable", "enable"):
        assert java.post(route, {"dag_id": name}).status_code == 200
    automation = {"name": "test", "workflowType": "TEST_CONNECTION", "request": {"serviceType": "Database"}}
    automation["openMetadataServerConnection"] = document["openMetadataServerConnection"]
    refused = java.post("run_automation", automation)
    assert refused.status_code == 503
    assert "being started" in refused.json()["error"]
    gone = deploy_payload(f"{server.url}/api", service=SERVICE, token=server.bot_token)
    java.post("deploy", gone)
    java.post("trigger", {"dag_id": gone["name"]})
    assert java.post("kill", {"dag_id": gone["name"]}).status_code == 200
    assert java.delete(f"delete?dag_id={gone['name']}").status_code == 200

    gate.touch()
    assert server.ended(run_id)["state"] == "success"
    assert java.post("deploy", document).json() == {"message": f"Workflow [{name}] has been created"}
    [stored] = server.http.get("/api/v1/minisched/deployments").json()["data"]
    assert stored["checkedBy"]


def test_a_runtime_that_cannot_be_imported_is_unhealthy_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    settings = {"AIRFLOW_PLUGIN__PASSWORD": PASSWORD, "RUNTIME__PYTHON_PATH": str(tmp_path / "empty")}
    with server_process(tmp_path, **settings) as server:
        server.start(ready=False)
        server.wait_until_live()
        wait_until(lambda: server.http.get("/api/v1/openmetadata/health").status_code == 400, timeout_s=60)
        java = JavaClient(server.http, server.url, password=PASSWORD, prefix="api/v1/openmetadata")
        answer = java.get("health-auth")
        assert answer.status_code == 400
        assert "no workflow class" in answer.json()["error"]
        deployed = java.post("deploy", deploy_payload(f"{server.url}/api", service=SERVICE, token=server.bot_token))
        assert deployed.status_code == 200
        assert "was not checked" in deployed.json()["message"]
