"""What the demo does, step by step; each can be repeated, and an end in the middle is cleaned up by who holds it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from minisched.cli import demo_documents as documents
from minisched.cli.credentials import of_first_admin, password_file
from minisched.cli.kept_server import Address, KeptServer, only_one
from minisched.cli.run_log import follow_log
from minisched.cli.runtime_choice import ready_or_new_runtime
from minisched.cli.sample_database import create_sample_database
from minisched.cli.server import PIPELINES, RUNS, SANDBOX, Server
from minisched.cli.server_process import ServerProcess, warm_runtime
from minisched.domain.errors import NotFound
from minisched.runtimes import Runtime
from minisched.settings import Settings, prepare_data_dir

Document = dict[str, Any]

_WARM_WITHIN_S = 180.0
_STAMP = re.compile(rb"^\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z\]", re.MULTILINE)
_VIEW_TYPES = frozenset({"View", "MaterializedView", "SecureView"})


class Narrator(Protocol):
    """Who tells what is going on."""

    def doing(self, what: str) -> AbstractContextManager[None]: ...

    def done(self, what: str, took_s: float | None = None) -> None: ...

    def log(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to show at the end. `arrived` is as `arrived_in` has it; timings are in the unit of their names."""

    runtime: Document
    at: Address
    pipeline: Document
    run: Document
    arrived: Document
    timings: dict[str, float | None]
    password_file: Path

    def addresses(self) -> dict[str, str]:
        """What is worth opening while the server runs."""
        fqn = quote(self.pipeline["fullyQualifiedName"], safe="")
        paths = {
            "pipeline": f"{PIPELINES}/name/{fqn}?fields=owners,pipelineStatuses",
            "run": f"{RUNS}/{self.run['id']}",
            "tables": "/api/v1/tables?limit=100&fields=columns",
            "everything in the sandbox": f"{SANDBOX}/tree",
        }
        return {what: self.at.url + path for what, path in paths.items()}

    def document(self) -> Document:
        server: Document = {"url": self.at.url, "pid": self.at.pid, "kept": self.at.kept}
        if self.at.kept:
            server |= {"addresses": self.addresses(), "passwordFile": str(self.password_file)}
        return {
            "runtime": self.runtime,
            "server": server,
            "pipeline": self.pipeline,
            "run": self.run,
            "arrived": self.arrived,
            "timings": self.timings,
        }


class Demo:
    """One demo, in the directory `demo` of the data directory and with the runtimes of the settings."""

    def __init__(self, settings: Settings, narrator: Narrator, *, keep: bool) -> None:
        self._settings = settings
        self._narrator = narrator
        self._keep = keep
        self._directory = prepare_data_dir(settings.data_dir) / "demo"
        self._timings: dict[str, float | None] = {}

    def perform(self) -> Outcome:
        """All of it. Raises MinischedError, and KeyboardInterrupt with nothing left running."""
        started = time.monotonic()
        prepare_data_dir(self._directory)
        with only_one(self._directory / "demo.lock"):
            runtime = self._runtime()
            database = self._directory / "shop.db"
            create_sample_database(database)
            self._narrator.done(f"sample database {database}")
            with self._server(runtime) as at, self._client(at) as server:
                pipeline = self._pipeline(server, database)
                run = self._run(server, pipeline)
                pipeline = server.get(f"{PIPELINES}/{pipeline['id']}", {"fields": "owners,pipelineStatuses"})
                arrived = arrived_in(server)
                self._timings["total_s"] = _since(started)
                return Outcome(
                    _facts(runtime), at, pipeline, run, arrived, self._timings, password_file(self._directory)
                )

    def _runtime(self) -> Runtime:
        started = time.monotonic()
        runtime = ready_or_new_runtime(self._settings)
        self._timings["runtime_s"] = _since(started)
        self._narrator.done(f"runtime {runtime.name}: openmetadata-ingestion {runtime.version}", _since(started))
        return runtime

    # --- the server -------------------------------------------------------------------------------------------------

    @contextmanager
    def _server(self, runtime: Runtime) -> Iterator[Address]:
        """The server that an earlier demo kept, or one of our own, with a runtime that is warm."""
        kept = KeptServer(self._directory / "kept.json")
        if (address := kept.find()) is not None:
            self._narrator.done(f"server at {address.url}, kept by an earlier demo")
            with self._client(address) as server:
                self._timings["import_s"] = _import_s(warm_runtime(server))
            yield address
            return
        started = time.monotonic()
        with ServerProcess(self._directory, self._variables(runtime), outlives_us=self._keep) as process:
            process.wait_until_live()
            self._timings["server_s"] = _since(started)
            self._narrator.done(f"server at {process.url}", _since(started))
            self._warm_up(process)
            yield Address(process.url, process.pid, kept=self._keep)
            if self._keep:
                kept.note(process.url, process.pid)
                process.keep()

    def _client(self, at: Address) -> Server:
        return Server(at.url, authorization=of_first_admin(self._directory))

    def _variables(self, runtime: Runtime) -> dict[str, str]:
        return {
            "MINISCHED_RUNTIME__DEFAULT": runtime.name,
            "MINISCHED_RUNTIME__DIRECTORY": str(self._settings.runtimes_directory),
            "MINISCHED_EXECUTOR__DRAIN": "stop",
            "MINISCHED_LAUNCHER__LINGER_S": "2",
            # Hours that passed between two demos are nobody's concern.
            "MINISCHED_SCHEDULER__CATCHUP_WINDOW_S": "0",
        }

    def _warm_up(self, process: ServerProcess) -> None:
        started = time.monotonic()
        with self._narrator.doing("importing openmetadata-ingestion, once for all runs"):
            warm = process.wait_until_warm(_WARM_WITHIN_S)
        self._timings["warm_up_s"] = _since(started)
        self._timings["import_s"] = _import_s(warm)
        self._narrator.done("openmetadata-ingestion is imported, once for all runs", _since(started))

    # --- the pipeline and its run -----------------------------------------------------------------------------------

    def _pipeline(self, server: Server, database: Path) -> Document:
        """Create, or find, the service, its owner and the pipeline; deploy it."""
        server.put("/api/v1/users", documents.owner())
        server.put("/api/v1/services/databaseServices", documents.service(database))
        path = f"{PIPELINES}/name/{quote(documents.PIPELINE_FQN, safe='')}"
        try:
            pipeline = server.get(path)
        except NotFound:
            pipeline = server.put(PIPELINES, documents.pipeline())
            self._narrator.done(f"pipeline {pipeline['fullyQualifiedName']} created")
        if operations := documents.changes(pipeline):
            server.patch(f"{PIPELINES}/{pipeline['id']}", operations)
        started = time.monotonic()
        server.post(f"{PIPELINES}/deploy/{pipeline['id']}")
        deployed: Document = server.get(path, {"fields": "owners"})
        schedule = deployed["airflowConfig"]["scheduleInterval"]
        self._narrator.done(f"pipeline {deployed['fullyQualifiedName']} deployed, schedule {schedule}", _since(started))
        return deployed

    def _run(self, server: Server, pipeline: Document) -> Document:
        """Trigger, show the log as it grows, and return the run as it ended."""
        log = _Log(self._narrator.log)
        triggered_ns = time.time_ns()
        run_id = server.post(f"{PIPELINES}/trigger/{pipeline['id']}")["runId"]
        self._narrator.done(f"triggered, run {run_id}")
        follow_log(server, run_id, log.write)
        run: Document = server.get(f"{RUNS}/{run_id}")
        self._timings["trigger_to_workflow_ms"] = _since_ms(triggered_ns, _reached_ns(run))
        self._timings["trigger_to_first_line_ms"] = _since_ms(triggered_ns, log.first_line_ns)
        return run


class _Log:
    """Passes the log on and remembers when its first line was written, which the line itself says."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.first_line_ns: int | None = None

    def write(self, data: bytes) -> None:
        if self.first_line_ns is None and (stamp := _STAMP.search(data)):
            moment = datetime.strptime(stamp[1].decode(), "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)
            self.first_line_ns = int(moment.timestamp() * 1000) * 1_000_000
        self._write(data)


def arrived_in(server: Server) -> Document:
    """What the sandbox has of the sample database: names and numbers of columns, of tables and of views."""
    listed = server.get("/api/v1/tables", {"service": documents.SERVICE_NAME, "fields": "columns", "limit": 1000})
    entries = sorted(listed["data"], key=lambda table: str(table["name"]))
    schema = entries[0]["fullyQualifiedName"].rpartition(".")[0] if entries else documents.SERVICE_NAME
    found: Document = {"schema": schema, "tables": [], "views": []}
    for entry in entries:
        kind = "views" if entry.get("tableType") in _VIEW_TYPES else "tables"
        found[kind].append({"name": entry["name"], "columns": len(entry.get("columns") or [])})
    found["columns"] = sum(entry["columns"] for kind in ("tables", "views") for entry in found[kind])
    return found


def _facts(runtime: Runtime) -> Document:
    return {"name": runtime.name, "version": runtime.version, "python": str(runtime.python)}


def _import_s(runtime: Document | None) -> float | None:
    return (runtime or {}).get("importS")


def _reached_ns(run: Document) -> int | None:
    """When the runner called the workflow's class, in epoch nanoseconds; None if it never did."""
    result = (run.get("evidence") or {}).get("result") or {}
    return (result.get("timings") or {}).get("workflow_ns")


def _since_ms(started_ns: int, then_ns: int | None) -> float | None:
    return None if then_ns is None else round((then_ns - started_ns) / 1e6, 1)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
