"""A real `minisched serve` over the stand-in runtime, for tests that kill it, stop it and start it again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from minisched.runtimes.runtime import Manifest
from minisched.worker import protocol
from tests.acceptance.openmetadata_double import SERVICE
from tests.credentials import ADMIN_HEADERS, ADMIN_PASSWORD
from tests.processes_of_tests import processes_about
from tests.waiting import wait_until

STANDIN = Path(__file__).parents[1] / "standin"
PIPELINES = "/api/v1/services/ingestionPipelines"
RUNS = "/api/v1/minisched/runs"
TERMINAL = frozenset({"success", "partialSuccess", "failed", "stopped"})
_START_S = 90.0


class ServerProcess:
    """One data directory and the server that is running on it, if any; the port stays the same.

    `settings` are MINISCHED_… variables without the prefix. Everything that was started is killed by `close`.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.data = directory / "data"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_path = directory / "server.log"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=60, headers=ADMIN_HEADERS)
        write_standin_runtime(self.data / "runtimes")

    @property
    def bot_token(self) -> str:
        """With which runs speak to the sandbox; there is one once the server was started."""
        return (self.data / "sandbox.token").read_text()

    # --- the process ------------------------------------------------------------------------------------------------

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self, *, failpoint: str | None = None, ready: bool = True, **settings: str) -> None:
        """Start it on the same data; `ready` waits until it serves and its launcher is warm."""
        assert self._process is None or self._process.poll() is not None
        environment = self._environment({**self._settings, **settings})
        if failpoint is not None:
            environment["MINISCHED_FAILPOINT"] = failpoint
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "minisched", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        if ready:
            self.wait_until_warm()

    def wait_until_live(self) -> None:
        wait_until(self._is_live, timeout_s=_START_S, every_s=0.02)

    def wait_until_warm(self) -> None:
        self.wait_until_live()
        wait_until(self._is_warm, timeout_s=_START_S, every_s=0.02)

    def has_died(self) -> bool:
        return self.process.poll() is not None

    def wait_for_death(self, timeout_s: float = 30.0) -> int:
        """Its exit code; negative for a signal."""
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, and wait; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def output(self) -> str:
        """All that servers on this data have written."""
        return self._log_path.read_text(errors="replace")

    def log(self) -> list[dict[str, Any]]:
        """What all servers on this data have logged, without lines that were cut."""
        events = []
        for line in self.output().splitlines():
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log() if entry.get("event") == event]

    def close(self) -> None:
        """No process is left afterwards, whatever the test did."""
        self.http.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        end_processes_about(self.data)

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        # Byte code is kept: without it most of a start is compiling.
        left_out = ("MINISCHED_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        ours = {
            "DATA_DIR": str(self.data),
            "SERVER__PORT": str(self.port),
            "RUNTIME__DEFAULT": "standin",
            "RUNTIME__PYTHON_PATH": str(STANDIN),
            "LAUNCHER__SPARES": "1",
            "LOGGING__FORMAT": "json",
            "EXECUTOR__STOP_GRACE_S": "2",
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
        }
        return {**inherited, **{f"MINISCHED_{name}": value for name, value in {**ours, **settings}.items()}}

    def _is_live(self) -> bool:
        assert not self.has_died(), self.output()[-4000:]
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/health/live").status_code == 200
        return False

    def _is_warm(self) -> bool:
        runtimes = self.http.get("/api/v1/minisched/runtimes").json()["data"]
        return any(runtime["state"] == "ready" for runtime in runtimes)

    # --- pipelines and runs -----------------------------------------------------------------------------------------

    def make_service(self) -> None:
        """In the server's own sandbox, for servers without another OpenMetadata."""
        answer = self.http.put("/api/v1/services/databaseServices", json=SERVICE)
        assert answer.status_code in (200, 201), answer.text

    def create(self, behaviour: str | None = None, *, schedule: str | None = None, **options: Any) -> dict[str, Any]:
        """A pipeline whose workflow behaves like this."""
        answer = self.http.post(PIPELINES, json=pipeline_request(behaviour, schedule=schedule, **options))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def deploy(self, pipeline: dict[str, Any]) -> None:
        answer = self.http.post(f"{PIPELINES}/deploy/{pipeline['id']}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["code"] == 200, answer.text

    def deployed(self, behaviour: str | None = None, **options: Any) -> dict[str, Any]:
        pipeline = self.create(behaviour, **options)
        self.deploy(pipeline)
        return pipeline

    def trigger(self, pipeline: dict[str, Any], *, key: str | None = None) -> str:
        """The id of the run."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.http.post(f"{PIPELINES}/trigger/{pipeline['id']}", headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["runId"])

    def entity(self, pipeline: dict[str, Any]) -> dict[str, Any] | None:
        answer = self.http.get(f"{PIPELINES}/{pipeline['id']}")
        return dict(answer.json()) if answer.status_code == 200 else None

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.http.get(f"{RUNS}/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def runs(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        found: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        while True:
            answer = self.http.get(RUNS, params={"limit": 1000, **before}).json()
            found += answer["data"]
            if not (following := answer["paging"].get("next")):
                return found
            before = {"before": following}

    def run_log(self, run_id: str) -> str:
        return self.http.get(f"{RUNS}/{run_id}/log").text

    def ended(self, run_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The run when it is terminal."""
        wait_until(lambda: self.run(run_id)["state"] in TERMINAL, timeout_s=timeout_s, every_s=0.05)
        return self.run(run_id)

    def started(self, run_id: str, timeout_s: float = 60.0) -> StartedRun:
        """The run's processes, once there are any."""
        directory = wait_until(lambda: self._directory_with_start(run_id), timeout_s=timeout_s)
        assert directory is not None
        return StartedRun(directory)

    def started_runs_left(self) -> list[str]:
        """Ids of runs that still have a process."""
        directories = [path.parent for path in (self.data / "runs").glob(f"*/*/{protocol.STARTED_FILE}")]
        return [directory.name for directory in directories if StartedRun(directory).living()]

    def _directory_with_start(self, run_id: str) -> Path | None:
        for directory in (self.data / "runs").glob(f"*/{run_id}"):
            if protocol.read_record(str(directory), protocol.STARTED_FILE):
                return directory
        return None

    def outbox(self) -> list[dict[str, Any]]:
        return list(self.http.get("/api/v1/minisched/outbox").json()["data"])

    def launchers(self) -> list[psutil.Process]:
        """Launcher processes of this data directory, also those that are about to leave."""
        found = self._named("minisched-launc")
        pids = {process.pid for process in found}
        # A child that was forked this moment still has its parent's name.
        return [process for process in found if _parent(process) not in pids]

    def guards(self) -> list[psutil.Process]:
        """Those of runs, and those that wait for one."""
        return self._named("minisched-guard")

    def runners(self) -> list[psutil.Process]:
        """Those of runs, and those that wait for one."""
        return self._named("minisched-run")

    def children_of_launchers(self) -> list[psutil.Process]:
        """Guards and runners, waiting ones included."""
        return [*self.guards(), *self.runners()]

    def _named(self, name: str) -> list[psutil.Process]:
        return [process for process in processes_about(self.data) if _name(process) == name]


class StartedRun:
    """The processes of a run, as its guard wrote them down."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        record = protocol.read_record(str(directory), protocol.STARTED_FILE)
        assert record is not None
        self.guard: dict[str, Any] = record["process"]
        self.runner: dict[str, Any] = record["runner"]

    def living(self) -> list[int]:
        """Pids of guard and runner that have not ended; a zombie has."""
        return [int(process["pid"]) for process in (self.guard, self.runner) if is_living(process)]


def is_living(process: dict[str, Any]) -> bool:
    """True when exactly this process exists and has not ended."""
    if protocol.start_ticks(int(process["pid"])) != process["start_ticks"]:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(int(process["pid"])).status() != psutil.STATUS_ZOMBIE)
    return False


@contextmanager
def server_process(directory: Path, **settings: str) -> Iterator[ServerProcess]:
    """Not started yet; nothing is left of it afterwards."""
    server = ServerProcess(directory, settings)
    try:
        yield server
    finally:
        server.close()


def pipeline_request(behaviour: str | None = None, *, schedule: str | None = None, **options: Any) -> dict[str, Any]:
    """The body that creates a pipeline with a name of its own."""
    config = {"type": "DatabaseMetadata", **options}
    if behaviour is not None:
        config["behaviour"] = behaviour
    return {
        "name": f"nightly_{uuid4().hex[:8]}",
        "pipelineType": "metadata",
        "service": {"id": SERVICE["id"], "type": "databaseService"},
        "sourceConfig": {"config": config},
        "airflowConfig": {"scheduleInterval": schedule},
    }


def write_standin_runtime(directory: Path, *, version: str = "0.0.1") -> None:
    """The runtime `standin`: this interpreter, and the package that RUNTIME__PYTHON_PATH leads to."""
    home = directory / "standin"
    home.mkdir(parents=True, exist_ok=True)
    Manifest(
        name="standin",
        version=version,
        requirement="openmetadata-ingestion",
        extras=(),
        python_version="3",
        uv_version="0",
        created_at="2026-01-01T00:00:00Z",
        duration_s=0.0,
        import_s=0.0,
        interpreter=sys.executable,
    ).write(home)


def end_processes_about(path: Path) -> None:
    def none_left() -> bool:
        left = processes_about(path)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return not left

    wait_until(none_left, timeout_s=30, every_s=0.05)


def _parent(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.Error):
        return process.ppid()
    return None


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/comm").read_text().strip()
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
