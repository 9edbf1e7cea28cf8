"""The arithmetic of bench, and what it takes for a failure."""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from minisched.cli import bench_measures
from minisched.cli.bench_measures import Footprint, MeasureFailed, percentiles
from minisched.cli.bench_workflow import MODULE, reached_ns, write_modules
from minisched.cli.server import Server


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [([7.0], 7, 7), ([2.0, 1.0], 1, 2), (list(range(1, 101)), 50, 99), (list(range(200, 0, -1)), 100, 198)],
)
def test_percentiles_are_values_that_occurred(values: list[float], p50: float, p99: float) -> None:
    assert percentiles(values) == {"p50": p50, "p99": p99}


def test_the_workflow_of_the_bench_says_when_it_was_reached(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_modules(tmp_path, stand_in=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"{MODULE}.py"]
    before = time.time_ns()
    workflow = runpy.run_path(str(tmp_path / f"{MODULE}.py"))["Workflow"].create({})
    workflow.execute()
    workflow.stop()
    reached = reached_ns(capfd.readouterr().out.encode())
    assert reached is not None
    assert before <= reached <= time.time_ns()


def test_a_log_without_the_mark_was_never_reached() -> None:
    assert reached_ns(b"[2026-01-01T00:00:00.000Z] ERROR nothing\n\xff") is None


def test_a_stand_in_is_what_a_launcher_looks_for(tmp_path: Path) -> None:
    write_modules(tmp_path, stand_in=True)
    assert runpy.run_path(str(tmp_path / "metadata" / "workflow" / "application.py"))["ApplicationWorkflow"]


def _answering(state: str) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = {"runId": "r", "id": "r", "state": state, "message": "the reason"}
        return httpx.Response(200, json=body)

    return answer


def test_a_run_that_fails_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(_answering("failed"))
    with Server("http://127.0.0.1:8580", transport) as server, pytest.raises(MeasureFailed, match="the reason"):
        bench_measures.runs_per_minute(server, "p", 3, lambda: None)
    monkeypatch.setattr(bench_measures, "_RUN_WITHIN_S", 0.0)
    transport = httpx.MockTransport(_answering("running"))
    with Server("http://127.0.0.1:8580", transport) as server, pytest.raises(MeasureFailed, match="is running"):
        bench_measures.wait_for_end(server, "r")


def test_the_footprint_of_this_process_is_its_own() -> None:
    footprint = Footprint([psutil.Process()])
    assert 1 < footprint.memory_mb() < psutil.Process().memory_info().rss / 1e6 * 1.5
    spent = footprint.cpu_s()
    assert 0 < spent <= sum(os.times()[:2]) + 0.1
