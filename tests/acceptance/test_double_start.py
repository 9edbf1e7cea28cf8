"""Two servers on one database: one serves, the other is refused or waits, and who lost the lease writes no more.

MINISCHED_LONG takes over with the default length of a lease.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from minisched.store.secrets import new_key
from tests.acceptance.server_process import PIPELINES, TERMINAL, ServerProcess, server_process
from tests.credentials import ADMIN
from tests.databases import url_for
from tests.waiting import wait_until

LEASE_S = 15.0 if os.environ.get("MINISCHED_LONG") else 3.0
TAKEN_OVER_WITHIN_S = 30.0
USAGE, LOST = 2, 1


@dataclass
class Pair:
    """Two servers on one database."""

    active: ServerProcess
    standby: ServerProcess

    def await_standby(self) -> None:
        self.standby.start(ready=False, SERVER__STANDBY="true")
        wait_until(lambda: self.standby.logged("lease.awaited"), timeout_s=60, every_s=0.05)

    def assert_taken_over(self, since: float) -> None:
        self.standby.wait_until_warm()
        assert time.monotonic() - since < TAKEN_OVER_WITHIN_S


@pytest.fixture(params=["one data directory", pytest.param("postgresql", marks=pytest.mark.external_service)])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    settings = {"SERVER__LEASE_S": str(LEASE_S), "EXECUTOR__SLOTS": "2"}
    directories = [tmp_path / "first", tmp_path / "second"]
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        settings |= {"DATABASE__URL": url, "SECRETS__KEY": new_key()}
    else:
        directories = [tmp_path, tmp_path]
    with ExitStack() as stack:
        servers = []
        for directory in directories:
            directory.mkdir(exist_ok=True)
            servers.append(stack.enter_context(server_process(directory, **settings)))
        servers[0].start()
        servers[0].make_service()
        yield Pair(*servers)


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest) -> str:
    return url_for("postgresql", request)


def test_a_second_server_is_refused_and_told_who_the_first_is(pair: Pair) -> None:
    pair.standby.start(ready=False)
    assert pair.standby.wait_for_death() == USAGE
    named = f"process {pair.active.process.pid} on host {socket.gethostname()}, since "
    assert named in pair.standby.output()
    assert "--standby" in pair.standby.output()
    assert pair.active.ended(pair.active.trigger(pair.active.deployed()))["state"] == "success"


def test_a_standby_serves_nobody_and_ends_when_it_is_told_to(pair: Pair) -> None:
    pair.await_standby()
    with pytest.raises(httpx.ConnectError):
        pair.standby.http.get("/health/live")
    assert pair.standby.terminate() == 0
    assert not pair.active.has_died()


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_standby_takes_over_from_a_server_that_ended(pair: Pair, end: str) -> None:
    pipeline = pair.active.deployed()
    pair.await_standby()
    getattr(pair.active, end)()
    since = time.monotonic()
    pair.assert_taken_over(since)
    pair.standby.make_service()
    assert pair.standby.ended(pair.standby.trigger(pipeline))["state"] == "success"


def test_a_server_that_lost_its_lease_while_it_slept_writes_no_more(pair: Pair) -> None:
    pipeline, hanging = pair.active.deployed(), pair.active.deployed("hang")
    going_on = pair.active.trigger(hanging)
    processes = pair.active.started(going_on)
    pair.await_standby()
    with ThreadPoolExecutor(1) as pool:
        os.kill(pair.active.process.pid, signal.SIGSTOP)
        since = time.monotonic()
        late = pool.submit(_triggered, pair.active, pipeline)
        pair.assert_taken_over(since)
        before = {run["id"]: run["state"] for run in pair.standby.runs()}
        assert before == {going_on: "running"}
        os.kill(pair.active.process.pid, signal.SIGCONT)
        assert pair.active.wait_for_death() == LOST
        assert not _succeeded(late)
    assert pair.active.logged("lease.lost")
    assert {run["id"]: run["state"] for run in pair.standby.runs()} == before
    pair.standby.make_service()
    assert pair.standby.ended(pair.standby.trigger(pipeline))["state"] == "success"
    pair.standby.http.post(f"/api/v1/minisched/runs/{going_on}/stop")
    assert pair.standby.ended(going_on)["state"] == "stopped"
    assert processes.living() == []
    assert {run["state"] for run in pair.standby.runs()} <= TERMINAL


def _triggered(server: ServerProcess, pipeline: dict[str, object]) -> httpx.Response:
    return httpx.post(f"{server.url}{PIPELINES}/trigger/{pipeline['id']}", timeout=120, trust_env=False, auth=ADMIN)


def _succeeded(call: Future[httpx.Response]) -> bool:
    try:
        return call.result(timeout=60).is_success
    except httpx.TransportError:
        return False
