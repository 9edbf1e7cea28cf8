"""The launchers of all runtimes that runs have asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from minisched.domain.errors import OrchestratorUnavailable
from minisched.domain.run import ProcessIdentity
from minisched.executor.launcher_client import LauncherClient
from minisched.executor.launchers import Launcher
from minisched.ports import RuntimeStatus


class LauncherSet:
    """Makes a launcher when its runtime is first named; None names the default runtime."""

    def __init__(self, make: Callable[[str], Launcher], default: str) -> None:
        self._make = make
        self._default = default
        self._lock = threading.Lock()
        self._launchers: dict[str, Launcher] = {}

    def name_of(self, runtime: str | None) -> str:
        return runtime or self._default

    def of(self, runtime: str | None) -> Launcher:
        name = self.name_of(runtime)
        with self._lock:
            if name not in self._launchers:
                self._launchers[name] = self._make(name)
            return self._launchers[name]

    def ensure(self, runtime: str | None = None) -> None:
        self.of(runtime).ensure()

    def is_able(self, runtime: str | None) -> bool:
        """Ready to run, or known to be broken: then its runs are told so instead of waiting for ever."""
        return self.of(runtime).state in ("ready", "failed")

    def able(self) -> list[str]:
        return [name for name in list(self._launchers) if self.is_able(name)]

    def check(self) -> None:
        for launcher in list(self._launchers.values()):
            launcher.check()

    def connect(self, runtime: str) -> LauncherClient:
        """A connection of the caller's own. Raises OrchestratorUnavailable."""
        launcher = self._launchers.get(runtime)
        if launcher is None:
            raise OrchestratorUnavailable(f"The runtime {runtime} was not started.", hint="Try again.")
        return launcher.connect()

    def process(self, runtime: str) -> ProcessIdentity | None:
        """Which process its launcher is, while there is one."""
        launcher = self._launchers.get(runtime)
        client = launcher.client if launcher is not None else None
        return client.process if client is not None else None

    def statuses(self) -> list[RuntimeStatus]:
        return [launcher.status() for launcher in list(self._launchers.values())]

    def close(self) -> None:
        for launcher in self._launchers.values():
            launcher.close()
