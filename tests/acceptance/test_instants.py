"""A real server that is killed while instants come: every one of them gets its decision, and one run at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.server_process import ServerProcess, server_process
from tests.credentials import ADMIN_PASSWORD
from tests.waiting import wait_until

Document = dict[str, Any]

MINUTE_MS = 60_000


def test_instants_across_kills(tmp_path: Path) -> None:
    """The server's clock is moved so that minutes end when the test wants it."""
    with server_process(tmp_path) as server:
        offset_s = _before_the_next_minute(12)
        server.start(CLOCK_OFFSET_S=str(offset_s))
        server.make_service()
        pipeline = server.deployed(schedule="* * * * *")
        first = wait_until(lambda: _ticks(server, pipeline), timeout_s=40)[0]
        assert first["decision"] == "fired"
        server.kill()

        # An hour passes in which no server runs; then one that dies again at the worst of times.
        offset_s += 3600
        server.start(failpoint="before_tick_commit", ready=False, CLOCK_OFFSET_S=str(offset_s))
        server.wait_for_death()
        server.start(CLOCK_OFFSET_S=str(offset_s))
        wait_until(lambda: len(_ticks(server, pipeline)) >= 3, timeout_s=40)

        ticks = _ticks(server, pipeline)[::-1]
        _assert_every_minute_has_one_decision(ticks)
        assert sum(tick["instants"] for tick in ticks) >= 60
        assert {"fired", "coalesced"} <= {tick["decision"] for tick in ticks}
        scheduled = [run["scheduledFor"] for run in server.runs() if run["kind"] == "scheduled"]
        assert len(scheduled) == len(set(scheduled))
        assert set(scheduled) == {tick["scheduledFor"] for tick in ticks if tick["decision"] == "fired"}

        asked = ticks[1]["scheduledFor"] + 10 * MINUTE_MS
        sentence = _cli(server, "pipeline", "why", pipeline["name"], "--at", _utc(asked))
        assert "no scheduler was at work from" in sentence
        shown = json.loads(_cli(server, "pipeline", "next", pipeline["name"], "--count", "3", "--json"))
        assert [one["at"] % MINUTE_MS for one in shown["data"]] == [0, 0, 0]
        since, until = _utc(asked - 3 * MINUTE_MS), _utc(asked)
        backfill = ("pipeline", "backfill", pipeline["name"], "--from", since, "--to", until)
        assert "3 would be queued" in _cli(server, *backfill, "--dry-run")
        assert "3 queued, 0 had their run" in _cli(server, *backfill)
        assert "0 queued, 3 had their run" in _cli(server, *backfill)
        simulated = _cli(server, "schedule", "simulate", "--from", "2026-03-01", "--to", "2026-03-02")
        assert "1440 instants" in simulated


def test_a_server_that_was_stopped_across_an_instant_makes_up_for_it_once(tmp_path: Path) -> None:
    """As a machine that slept: the process stands still, the clock goes on."""
    with server_process(tmp_path) as server:
        server.start(CLOCK_OFFSET_S=str(_before_the_next_minute(12)))
        server.make_service()
        pipeline = server.deployed(schedule="* * * * *")
        (instant,) = [one["at"] for one in _preview(server, pipeline)]
        moved_ms = server.logged("clock.moved")[0]["offset_s"] * 1000
        stopped = psutil.Process(server.process.pid)
        stopped.suspend()
        try:
            wait_until(lambda: time.time() * 1000 + moved_ms > instant + 2000, timeout_s=20)
        finally:
            stopped.resume()
        (tick,) = wait_until(lambda: _ticks(server, pipeline), timeout_s=20)
        assert (tick["decision"], tick["scheduledFor"]) == ("fired", instant)
        assert 2000 <= tick["decidedAt"] - instant <= 17_000
        assert [run["scheduledFor"] for run in server.runs()] == [instant]


def _preview(server: ServerProcess, pipeline: Document) -> list[Document]:
    answer = server.http.get(f"/api/v1/minisched/pipelines/{pipeline['id']}/schedule", params={"count": 1})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def _before_the_next_minute(seconds: float) -> float:
    """What moves the clock so that a minute ends in so many seconds."""
    return 60 - seconds - time.time() % 60


def _ticks(server: ServerProcess, pipeline: Document) -> list[Document]:
    answer = server.http.get(f"/api/v1/minisched/pipelines/{pipeline['id']}/ticks", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def _assert_every_minute_has_one_decision(ticks: list[Document]) -> None:
    """Oldest first; each goes on where the one before it ended."""
    for tick in ticks:
        assert tick["through"] == tick["scheduledFor"] + (tick["instants"] - 1) * MINUTE_MS
    for one, following in pairwise(ticks):
        assert following["scheduledFor"] == one["through"] + MINUTE_MS


def _utc(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:00+00:00", time.gmtime(milliseconds / 1000))


def _cli(server: ServerProcess, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "minisched", "--url", server.url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "MINISCHED_DATA_DIR": str(server.data), "MINISCHED_PASSWORD": ADMIN_PASSWORD},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
