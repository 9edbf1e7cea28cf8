"""The arithmetic of bench, and what it takes for a failure."""

from __future__ import annotations

import os
import runpy
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from minisched.cli import bench_measures
from minisched.cli.bench_measures import Footprint, MeasureFailed, percentiles
from minisched.cli.bench_workflow import MODULE, make_stand_in, reached_ns, write_workflow
from minisched.cli.server import Server
from minisched.runtimes import inspect_interpreter, probe_interpreter


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [([7.0], 7, 7), ([2.0, 1.0], 1, 2), (list(range(1, 101)), 50, 99), (list(range(200, 0, -1)), 100, 198)],
)
def test_percentiles_are_values_that_occurred(values: list[float], p50: float, p99: float) -> None:
    assert percentiles(values) == {"p50": p50, "p99": p99}


def test_the_workflow_of_the_bench_says_when_it_was_reached(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_workflow(tmp_path)
    before = time.time_ns()
    workflow = runpy.run_path(str(tmp_path / f"{MODULE}.py"))["Workflow"].create({})
    workflow.execute()
    workflow.stop()
    reached = reached_ns(capfd.readouterr().out.encode())
    assert reached is not None
    assert before <= reached <= time.time_ns()


def test_a_log_without_the_mark_was_never_reached() -> None:
    assert reached_ns(b"[2026-01-01T00:00:00.000Z] ERROR nothing\n\xff") is None


def test_a_stand_in_is_a_runtime_like_any_other(tmp_path: Path) -> None:
    python = make_stand_in(tmp_path / "runtime")
    assert probe_interpreter(python).present
    assert inspect_interpreter(python).problem is None


def _server(state: str, ended_after_ms: int = 0) -> Server:
    """One on which every run is in this state, and every trigger makes another."""
    runs: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            ended_ms = time.time_ns() // 1_000_000 + ended_after_ms
            runs.append({"id": "r", "state": state, "message": "the reason", "endedAt": ended_ms})
            return httpx.Response(200, json={"runId": "r"})
        is_list = "limit" in request.url.params
        return httpx.Response(200, json={"data": runs} if is_list else runs[-1])

    return Server("http://127.0.0.1:8580", httpx.MockTransport(answer))


def test_the_rate_of_runs_counts_until_the_last_has_ended() -> None:
    shown: list[int] = []
    with _server("success", ended_after_ms=10_000) as server:
        rate = bench_measures.runs_per_minute(server, "p", 30, lambda: shown.append(1))
    assert 170 < rate <= 180
    assert len(shown) == 30


def test_a_run_that_fails_fails_the_measurement() -> None:
    with _server("failed") as server, pytest.raises(MeasureFailed, match="the reason"):
        bench_measures.runs_per_minute(server, "p", 3, lambda: None)


def test_a_run_that_does_not_end_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_measures, "_RUN_WITHIN_S", 0.0)
    with _server("running") as server:
        run_id = bench_measures.trigger(server, "p")
        with pytest.raises(MeasureFailed, match="still running"):
            bench_measures.wait_for_end(server, run_id)


def test_the_footprint_of_this_process_is_its_own() -> None:
    footprint = Footprint([psutil.Process()])
    assert 1 < footprint.memory_mb() < psutil.Process().memory_info().rss / 1e6 * 1.5
    spent = footprint.cpu_s()
    assert 0 < spent <= sum(os.times()[:2]) + 0.1
