"""`minisched demo` from outside: what it shows, how often it can be repeated, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from minisched.cli import demo_documents
from minisched.cli.exit_codes import ExitCode
from minisched.cli.sample_database import TABLES, VIEWS
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until

pytestmark = [pytest.mark.real_runtime, pytest.mark.timeout(900)]

WITHIN_S = 240.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data directory; nothing may run in it when the test is over."""
    yield tmp_path / "data"
    left = processes_about(tmp_path)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def environment(home: Path, real_runtime: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINISCHED_")}
    return {**inherited, "MINISCHED_DATA_DIR": str(home), "MINISCHED_RUNTIME__DEFAULT": str(real_runtime)}


def _demo(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minisched", "demo", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def _columns(home: Path, kind: str) -> list[dict[str, Any]]:
    """What the sample database itself says."""
    with closing(sqlite3.connect(home / "demo" / "shop.db")) as shop:
        names = shop.execute("SELECT name FROM sqlite_master WHERE type = ? ORDER BY name", (kind,)).fetchall()
        return [
            {"name": name, "columns": len(shop.execute(f"PRAGMA table_info({name})").fetchall())} for (name,) in names
        ]


def test_the_demo_shows_what_the_real_package_found(environment: dict[str, str], home: Path) -> None:
    done = _demo(environment, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["arrived"]["tables"] == _columns(home, "table")
    assert shown["arrived"]["views"] == _columns(home, "view")
    assert (len(shown["arrived"]["tables"]), len(shown["arrived"]["views"])) == (TABLES, VIEWS)
    assert shown["run"]["state"] == "success"
    assert shown["pipeline"]["airflowConfig"]["scheduleInterval"] == "0 * * * *"
    assert [owner["id"] for owner in shown["pipeline"]["owners"]] == [demo_documents.OWNER_ID]
    assert {step["name"] for step in shown["run"]["steps"]} >= {"SQLite", "OpenMetadata"}
    timings = shown["timings"]
    assert 0 < timings["trigger_to_workflow_ms"] <= timings["trigger_to_first_line_ms"] < timings["import_s"] * 1000


def test_the_demo_can_be_repeated_and_tells_people_the_same(environment: dict[str, str], home: Path) -> None:
    first = json.loads(_demo(environment, "--json").stdout)
    started = time.monotonic()
    again = _demo(environment)
    took_s = time.monotonic() - started
    assert again.returncode == 0, again.stderr
    assert f"{TABLES} tables, {VIEWS} views" in again.stdout
    assert all(entry["name"] in again.stdout for entry in _columns(home, "table"))
    assert "{metadata" in again.stdout  # lines of the workflow's own log
    assert "success" in again.stdout
    assert took_s < 60
    third = json.loads(_demo(environment, "--json").stdout)
    assert third["pipeline"]["id"] == first["pipeline"]["id"]
    assert third["pipeline"]["version"] == first["pipeline"]["version"]


def test_a_kept_server_goes_on_serves_the_next_demo_and_can_be_ended(environment: dict[str, str], home: Path) -> None:
    shown = json.loads(_demo(environment, "--keep", "--json").stdout)
    server = shown["server"]
    assert server["kept"] is True
    password = Path(server["passwordFile"]).read_text()
    for url in server["addresses"].values():
        assert httpx.get(url, trust_env=False, auth=("admin", password)).status_code == 200, url
    reused = json.loads(_demo(environment, "--json").stdout)["server"]
    assert (reused["pid"], reused["kept"]) == (server["pid"], True)
    os.kill(server["pid"], signal.SIGTERM)
    wait_until(lambda: not processes_about(home), timeout_s=30)


@dataclass
class _Demo:
    """A demo that is running, and what it has said so far."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        seen = []
        while text not in (line := self.lines.get(timeout=max(deadline - time.monotonic(), 0.1))):
            seen.append(line)
            assert line, f"it ended before it said {text!r}: {''.join(seen)}"


def _started(environment: dict[str, str]) -> _Demo:
    process = subprocess.Popen(
        [sys.executable, "-m", "minisched", "demo"],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_collect, args=(process, lines), daemon=True).start()
    return _Demo(process, lines)


def _collect(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def test_interruptions_at_every_stage_leave_no_process_and_no_broken_state(
    environment: dict[str, str], home: Path
) -> None:
    for stage in ("runtime ", "sample database", "server at", "is imported", "deployed", "triggered", "{metadata"):
        demo = _started(environment)
        demo.wait_for(stage)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(timeout=60) == ExitCode.INTERRUPTED, stage
        assert not processes_about(home), stage
    done = _demo(environment, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["arrived"]["tables"]) == TABLES


def test_a_demo_that_is_killed_takes_its_server_along(environment: dict[str, str], home: Path) -> None:
    demo = _started(environment)
    demo.wait_for("triggered")
    demo.process.kill()
    demo.process.wait(timeout=60)
    wait_until(lambda: not processes_about(home), timeout_s=60)


def test_an_interruption_while_a_runtime_is_created_leaves_nothing_of_it(
    environment: dict[str, str], home: Path
) -> None:
    environment["MINISCHED_RUNTIME__DEFAULT"] = "interrupted"
    demo = _started(environment)
    demo.wait_for("resolve")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=60) == ExitCode.INTERRUPTED
    assert not processes_about(home)
    assert [entry.name for entry in (home / "runtimes").iterdir() if entry.is_dir()] == []
