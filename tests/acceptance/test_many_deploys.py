"""Deploying again and again, as an OpenMetadata server does at every edit: neither slower nor larger.

MINISCHED_LONG=1 makes it the thousand that is promised; otherwise it is short enough for every day.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.openmetadata_double import SERVICE
from tests.acceptance.server_process import ServerProcess, server_process
from tests.airflow_java_client import PREFIXES, JavaClient, deploy_payload

PASSWORD = "pw"
LONG = bool(os.environ.get("MINISCHED_LONG"))
DEPLOYS = 1000 if LONG else 300
PART = 100
WARM_UP = 50
MOST_GROWTH_MB = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with server_process(tmp_path, AIRFLOW_PLUGIN__PASSWORD=PASSWORD) as server:
        server.start()
        yield server


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["new pipelines", "one pipeline, edited"])
def test_the_last_deploys_cost_what_the_first_cost(server: ServerProcess, kind: str) -> None:
    java = JavaClient(server.http, server.url, password=PASSWORD, prefix=PREFIXES[0])
    one = deploy_payload(f"{server.url}/api", service=SERVICE, token=server.bot_token)

    def deploy(number: int) -> float:
        document = one | {"displayName": str(number)}
        if kind == "new pipelines":
            document = deploy_payload(f"{server.url}/api", service=SERVICE, token=server.bot_token)
        started = time.perf_counter()
        answer = java.post("deploy", document)
        taken_ms = (time.perf_counter() - started) * 1000
        assert answer.status_code == 200, answer.text
        return taken_ms

    process = psutil.Process(server.process.pid)
    for number in range(WARM_UP):
        deploy(-number)
    before = process.memory_info().rss
    taken_ms = [deploy(number) for number in range(DEPLOYS)]
    grown_mb = (process.memory_info().rss - before) / 1e6
    first, last = statistics.median(taken_ms[:PART]), statistics.median(taken_ms[-PART:])
    print(f"{kind}: first {first:.1f} ms, last {last:.1f} ms, grown {grown_mb:.1f} MB")
    # Within noise: other work on this machine may slow a part of it down.
    assert last < first * 1.5 + 3, (first, last)
    assert grown_mb < MOST_GROWTH_MB
    assert server.http.get("/api/v1/minisched/deployments").status_code == 200
