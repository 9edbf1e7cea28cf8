"""A server with TLS: the real workflow reaches the sandbox of its own server, whatever name the certificate has."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from minisched.cli.demo_documents import service
from minisched.cli.sample_database import create_sample_database
from tests.acceptance.server_process import PIPELINES, RUNS, TERMINAL, pipeline_request, server_process
from tests.certificates import self_signed
from tests.credentials import ADMIN
from tests.waiting import wait_until


@pytest.mark.timeout(300)
def test_a_real_run_sends_what_it_finds_over_tls(tmp_path: Path, real_runtime: Path) -> None:
    _, certificate = self_signed(tmp_path)
    tls = {"SERVER__TLS_CERT_FILE": str(certificate), "SERVER__TLS_KEY_FILE": str(tmp_path / "key.pem")}
    database = tmp_path / "shop.db"
    create_sample_database(database)
    with server_process(tmp_path, RUNTIME__DEFAULT=str(real_runtime), RUNTIME__PYTHON_PATH="", **tls) as server:
        server.start(ready=False)
        wait_until(lambda: server.logged("server.ready"), timeout_s=60)
        trusting = ssl.create_default_context(cafile=certificate)
        url = server.url.replace("http:", "https:")
        with httpx.Client(base_url=url, verify=trusting, trust_env=False, auth=ADMIN, timeout=30) as http:
            wait_until(lambda: _is_warm(http), timeout_s=120, every_s=0.2)
            made = http.put("/api/v1/services/databaseServices", json=service(database)).json()
            request = pipeline_request() | {"service": {"id": made["id"], "type": "databaseService"}}
            pipeline = http.post(PIPELINES, json=request).json()
            assert http.post(f"{PIPELINES}/deploy/{pipeline['id']}").json()["code"] == 200
            run_id = http.post(f"{PIPELINES}/trigger/{pipeline['id']}").json()["runId"]
            wait_until(lambda: http.get(f"{RUNS}/{run_id}").json()["state"] in TERMINAL, timeout_s=90, every_s=0.2)
            run = http.get(f"{RUNS}/{run_id}").json()
            assert run["state"] == "success", (run, http.get(f"{RUNS}/{run_id}/log").text[-4000:])
            assert http.get("/api/v1/tables", params={"limit": 0}).json()["paging"]["total"] > 20


def _is_warm(http: httpx.Client) -> bool:
    try:
        runtimes = http.get("/api/v1/minisched/runtimes").json()["data"]
    except httpx.TransportError:
        return False
    return any(runtime["state"] == "ready" for runtime in runtimes)
