"""A server that is its own catalog is restarted while the real workflow sends to it: the run loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.cli.demo_documents import service
from minisched.cli.sample_database import create_sample_database
from tests.acceptance.server_process import PIPELINES, ServerProcess, pipeline_request, server_process
from tests.waiting import wait_until

pytestmark = [pytest.mark.real_runtime, pytest.mark.timeout(600)]


@pytest.fixture
def server(tmp_path: Path, real_runtime: Path) -> Iterator[ServerProcess]:
    settings = {"RUNTIME__DEFAULT": str(real_runtime), "RUNTIME__PYTHON_PATH": ""}
    with server_process(tmp_path, **settings) as server:
        server.start()
        yield server


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_run_goes_on_while_its_catalog_restarts(server: ServerProcess, tmp_path: Path, end: str) -> None:
    create_sample_database(tmp_path / "shop.db")
    source = service(tmp_path / "shop.db")
    assert server.http.put("/api/v1/services/databaseServices", json=source).is_success
    request = pipeline_request() | {"service": {"id": source["id"], "type": "databaseService"}}
    pipeline = server.http.post(PIPELINES, json=request).json()
    server.deploy(pipeline)

    run_id = server.trigger(pipeline)
    wait_until(lambda: tables_of(server) >= 1, timeout_s=60, every_s=0.005)
    getattr(server, end)()
    log = server.started(run_id).directory / "run.log"
    wait_until(lambda: "requests wait for it" in log.read_text(), timeout_s=30)
    server.start()

    run = server.ended(run_id, timeout_s=120)
    assert (run["state"], tables_of(server)) == ("success", 24), server.run_log(run_id)[-3000:]


def tables_of(server: ServerProcess) -> int:
    return int(server.http.get("/api/v1/tables", params={"limit": 0}).json()["paging"]["total"])
