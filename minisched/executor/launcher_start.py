"""Finding a launcher that lives, and starting one: what takes long, for threads that may wait."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from minisched.domain.errors import OrchestratorUnavailable
from minisched.executor.heartbeat import Heartbeat
from minisched.executor.launcher_client import LauncherClient, LauncherHangs
from minisched.executor.processes import is_alive
from minisched.worker import delegation

_WORKER = Path(__file__).parent.parent / "worker"
_LOOK_EVERY_S = 0.02


class LauncherKilled(OrchestratorUnavailable):
    """Somebody or something killed the launcher before it was ready, which says nothing about its runtime."""


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """What the executor has to know of a runtime. A launcher of another `fingerprint` does not serve it any more."""

    name: str
    python: Path
    version: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LauncherOptions:
    """How launchers are started and when they are renewed.

    `python_path`, `preload` (modules) and `environment` serve connectors of one's own. `recycle_after_runs` of 0 is
    never; `recheck_s` is how often the runtime is looked at for changes.
    """

    spares: int = 2
    linger_s: float = 60.0
    start_timeout_s: float = 120.0
    recycle_after_runs: int = 0
    recheck_s: float = 60.0
    python_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None


@dataclass(slots=True)
class LivingLauncher:
    """A launcher that answers: what to ask it for runs, and whether it lives. `child` when we started it."""

    path: Path
    fingerprint: str
    client: LauncherClient
    heartbeat: Heartbeat
    child: subprocess.Popen[bytes] | None = None

    @property
    def problem(self) -> str | None:
        """Why it cannot run anything."""
        if self.client.hello.get("state") != "failed":
            return None
        return str(self.client.hello.get("problem") or "the runtime cannot be imported")

    def retire(self, *, within_s: float = 0.0) -> None:
        """It leaves when its last run has ended, for which we wait so long at most."""
        runs: list[str] = []
        with contextlib.suppress(OrchestratorUnavailable):
            runs = self.client.retire()
        self.let_go(within_s=0.0 if runs else within_s)

    def kill(self) -> None:
        """Its runs go on: their guards do not need it."""
        process = self.client.process
        if is_alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.let_go(within_s=0.5)

    def let_go(self, *, within_s: float = 0.0) -> None:
        """Forget it; whether it stays is its own affair."""
        self.client.close()
        self.heartbeat.close()
        if self.child is not None:
            _reap(self.child, within_s)


class LauncherStarter:
    """Finds and starts launchers of one runtime; sockets and log are in `directory`, named after `label`."""

    def __init__(self, directory: Path, label: str, options: LauncherOptions) -> None:
        self._directory = directory
        self._label = label
        self._options = options

    def found(self, spec: RuntimeSpec) -> LivingLauncher | None:
        """One that an earlier server left behind; others are retired, or killed when they do not answer."""
        found = None
        for path in sorted(self._directory.glob(f"{self._label}-*.sock")):
            try:
                living = _connected(path, path.name.removeprefix(f"{self._label}-").partition("-")[0])
            except LauncherHangs as error:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(error.pid, signal.SIGKILL)
                path.unlink(missing_ok=True)
                continue
            except OrchestratorUnavailable:
                path.unlink(missing_ok=True)
                continue
            ready = living.client.speaks_our_protocol and living.client.hello.get("state") == "ready"
            if found is None and ready and living.fingerprint == spec.fingerprint:
                found = living
            else:
                living.retire()
        return found

    def started(self, spec: RuntimeSpec, *, cancelled: Callable[[], bool]) -> LivingLauncher:
        """A new one that listens, which may have a `problem`. Raises OrchestratorUnavailable, OSError."""
        path = self._directory / f"{self._label}-{spec.fingerprint}-{secrets.token_hex(4)}.sock"
        child = self._spawn(spec, path)
        try:
            living = self._wait_for(child, path, spec.fingerprint, cancelled)
        except BaseException:
            child.kill()
            child.wait()
            raise
        living.child = child
        return living

    @property
    def _log_path(self) -> Path:
        return self._directory / f"{self._label}.log"

    def _spawn(self, spec: RuntimeSpec, path: Path) -> subprocess.Popen[bytes]:
        # What is before the socket gives way to a run's mark in the processes that are forked (worker.kernel).
        command = [str(spec.python), str(_WORKER), "launcher", "--runtime", spec.name]
        command += ["--generation", path.stem.rsplit("-", 1)[1], "--spares", str(self._options.spares)]
        command += ["--linger-s", str(self._options.linger_s), "--socket", str(path)]
        if self._options.preload:
            command += ["--preload", ",".join(self._options.preload)]
        for entry in self._options.python_path:
            command += ["--path", entry]
        self._directory.mkdir(mode=0o700, exist_ok=True)  # somebody may have tidied up
        with contextlib.suppress(delegation.NotDelegated):  # the launcher will say so
            delegation.claim()
        with open(self._log_path, "ab", opener=_private) as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=launcher_environment(os.environ, self._options.environment or {}),
                start_new_session=True,
            )

    def _wait_for(
        self, child: subprocess.Popen[bytes], path: Path, fingerprint: str, cancelled: Callable[[], bool]
    ) -> LivingLauncher:
        deadline = time.monotonic() + self._options.start_timeout_s
        while (code := child.poll()) is None:
            if path.exists():
                with contextlib.suppress(OrchestratorUnavailable):
                    return _connected(path, fingerprint)
            if cancelled():
                raise OrchestratorUnavailable("the server is about to leave")
            if time.monotonic() > deadline:
                raise OrchestratorUnavailable(
                    f"the launcher was not ready within {self._options.start_timeout_s:g} s",
                    hint=f"See {self._log_path}, or raise launcher.start_timeout_s.",
                )
            time.sleep(_LOOK_EVERY_S)
        if code < 0:
            raise LauncherKilled(f"the launcher was killed by signal {-code} while it started")
        raise OrchestratorUnavailable(f"the launcher left with code {code}", hint=f"See {self._log_path}.")


def _connected(path: Path, fingerprint: str) -> LivingLauncher:
    client = LauncherClient(path)
    try:
        return LivingLauncher(path, fingerprint, client, Heartbeat(LauncherClient(path)))
    except BaseException:
        client.close()
        raise


# Launchers that still have runs when we are done with them; kept so that they are reaped if we live longer.
_outliving: list[subprocess.Popen[bytes]] = []


def _reap(child: subprocess.Popen[bytes], within_s: float) -> None:
    """Collect a child if it has ended, so that it does not stay as a zombie; one that still runs may go on."""
    try:
        child.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        _outliving.append(child)
    reap_outliving()


def reap_outliving() -> None:
    """Collect those of our launchers that have ended after we were done with them."""
    _outliving[:] = [child for child in _outliving if child.poll() is None]


def launcher_environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What a runtime may see of our environment: everything but our own settings, which may hold secrets."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("MINISCHED_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
