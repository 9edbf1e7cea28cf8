"""A whole server over the stand-in package, and pipelines that behave as a test wants, seen from outside only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from minisched.cli.server_process import ServerProcess
from minisched.worker import protocol
from tests.processes_of_tests import processes_about
from tests.standin_runtime import make_standin_runtime
from tests.waiting import wait_until

Document = dict[str, Any]

PIPELINES = "/api/v1/services/ingestionPipelines"
OURS = "/api/v1/minisched"
SERVICE_ID = "3f0f8d2c-7a4e-4c86-9a41-6e8d5b1c9f10"
TERMINAL = {"success", "partialSuccess", "failed", "stopped"}

_MAX_LOG_BYTES = 4 * 1024 * 1024


class ServedRuns:
    """What a client of the server sees, and the run directory behind it."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.data = process.data_dir
        self.http = httpx.Client(base_url=process.url, timeout=60)

    def make_service(self) -> None:
        connection = {"config": {"type": "Mysql", "hostPort": "nowhere:3306"}}
        service = {"id": SERVICE_ID, "name": "source", "serviceType": "Mysql", "connection": connection}
        self.http.put("/api/v1/services/databaseServices", json=service).raise_for_status()

    def deploy(
        self, app_config: Document | None = None, *, airflow_config: Document | None = None, **changes: Any
    ) -> str:
        """A deployed application whose runs behave as `app_config` says; its id."""
        name = f"app_{uuid4().hex[:8]}"
        request = {
            "name": name,
            "pipelineType": "application",
            "service": {"id": SERVICE_ID, "type": "databaseService"},
            "sourceConfig": {
                "config": {"type": "Application", "sourcePythonClass": "a.b", "appConfig": app_config or {}}
            },
            "airflowConfig": {"maxActiveRuns": 100, **(airflow_config or {})},
        }
        pipeline_id = str(self.http.post(PIPELINES, json=request | changes).raise_for_status().json()["id"])
        answer = self.http.post(f"{PIPELINES}/deploy/{pipeline_id}").raise_for_status().json()
        assert answer["code"] == 200, answer
        return pipeline_id

    def trigger(self, pipeline_id: str, **options: Any) -> str:
        answer = self.http.post(f"{PIPELINES}/trigger/{pipeline_id}", **options).raise_for_status().json()
        assert answer["code"] == 200, answer
        return str(answer["runId"])

    def start(self, behaviour: str | None = None, *, timeout_s: int | None = None, **options: Any) -> str:
        """A run of a pipeline of its own; the run's id."""
        limits = {"workflowTimeout": timeout_s} if timeout_s else {}
        return self.trigger(self.deploy({"behaviour": behaviour, **options}, airflow_config=limits))

    def run(self, run_id: str) -> Document:
        found: Document = self.http.get(f"{OURS}/runs/{run_id}").raise_for_status().json()
        return found

    def ended(self, run_id: str, timeout_s: float = 30.0) -> Document:
        """The run when it is terminal."""

        def terminal() -> Document | None:
            run = self.run(run_id)
            return run if run["state"] in TERMINAL else None

        run = wait_until(terminal, timeout_s=timeout_s, every_s=0.03)
        assert run is not None
        return run

    def stop(self, run_id: str) -> Document:
        """Stop the run and wait for its end."""
        answer = self.http.post(f"{OURS}/runs/{run_id}/stop", json={"why": "enough"}).raise_for_status()
        stopped: Document = answer.json()
        return stopped

    def log(self, run_id: str) -> bytes:
        """The whole log, piece by piece."""
        return b"".join(self.log_pieces(run_id))

    def log_pieces(self, run_id: str) -> Iterator[bytes]:
        offset = 0
        while True:
            answer = self.http.get(f"{OURS}/runs/{run_id}/log", params={"offset": offset}).raise_for_status()
            following = int(answer.headers["X-Minisched-Next-Offset"])
            assert following >= offset
            if not answer.content:
                return
            yield answer.content
            offset = following

    # --- behind its back --------------------------------------------------------------------------------------------

    def directory(self, run_id: str) -> Path:
        return wait_until(lambda: next((self.data / "runs").glob(f"*/{run_id}"), None), timeout_s=20) or Path()

    def started(self, run_id: str) -> Document:
        """started.json, as soon as it is there."""
        path = str(self.directory(run_id))
        return wait_until(lambda: protocol.read_record(path, protocol.STARTED_FILE), timeout_s=20) or {}

    def guard(self, run_id: str) -> int:
        return int(self.started(run_id)["process"]["pid"])

    def runner(self, run_id: str) -> int:
        return int(self.started(run_id)["runner"]["pid"])

    def note(self, run_id: str, name: str, timeout_s: float = 20.0) -> int:
        """The pid that the workflow wrote down under this name."""
        path = self.directory(run_id) / protocol.TMP_DIR / f"{name}.pid"
        wait_until(path.exists, timeout_s=timeout_s)
        return int(path.read_text())

    def launcher(self) -> int:
        """The pid of the one launcher."""
        mark = str(self.data / "launchers")
        found = [
            pid
            for pid in map(int, (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()))
            if mark in _cmdline(pid) and _comm(pid) == "minisched-launc"
        ]
        assert len(found) == 1, found
        return found[0]

    def close(self) -> None:
        self.http.close()


def _cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def _comm(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def settings(**more: str) -> dict[str, str]:
    """Settings of a server whose launcher is ready in a second; `executor__slots="8"` is executor.slots."""
    fixed = {
        "EXECUTOR__STOP_GRACE_S": "1",
        "EXECUTOR__SLOTS": "8",
        "EXECUTOR__POLL_S": "0.2",
        "EXECUTOR__DRAIN": "stop",
        "LAUNCHER__LINGER_S": "1",
        "LOGGING__FORMAT": "json",
    }
    given = {name.upper(): value for name, value in more.items()}
    return {f"MINISCHED_{name}": value for name, value in {**fixed, **given}.items()}


@contextmanager
def served_runs(data: Path, variables: Mapping[str, str] | None = None) -> Iterator[ServedRuns]:
    """A server over the stand-in; when the block ends, however it ends, nothing of it is left."""
    runtime = data.parent / "standin-runtime"
    python = runtime / "bin" / "python" if runtime.exists() else make_standin_runtime(runtime)
    try:
        with ServerProcess(data, {"MINISCHED_RUNTIME__DEFAULT": str(python), **(variables or settings())}) as process:
            process.wait_until_live()
            process.wait_until_warm(30)
            runs = ServedRuns(process)
            try:
                runs.make_service()
                yield runs
            finally:
                runs.close()
    finally:
        kill_everything_about(data)


def kill_everything_about(data: Path) -> None:
    """Whatever a failed test left behind goes; one that was stopped or is a zombie too."""
    for process in processes_about(data):
        with suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)
