"""What bench measures, each against a running server over one connection that stays open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import OK
from itertools import islice
from typing import Any

import psutil

from minisched.cli.bench_workflow import reached_ns
from minisched.cli.run_log import read_log
from minisched.cli.server import PIPELINES, RUNS, Server
from minisched.domain.errors import MinischedError
from minisched.domain.run import TERMINAL_STATES, RunState

Document = dict[str, Any]
Advance = Callable[[], None]

_RUN_WITHIN_S = 60.0
# Looking costs the server time that it needs for the runs: late at first, then seldom.
_FIRST_LOOK_S = 0.05
_LOOK_EVERY_S = 0.02
_LOOK_AT_MANY_EVERY_S = 0.2
# A launcher forks the next spare as soon as it is idle, which takes some 10 ms.
_SPARE_PAUSE_S = 0.1
_POPULATING_THREADS = 4
_BATCH = 100


class MeasureFailed(MinischedError):
    """A run of the benchmark did not do what it should; the numbers would mean nothing."""


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile (nearest rank), in the unit of the values, with two decimals."""
    ordered = sorted(values)
    return {f"p{p}": round(ordered[max(math.ceil(p / 100 * len(ordered)) - 1, 0)], 2) for p in (50, 99)}


class Pipelines:
    """Makes pipelines of the no-op kind, each with a name of its own."""

    def __init__(self, server: Server, service: Document) -> None:
        self._server = server
        self._service = service
        self._made = 0

    def create(self, *, max_active_runs: int = 1) -> str:
        """A pipeline that is not deployed yet; its id."""
        self._made += 1
        return self._create(f"bench_{self._made:06d}", max_active_runs)

    def create_deployed(self, count: int, advance: Advance) -> None:
        """So many more, deployed, as quickly as the server takes them."""
        names = [f"bench_{self._made + n:06d}" for n in range(1, count + 1)]
        self._made += count

        def create(batch: Sequence[str]) -> None:
            ids = [self._create(name, 1) for name in batch]
            answers = self._server.post(f"{PIPELINES}/bulk/deploy", ids)
            if refused := [answer for answer in answers if answer["code"] != OK]:
                raise MeasureFailed(f"{len(refused)} pipelines could not be deployed: {refused[0].get('reason')}")
            for _ in batch:
                advance()

        batches = [names[start : start + _BATCH] for start in range(0, count, _BATCH)]
        with ThreadPoolExecutor(_POPULATING_THREADS) as pool:
            for _ in pool.map(create, batches):
                pass

    def deploy(self, pipeline_id: str) -> None:
        self._server.post(f"{PIPELINES}/deploy/{pipeline_id}")

    def _create(self, name: str, max_active_runs: int) -> str:
        body = {
            "name": name,
            "pipelineType": "application",
            "service": self._service,
            "airflowConfig": {"maxActiveRuns": max_active_runs},
            "sourceConfig": {
                "config": {"type": "Application", "sourcePythonClass": "none.NoApp", "appConfig": {"type": "Bench"}}
            },
        }
        return str(self._server.post(PIPELINES, body)["id"])


def start_latency_ms(server: Server, pipeline_id: str, count: int, advance: Advance) -> list[float]:
    """From before the request to trigger until the first line of the workflow class, one run after the other."""
    return list(islice(_start_latencies(server, pipeline_id, advance), count))


def _start_latencies(server: Server, pipeline_id: str, advance: Advance) -> Iterator[float]:
    trigger(server, pipeline_id)  # the first run fills caches that a server has filled after a minute
    while True:
        started_ns = time.time_ns()
        run_id = trigger(server, pipeline_id)
        ended = wait_for_end(server, run_id)
        advance()
        yield (_reached_ns(server, ended) - started_ns) / 1e6
        time.sleep(_SPARE_PAUSE_S)


def trigger(server: Server, pipeline_id: str) -> str:
    return str(server.post(f"{PIPELINES}/trigger/{pipeline_id}")["runId"])


def wait_for_end(server: Server, run_id: str) -> Document:
    """The run once it has ended. Raises MeasureFailed unless it succeeded."""
    time.sleep(_FIRST_LOOK_S)
    deadline = time.monotonic() + _RUN_WITHIN_S
    while not has_succeeded(run := server.get(f"{RUNS}/{run_id}")):
        if time.monotonic() > deadline:
            raise MeasureFailed(f"run {run_id} is still {run['state']} after {_RUN_WITHIN_S:g} s")
        time.sleep(_LOOK_EVERY_S)
    return dict(run)


def has_succeeded(run: Document) -> bool:
    """False while it goes on. Raises MeasureFailed when it ended in another way."""
    if run["state"] in TERMINAL_STATES and run["state"] != RunState.SUCCESS:
        raise MeasureFailed(f"run {run['id']} is {run['state']}: {run.get('message')}")
    return bool(run["state"] == RunState.SUCCESS)


def _reached_ns(server: Server, run: Document) -> int:
    parts: list[bytes] = []
    read_log(server, run["id"], parts.append)
    reached = reached_ns(b"".join(parts))
    if reached is None:
        raise MeasureFailed(f"run {run['id']} did not reach its workflow: {run.get('message')}")
    return reached


def runs_per_minute(server: Server, pipeline_id: str, count: int, advance: Advance) -> float:
    """Queue so many runs at once; the rate from the first request until the last run has ended."""
    started_ms = time.time_ns() / 1e6
    for _ in range(count):
        trigger(server, pipeline_id)
    shown = 0
    deadline = time.monotonic() + _RUN_WITHIN_S + count
    while True:
        runs = server.get(RUNS, {"pipeline": pipeline_id, "limit": count})["data"]
        ended = [run["endedAt"] for run in runs if has_succeeded(run)]
        for _ in range(len(ended) - shown):
            advance()
        shown = len(ended)
        if shown == count:
            return round(count * 60_000 / (float(max(ended)) - started_ms), 1)
        if time.monotonic() > deadline:
            raise MeasureFailed(f"only {shown} of {count} runs have ended")
        time.sleep(_LOOK_AT_MANY_EVERY_S)


def deploy_latency_ms(pipelines: Pipelines, count: int, advance: Advance) -> list[float]:
    """The time that the request to deploy a pipeline takes, of pipelines that were not deployed before."""
    latencies = []
    for pipeline_id in [pipelines.create() for _ in range(count)]:
        started = time.perf_counter()
        pipelines.deploy(pipeline_id)
        latencies.append((time.perf_counter() - started) * 1000)
        advance()
    return latencies


class Footprint:
    """Memory and processor time of some processes.

    A process may hide its memory map from others of the same user; then only its resident size is known, which counts
    what forks share once each, so that the largest of the hidden ones stands for all of them.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self.hidden = False

    def memory_mb(self) -> float:
        """Proportional set size in MB, and after that `hidden` says whether some had to be estimated."""
        shown, hidden = 0, [0]
        for process in self._processes:
            try:
                shown += process.memory_full_info().pss
            except psutil.AccessDenied:
                hidden.append(process.memory_info().rss)
        self.hidden = len(hidden) > 1
        return round((shown + max(hidden)) / 1e6, 1)

    def cpu_s(self) -> float:
        """Processor time spent so far, in seconds."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._processes))
