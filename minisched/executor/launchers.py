"""The launcher of a runtime as the supervisor sees it: kept alive, given up with back-off, renewed when it is worn."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from minisched.domain.errors import MinischedError, OrchestratorUnavailable, RuntimeUnusable
from minisched.executor.launcher_client import LauncherClient
from minisched.executor.launcher_start import (
    LauncherKilled,
    LauncherOptions,
    LauncherStarter,
    LivingLauncher,
    RuntimeSpec,
    reap_outliving,
)
from minisched.ports import RuntimeStatus

log = structlog.get_logger(__name__)

_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 60.0
# A launcher that lived so long was a good one; what ends it is a new story.
_STABLE_S = 10.0
# So often a launcher may be killed while it starts before its runtime counts as broken.
_KILLS_FORGIVEN = 2
_RENEW_AGAIN_S = 60.0
_LONGEST_LABEL = 40


def label_of(runtime: str) -> str:
    """A name for files of this runtime, which may itself be named by a long path: a socket's name has 108 bytes."""
    label = re.sub(r"\W+", "_", runtime, flags=re.ASCII).strip("_") or "runtime"
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[-_LONGEST_LABEL + 9 :]}_{hashlib.sha256(runtime.encode()).hexdigest()[:8]}"


class Launcher:
    """The launcher of one runtime.

    `state` is stopped, starting, ready or failed; `ensure` and `check` move it on and never block. Only the
    supervisor's thread may use `client`. `on_change` is called from another thread when a start has come to its end.
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
        self._resolve = resolve
        self._options = options
        self._on_change = on_change
        # A runtime may be named by a path, which no file can be.
        label = label_of(name)
        self._starter = LauncherStarter(directory, label, options)
        self._lock = threading.Lock()
        self._starts: list[threading.Thread] = []
        self._closing = False
        self._living: LivingLauncher | None = None
        self._successor: LivingLauncher | None = None
        self._backoff_s = 0.0
        self._retry_at = 0.0
        self._ready_at = 0.0
        self._look_again_at = 0.0
        self._kills = 0
        self.state = "stopped"
        self.problem: str | None = None
        self.version: str | None = None

    @property
    def client(self) -> LauncherClient | None:
        return self._living.client if self._living is not None else None

    def ensure(self) -> None:
        """Start it unless it is ready, starting, or was given up a moment ago."""
        with self._lock:
            if self.state in ("ready", "starting") or time.monotonic() < self._retry_at or self._closing:
                return
            self.state = "starting"
        self._in_background(self._start)

    def start(self) -> None:
        """Start it and wait until it is ready. Raises RuntimeUnusable with the reason when it cannot be."""
        self.state = "starting"
        self._start()
        if self.state != "ready":
            raise RuntimeUnusable(f"The runtime {self._name} cannot run anything: {self.problem}")

    def connect(self) -> LauncherClient:
        """A connection of the caller's own, for any thread. Raises OrchestratorUnavailable when it is not ready."""
        living = self._living
        if living is None or self.state != "ready":
            problem = self.problem or "it is being started"
            raise OrchestratorUnavailable(f"The runtime {self._name} is not ready: {problem}", hint="Try again.")
        return LauncherClient(living.path)

    def check(self) -> None:
        """Notice that it is gone or hangs, has been told to leave, or has to be renewed; call it every second."""
        reap_outliving()
        living = self._living
        if living is None:
            return
        try:
            living.heartbeat.check()
        except OrchestratorUnavailable as error:
            self.lost(str(error))
            return
        if living.heartbeat.pong.get("state") == "retiring":
            self.leave("the launcher was told to leave")
        elif self._successor is not None:
            self._take_over()
        elif self._is_worn(living) or time.monotonic() >= self._look_again_at:
            self._renew_soon()

    def lost(self, why: str) -> None:
        """The launcher is of no use any more. Its runs go on: their guards do not need it."""
        log.warning("launcher.lost", runtime=self._name, why=why)
        living, self._living = self._living, None
        if living is not None:
            living.kill()
        self._do_without(why)

    def leave(self, why: str) -> None:
        """The launcher takes no further runs; another one will."""
        log.info("launcher.leaves", runtime=self._name, why=why)
        living, self._living = self._living, None
        if living is not None:
            living.let_go()
        self._do_without(why)

    def _do_without(self, why: str) -> None:
        successor, self._successor = self._successor, None
        if successor is not None:
            self._serve_with(successor)
        else:
            self._give_up(why, state="stopped")

    def close(self, *, only_ours: bool = False) -> None:
        """Forget it, and let it leave when its last run has ended; with `only_ours` just one that we have started."""
        with self._lock:
            self._closing = True
        for thread in self._starts:
            thread.join(timeout=self._options.start_timeout_s)
        for living in filter(None, (self._successor, self._living)):
            if only_ours and living.child is None:
                living.let_go()
            else:
                living.retire(within_s=2.0)
        self._living = self._successor = None

    def status(self) -> RuntimeStatus:
        living = self._living
        hello = living.client.hello if living else {}
        pong = (living.heartbeat.pong if living else {}) or hello
        limits = pong.get("memory_limits") or {}
        return RuntimeStatus(
            name=self._name,
            state=self.state,
            version=self.version,
            problem=self.problem,
            import_s=hello.get("import_s"),
            active_runs=_count(pong.get("runs")),
            spares=_count(pong.get("spares")),
            memory_limits=limits.get("by"),
            watched_because=limits.get("because"),
        )

    # --- start ------------------------------------------------------------------------------------------------------

    def _in_background(self, work: Callable[[], None]) -> None:
        def work_and_tell() -> None:
            work()
            self._on_change()

        thread = threading.Thread(target=work_and_tell, name=f"launcher-start-{self._name}", daemon=True)
        self._starts = [*self._at_work(), thread]
        thread.start()

    def _at_work(self) -> list[threading.Thread]:
        return [thread for thread in self._starts if thread.is_alive()]

    def _start(self) -> None:
        try:
            spec = self._resolve(self._name)
            self.version = spec.version
            living = self._starter.found(spec) or self._starter.started(spec, cancelled=lambda: self._closing)
        except LauncherKilled as error:
            self._kills += 1
            self._give_up(str(error), state="stopped" if self._kills <= _KILLS_FORGIVEN else "failed")
        except (MinischedError, OSError) as error:
            self._give_up(str(error), state="failed")
        else:
            self._kills = 0
            self._use(living)

    def _use(self, living: LivingLauncher) -> None:
        if living.problem is not None:
            living.let_go()
            self._give_up(living.problem, state="failed")
            return
        self._serve_with(living)
        self.state = "ready"

    def _serve_with(self, living: LivingLauncher) -> None:
        hello = living.client.hello
        self.version = hello.get("version") or self.version
        self._living, self.problem = living, None
        self._ready_at = time.monotonic()
        self._look_again_at = self._ready_at + self._options.recheck_s
        log.info(
            "launcher.ready",
            runtime=self._name,
            pid=living.client.process.pid,
            import_s=hello.get("import_s"),
            memory_limits=(hello.get("memory_limits") or {}).get("by"),
        )

    def _give_up(self, why: str, *, state: str) -> None:
        now = time.monotonic()
        if self._ready_at and now - self._ready_at > _STABLE_S:
            self._backoff_s = 0.0
        self._ready_at = 0.0
        self._backoff_s = min(max(self._backoff_s * 2, _FIRST_BACKOFF_S), _LONGEST_BACKOFF_S)
        self._retry_at = now + self._backoff_s
        self.problem, self.state = why, state
        if state == "failed":
            log.error("launcher.failed", runtime=self._name, problem=why, retry_in_s=self._backoff_s)

    # --- renewal ----------------------------------------------------------------------------------------------------

    def _is_worn(self, living: LivingLauncher) -> bool:
        limit = self._options.recycle_after_runs
        return limit > 0 and living.client.spawned >= limit and time.monotonic() >= self._retry_at

    def _renew_soon(self) -> None:
        if self._at_work():
            return
        self._look_again_at = time.monotonic() + self._options.recheck_s
        self._in_background(self._renew)

    def _renew(self) -> None:
        """Start the next launcher beside the present one, which goes on serving, if there is a reason to."""
        living = self._living
        try:
            spec = self._resolve(self._name)
            if living is None or (spec.fingerprint == living.fingerprint and not self._is_worn(living)):
                return
            successor = self._starter.started(spec, cancelled=lambda: self._closing)
            if successor.problem is not None:
                successor.let_go()
                raise RuntimeUnusable(successor.problem)
        except (MinischedError, OSError) as error:
            self._retry_at = time.monotonic() + _RENEW_AGAIN_S
            log.warning("launcher.not_renewed", runtime=self._name, problem=str(error))
        else:
            self._successor = successor

    def _take_over(self) -> None:
        old, successor = self._living, self._successor
        self._successor = None
        if old is None or successor is None or old.path == successor.path:
            return
        log.info("launcher.renewed", runtime=self._name, after_runs=old.client.spawned)
        self._serve_with(successor)
        old.retire()


def _count(value: object) -> int:
    return len(value) if isinstance(value, (list, dict)) else int(str(value or 0))
