"""Launcher processes, one per runtime: found again after a restart, started, watched, given up with back-off."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from minisched.domain.errors import MinischedError, OrchestratorUnavailable, RuntimeUnusable
from minisched.executor.launcher_client import LauncherClient
from minisched.executor.processes import is_alive
from minisched.ports import RuntimeStatus

log = structlog.get_logger(__name__)

_WORKER = Path(__file__).parent.parent / "worker"
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 60.0
_CHECK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """What the executor has to know of a runtime. A launcher of another `fingerprint` does not serve it any more."""

    name: str
    python: Path
    version: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LauncherOptions:
    """How launchers are started; `python_path`, `preload` (modules) and `environment` serve connectors of one's own."""

    spares: int = 2
    linger_s: float = 60.0
    start_timeout_s: float = 120.0
    python_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None


class Launcher:
    """The launcher of one runtime, as the supervisor sees it.

    `state` is stopped, starting, ready or failed; `ensure` moves it on and never blocks. Only the supervisor's thread
    may use `client`. `on_change` is called from another thread when a start has succeeded or failed.
    """

    def __init__(
        self,
        name: str,
        resolve: Callable[[str], RuntimeSpec],
        directory: Path,
        options: LauncherOptions,
        on_change: Callable[[], None],
    ) -> None:
        self._name = name
        # A runtime may be named by a path, which no file can be.
        self._label = re.sub(r"\W+", "_", name).strip("_") or "runtime"
        self._resolve = resolve
        self._directory = directory
        self._options = options
        self._on_change = on_change
        self._lock = threading.Lock()
        self._backoff_s = 0.0
        self._retry_at = 0.0
        self._checked_at = 0.0
        self._path: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self.state = "stopped"
        self.problem: str | None = None
        self.version: str | None = None
        self.client: LauncherClient | None = None
        self._last_pong: dict[str, object] = {}

    def ensure(self) -> None:
        """Start it unless it is ready, starting, or was given up a moment ago."""
        with self._lock:
            if self.state in ("ready", "starting") or time.monotonic() < self._retry_at or self._closing:
                return
            self.state = "starting"
        self._thread = threading.Thread(target=self._start_and_tell, name=f"launcher-start-{self._name}", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Start it and wait until it is ready. Raises RuntimeUnusable with the reason when it cannot be."""
        self.state = "starting"
        self._start()
        if self.state != "ready":
            raise RuntimeUnusable(f"The runtime {self._name} cannot run anything: {self.problem}")

    def connect(self) -> LauncherClient:
        """A connection of the caller's own, for any thread. Raises OrchestratorUnavailable when it is not ready."""
        if self._path is None or self.state != "ready":
            problem = self.problem or "it is being started"
            raise OrchestratorUnavailable(f"The runtime {self._name} is not ready: {problem}", hint="Try again.")
        return LauncherClient(self._path)

    def check(self) -> None:
        """Ask whether it lives, at most every two seconds; a launcher that does not answer is killed and replaced."""
        if self.client is None or time.monotonic() - self._checked_at < _CHECK_EVERY_S:
            return
        self._checked_at = time.monotonic()
        try:
            self._last_pong = self.client.ping()
        except OrchestratorUnavailable as error:
            self.lost(str(error))

    def lost(self, why: str) -> None:
        """The launcher is of no use any more. Its runs go on: their guards do not need it."""
        client, self.client = self.client, None
        log.warning("launcher.lost", runtime=self._name, why=why)
        if client is not None:
            process = client.process
            client.close()
            if is_alive(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, 9)
        self._reap()
        self._give_up(why, state="stopped")

    def close(self) -> None:
        """Let it leave when its last run has ended; forget it."""
        with self._lock:
            self._closing = True
        if self._thread is not None:
            self._thread.join(timeout=self._options.start_timeout_s)
        if self.client is not None:
            with contextlib.suppress(OrchestratorUnavailable):
                self.client.retire()
            self.client.close()
            self.client = None
        self._reap(within_s=2.0)

    def status(self) -> RuntimeStatus:
        hello = self.client.hello if self.client else {}
        pong = self._last_pong or hello
        return RuntimeStatus(
            name=self._name,
            state=self.state,
            version=self.version,
            problem=self.problem,
            import_s=hello.get("import_s"),
            active_runs=_count(pong.get("runs")),
            spares=_count(pong.get("spares")),
        )

    def _start(self) -> None:
        try:
            spec = self._resolve(self._name)
            self.version = spec.version
            client = self._found(spec) or self._started(spec)
        except (MinischedError, OSError) as error:
            self._reap()
            self._give_up(str(error), state="failed")
        else:
            self._use(client)

    def _start_and_tell(self) -> None:
        self._start()
        self._on_change()

    def _use(self, client: LauncherClient) -> None:
        self.version = client.hello.get("version") or self.version
        if client.hello.get("state") == "failed":
            client.close()
            self._give_up(str(client.hello.get("problem") or "the runtime cannot be imported"), state="failed")
            return
        self.client, self.problem, self._backoff_s, self._checked_at = client, None, 0.0, time.monotonic()
        self._last_pong = {}
        self.state = "ready"
        log.info("launcher.ready", runtime=self._name, pid=client.process.pid, import_s=client.hello.get("import_s"))

    def _give_up(self, why: str, *, state: str) -> None:
        self._backoff_s = min(max(self._backoff_s * 2, _FIRST_BACKOFF_S), _LONGEST_BACKOFF_S)
        self._retry_at = time.monotonic() + self._backoff_s
        self.problem, self.state = why, state
        if state == "failed":
            log.error("launcher.failed", runtime=self._name, problem=why, retry_in_s=self._backoff_s)

    def _found(self, spec: RuntimeSpec) -> LauncherClient | None:
        """A launcher that an earlier server left behind; those of another fingerprint or protocol are retired."""
        found = None
        for path in sorted(self._directory.glob(f"{self._label}-*.sock")):
            try:
                client = LauncherClient(path)
            except OrchestratorUnavailable:
                path.unlink(missing_ok=True)
                continue
            current = path.name.startswith(f"{self._label}-{spec.fingerprint}-") and client.speaks_our_protocol
            if found is None and current and client.hello.get("state") == "ready":
                found, self._path = client, path
            else:
                with contextlib.suppress(OrchestratorUnavailable):
                    client.retire()
                client.close()
        return found

    def _started(self, spec: RuntimeSpec) -> LauncherClient:
        path = self._directory / f"{self._label}-{spec.fingerprint}-{secrets.token_hex(4)}.sock"
        log_path = self._directory / f"{self._label}.log"
        command = [str(spec.python), str(_WORKER), "launcher", "--socket", str(path), "--runtime", self._name]
        command += ["--generation", path.stem.rsplit("-", 1)[1], "--spares", str(self._options.spares)]
        command += ["--linger-s", str(self._options.linger_s)]
        if self._options.preload:
            command += ["--preload", ",".join(self._options.preload)]
        for entry in self._options.python_path:
            command += ["--path", entry]
        with open(log_path, "ab", opener=_private) as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=launcher_environment(os.environ, self._options.environment or {}),
                start_new_session=True,
            )
        client = self._wait_for(path, log_path)
        self._path = path
        return client

    def _wait_for(self, path: Path, log_path: Path) -> LauncherClient:
        assert self._child is not None
        deadline = time.monotonic() + self._options.start_timeout_s
        while self._child.poll() is None and not self._closing:
            if path.exists():
                with contextlib.suppress(OrchestratorUnavailable):
                    return LauncherClient(path)
            if time.monotonic() > deadline:
                self._child.kill()
                raise OrchestratorUnavailable(
                    f"the launcher was not ready within {self._options.start_timeout_s:g} s",
                    hint=f"See {log_path}, or raise launcher.start_timeout_s.",
                )
            time.sleep(0.02)
        self._child.kill()
        raise OrchestratorUnavailable(f"the launcher left with code {self._child.wait()}", hint=f"See {log_path}.")

    def _reap(self, within_s: float = 0.5) -> None:
        """Collect our child if it has ended, so that it does not stay as a zombie; one that still runs may go on."""
        if self._child is None:
            return
        try:
            self._child.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            _outliving.append(self._child)
        self._child = None
        _outliving[:] = [child for child in _outliving if child.poll() is None]


# Launchers that still have runs when their server is done with them; kept so that they are reaped if we live longer.
_outliving: list[subprocess.Popen[bytes]] = []


def launcher_environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What a runtime may see of our environment: everything but our own settings, which may hold secrets."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("MINISCHED_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _count(value: object) -> int:
    return len(value) if isinstance(value, (list, dict)) else int(str(value or 0))
