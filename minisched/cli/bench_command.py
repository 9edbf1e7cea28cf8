"""`minisched bench`: numbers of this machine, from a throw-away server over real HTTP."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minisched.cli import bench_measures as measures
from minisched.cli.bench_workflow import MODULE, make_stand_in, write_workflow
from minisched.cli.interruption import interrupted_once
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table
from minisched.cli.runtime_choice import ready_runtime
from minisched.cli.server import Server
from minisched.cli.server_process import ServerProcess, launchers_of

SLOTS = (1, 4, 16)
SIZES = (1, 1_000, 10_000)

_WARM_WITHIN_S = 180.0
_SERVICE = {"name": "bench", "serviceType": "SQLite", "connection": {"config": {"type": "SQLite"}}}


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured; what is left out of SLOTS and SIZES is null in the result."""

    starts: int = 200
    runs: int = 200
    deploys: int = 100
    idle_s: float = 10.0
    slots: tuple[int, ...] = SLOTS
    sizes: tuple[int, ...] = SIZES


_QUICK = Extent(starts=20, runs=40, deploys=20, idle_s=3.0, sizes=SIZES[:2])


@click.command(short_help="Measure this machine: start latency, throughput, deploys, memory.")
@click.option("--quick", is_flag=True, help="Fewer of each, and no 10,000 pipelines: for a first impression.")
@json_option
@pass_invocation
def bench(invocation: Invocation, quick: bool, as_json: bool) -> None:
    """Measure this machine with a throw-away server, real HTTP and a real launcher.

    The workflow does nothing; the launcher carries the real openmetadata-ingestion when there is a runtime, else a
    stand-in. Takes some minutes; nothing of it stays.
    """
    extent = _QUICK if quick else Extent()
    runtime = ready_runtime(invocation.settings)
    with (
        interrupted_once(b"\nminisched: cleaning up\n"),
        tempfile.TemporaryDirectory(prefix="minisched-bench-", ignore_cleanup_errors=True) as directory,
        _progress() as progress,
    ):
        result = Bench(Path(directory), runtime.python if runtime else None, extent, progress).measure()
    if as_json:
        print_json(result)
    else:
        console().print(table(("MEASURED", "#", ""), _rows(result)))
        click.echo(result["note"])


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console(stderr=True))


class Bench:
    """One benchmark in a directory of its own; `python` is the interpreter of a runtime, or None for a stand-in."""

    def __init__(self, directory: Path, python: Path | None, extent: Extent, progress: Progress) -> None:
        self._directory = directory
        self._is_real = python is not None
        self._python = python or make_stand_in(directory / "runtime")
        self._modules = write_workflow(directory / "modules")
        self._extent = extent
        self._progress = progress
        self._load = os.getloadavg()[0]
        self._facts: list[str] = []

    def measure(self) -> dict[str, Any]:
        result: dict[str, Any] = {"workflow": "real" if self._is_real else "stand-in"}
        rates: dict[str, float] = {}
        for slots in sorted(self._extent.slots, key=lambda slots: slots != 4):
            with self._server(slots) as (process, server, pipelines):
                if slots == 4:
                    result |= self._idle(process)
                    result |= self._start_latency(server, pipelines)
                rates[str(slots)] = self._runs_per_minute(server, pipelines, slots)
                if slots == 4:
                    result |= self._deploys(pipelines)
        result["runs_per_minute"] = {str(slots): rates.get(str(slots)) for slots in SLOTS}
        result["note"] = self._note()
        order = ("workflow", "trigger_to_first_line_ms", "runs_per_minute", "deploy_ms", "memory_mb")
        return {key: result[key] for key in (*order, "idle_cpu_percent", "note")}

    @contextmanager
    def _server(self, slots: int) -> Iterator[tuple[ServerProcess, Server, measures.Pipelines]]:
        """A fresh server with a warm launcher and, through one connection, everything that pipelines need."""
        task = self._progress.add_task(f"server with {slots} slots", total=1)
        with ServerProcess(self._directory / f"slots-{slots}", self._variables(slots)) as process:
            process.wait_until_live()
            runtime = process.wait_until_warm(_WARM_WITHIN_S)
            self._facts = [f"openmetadata-ingestion {runtime.get('version')}"] if self._is_real else []
            with process.server() as server:
                service = server.put("/api/v1/services/databaseServices", _SERVICE)
                self._progress.advance(task)
                yield process, server, measures.Pipelines(server, {"id": service["id"], "type": "databaseService"})

    def _variables(self, slots: int) -> dict[str, str]:
        return {
            "MINISCHED_RUNTIME__DEFAULT": str(self._python),
            "MINISCHED_RUNTIME__PYTHON_PATH": str(self._modules),
            "MINISCHED_RUNTIME__WORKFLOW_CLASSES": json.dumps({"application": f"{MODULE}:Workflow"}),
            "MINISCHED_EXECUTOR__SLOTS": str(slots),
            "MINISCHED_EXECUTOR__DRAIN": "stop",
            "MINISCHED_LAUNCHER__LINGER_S": "2",
        }

    def _idle(self, process: ServerProcess) -> dict[str, Any]:
        """Of the server alone and with its launcher and spares, at the same time, after a moment of rest."""
        task = self._progress.add_task("idle", total=None)
        server = measures.Footprint([psutil.Process(process.pid)])
        both = measures.Footprint([psutil.Process(process.pid), *launchers_of(process.data_dir)])
        time.sleep(2.0)
        before = server.cpu_s(), both.cpu_s()
        time.sleep(self._extent.idle_s)
        percent = [
            round((footprint.cpu_s() - spent) * 100 / self._extent.idle_s, 2)
            for footprint, spent in zip((server, both), before, strict=True)
        ]
        memory = server.memory_mb(), both.memory_mb()
        if both.hidden:
            self._facts.append("the launcher hides its memory map: its resident size stands for it")
        self._progress.update(task, total=1, completed=1)
        return {
            "memory_mb": dict(zip(("server", "server_and_launcher"), memory, strict=True)),
            "idle_cpu_percent": dict(zip(("server", "server_and_launcher"), percent, strict=True)),
        }

    def _start_latency(self, server: Server, pipelines: measures.Pipelines) -> dict[str, Any]:
        pipeline_id = pipelines.create()
        pipelines.deploy(pipeline_id)
        with self._task("trigger to first line", self._extent.starts) as advance:
            found = measures.start_latency_ms(server, pipeline_id, self._extent.starts, advance)
        return {"trigger_to_first_line_ms": {**measures.percentiles(found), "n": len(found)}}

    def _runs_per_minute(self, server: Server, pipelines: measures.Pipelines, slots: int) -> float:
        pipeline_id = pipelines.create(max_active_runs=slots)
        pipelines.deploy(pipeline_id)
        measures.wait_for_end(server, measures.trigger(server, pipeline_id))
        with self._task(f"runs with {slots} slots", self._extent.runs) as advance:
            return measures.runs_per_minute(server, pipeline_id, self._extent.runs, advance)

    def _deploys(self, pipelines: measures.Pipelines) -> dict[str, Any]:
        found: dict[str, Any] = {str(size): None for size in SIZES}
        deployed = 2  # those of the measurements before
        for size in self._extent.sizes:
            missing = max(size - deployed, 0)
            with self._task(f"make {size:,} pipelines", missing) as advance:
                pipelines.create_deployed(missing, advance)
            with self._task(f"deploy among {size:,} pipelines", self._extent.deploys) as advance:
                found[str(size)] = measures.percentiles(
                    measures.deploy_latency_ms(pipelines, self._extent.deploys, advance)
                )
            deployed += missing + self._extent.deploys
        return {"deploy_ms": found}

    @contextmanager
    def _task(self, description: str, total: int) -> Iterator[Callable[[], None]]:
        task = self._progress.add_task(description, total=total)
        yield lambda: self._progress.advance(task)

    def _note(self) -> str:
        machine = (
            f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}, "
            f"load average {self._load:.1f} before"
        )
        what = (
            f"{self._extent.starts} starts one by one with a spare at hand, {self._extent.runs} runs per number of "
            f"slots, {self._extent.deploys} deploys per size, idle over {self._extent.idle_s:g} s"
        )
        return "; ".join([*self._facts, machine, what])


def _rows(result: dict[str, Any]) -> Iterator[tuple[str, object, str]]:
    starts = result["trigger_to_first_line_ms"]
    yield "launcher carries", result["workflow"], "package"
    yield "trigger to first line, p50", starts["p50"], "ms"
    yield "trigger to first line, p99", starts["p99"], f"ms (of {starts['n']})"
    for slots, rate in result["runs_per_minute"].items():
        yield f"no-op runs with {slots} slots", rate, "per minute"
    for size, found in result["deploy_ms"].items():
        for name in ("p50", "p99") if found else ():
            yield f"deploy among {int(size):,} pipelines, {name}", found[name], "ms"
    for name, value in result["memory_mb"].items():
        yield f"memory, {name.replace('_', ' ')}", value, "MB PSS"
    for name, value in result["idle_cpu_percent"].items():
        yield f"idle CPU, {name.replace('_', ' ')}", value, "%"
