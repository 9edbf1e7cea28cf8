"""A real Airflow with OpenMetadata's plugin, for the contract that every orchestrator is held to.

Opt-in as in tests/acceptance/test_real_airflow.py. Its workflows talk to the sandbox of a server of ours, and read the
sample database, or wait for ever for one that never says a word.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from minisched.cli.demo_documents import service
from minisched.cli.sample_database import create_sample_database
from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.airflow.plugin import PREFIXES
from minisched.clients.connection import connection_document
from minisched.domain.pipeline import Document, PipelineRef, clean_name
from tests.acceptance.server_process import ServerProcess, server_process
from tests.contract.orchestrators import Orchestrator
from tests.waiting import wait_until

REAL_URL = os.environ.get("MINISCHED_TEST_AIRFLOW")
USERNAME = os.environ.get("MINISCHED_TEST_AIRFLOW_USERNAME", "admin")
PASSWORD = os.environ.get("MINISCHED_TEST_AIRFLOW_PASSWORD", "admin")


def plugin_url() -> str:
    """Where its plugin answers: that is elsewhere in an Airflow 2."""
    for prefix in PREFIXES:
        url = f"{REAL_URL}/{prefix}"
        answer = httpx.get(f"{url}/health-auth", auth=(USERNAME, PASSWORD), timeout=60, trust_env=False)
        if answer.headers.get("content-type", "").startswith("application/json") and answer.status_code == 200:
            return url
    raise AssertionError(f"no plugin answers at {REAL_URL}")


def silent_database(port: int) -> Document:
    """The service of a MySQL that takes connections and never says a word."""
    connection = {"type": "Mysql", "username": "u", "authType": {"password": "p"}, "hostPort": f"127.0.0.1:{port}"}
    return {
        "id": str(uuid4()),
        "name": f"silent_{uuid4().hex[:8]}",
        "serviceType": "Mysql",
        "connection": {"config": connection},
    }


def _made(server: ServerProcess, document: Document) -> Document:
    answer = server.http.put("/api/v1/services/databaseServices", json=document)
    assert answer.is_success, answer.text
    return {"id": answer.json()["id"], "type": "databaseService", "name": document["name"]}


@contextmanager
def a_real_airflow(directory: Path) -> Iterator[Orchestrator]:
    # The server's sandbox is of Airflow's line then.
    settings = {"CLIENT": "airflow", "AIRFLOW__URL": str(REAL_URL), "AIRFLOW__USERNAME": USERNAME}
    with (
        server_process(directory, AIRFLOW__PASSWORD=PASSWORD, **settings) as server,
        socket.create_server(("127.0.0.1", 0)) as silence,
    ):
        server.start(ready=False)
        server.wait_until_live()
        wait_until(lambda: server.logged("airflow.healthy"), timeout_s=60)
        create_sample_database(directory / "shop.db")
        talking = _made(server, service(directory / "shop.db"))
        silent = _made(server, silent_database(silence.getsockname()[1]))
        token = (server.data / "sandbox.token").read_text()
        hanging: set[str] = set()
        deployed: list[str] = []

        def complete(document: Document) -> Document:
            if "name" in document and "pipelineType" in document:
                deployed.append(document["name"])
            source = silent if document.get("id") in hanging else talking
            known = {**source, "fullyQualifiedName": source["name"]}
            connection = connection_document(f"{server.url}/api", token)
            return {**document, "service": known, "openMetadataServerConnection": connection}

        def holder_of(document: Document) -> str | None:
            taken = clean_name(document["name"])
            others = (name for name in deployed if clean_name(name) == taken and name != document["name"])
            return next((f"svc.{name}" for name in others), None)

        account = AirflowServer(url=str(REAL_URL), username=USERNAME, password=PASSWORD, parse_wait_s=60)
        # The plugin finds its address by asking a server of the internet.
        client = AirflowClient(account, complete=complete, holder_of=holder_of, host_ip="192.0.2.7")
        try:
            yield Orchestrator(
                client=client,
                behave=lambda pipeline_id, behaviour: hanging.add(pipeline_id) if behaviour == "hang" else None,
                tells_refusals_apart=False,
                ends_single_runs=False,
                narrows_runs=False,
                has_runtimes=False,
                refuses_all=False,
                runs_disabled=False,
                killed_state="failed",
                log_says="Workflow",
                automation_says="(failed to|did not) run the automation",
                patience_s=100,
            )
        finally:
            for name in deployed:
                client.delete_pipeline(PipelineRef(name))
