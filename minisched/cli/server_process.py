"""`minisched serve` as a process of our own, for commands that show or measure a whole server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from minisched.cli.credentials import of_first_admin
from minisched.cli.exit_codes import ServerUnreachable
from minisched.cli.interruption import deferring_interrupts
from minisched.cli.server import RUNTIMES, Server
from minisched.domain.errors import MinischedError, RuntimeUnusable

_LIVE_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 30.0
_LAUNCHERS_GONE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02
# The launcher is importing meanwhile and needs the processor more than our questions do.
_WARM_EVERY_S = 0.2


class ServerDied(MinischedError):
    """The server that we started has ended."""


class ServerProcess:
    """A server on a free port of loopback with a data directory of its own, stopped together with its launchers.

    It is told to end when our end of its standard input closes, so it does not outlive us, however we die, unless
    `outlives_us`. The settings are those of `variables` alone: our own MINISCHED_… variables are not handed on.
    """

    def __init__(self, data_dir: Path, variables: Mapping[str, str], *, outlives_us: bool = False) -> None:
        self.data_dir = data_dir
        self._variables = variables
        self._outlives_us = outlives_us
        self._process: subprocess.Popen[bytes] | None = None
        self._kept = False
        self.log_path = data_dir / "server.log"
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._kept:
            self.stop()

    @property
    def authorization(self) -> str | None:
        """With which one may do everything there, once it answers."""
        return of_first_admin(self.data_dir)

    def server(self) -> Server:
        """A client of it that may do everything."""
        return Server(self.url, authorization=self.authorization)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def keep(self) -> None:
        """Let it run on after us."""
        assert self._outlives_us
        self._kept = True

    def _start(self) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "minisched", "serve"]
        if not self._outlives_us:
            command.append("--stop-with-stdin")
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.log_path, "wb", opener=_private) as log, deferring_interrupts():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if self._outlives_us else subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment(port),
                start_new_session=True,  # a Ctrl-C at our terminal is ours to pass on
            )

    def _environment(self, port: int) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINISCHED_")}
        ours = {"MINISCHED_DATA_DIR": str(self.data_dir), "MINISCHED_SERVER__PORT": str(port)}
        return {**inherited, **ours, **self._variables}

    def wait_until_live(self) -> None:
        """Raises ServerDied, with the end of its log, or ServerUnreachable when it takes too long."""
        with Server(self.url) as server:
            self._poll(lambda: _is_live(server), _LIVE_WITHIN_S, _LOOK_EVERY_S, "does not answer")

    def wait_until_warm(self, within_s: float) -> dict[str, Any]:
        """The runtime that is ready to run, as the server describes it. Raises RuntimeUnusable when none will be."""
        with self.server() as server:
            found: dict[str, Any] = self._poll(
                lambda: warm_runtime(server), within_s, _WARM_EVERY_S, "has no runtime ready"
            )
            return found

    def _poll(self, condition: Callable[[], Any], within_s: float, every_s: float, problem: str) -> Any:
        assert self._process is not None
        deadline = time.monotonic() + within_s
        while not (answer := condition()):
            if self._process.poll() is not None:
                raise ServerDied(
                    f"the server ended with code {self._process.returncode}: {self._last_words()}",
                    hint=f"Its log is {self.log_path}.",
                )
            if time.monotonic() > deadline:
                raise ServerUnreachable(f"the server {problem} after {within_s:g} s.", hint=f"See {self.log_path}.")
            time.sleep(every_s)
        return answer

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it wrote nothing."
        return "it wrote nothing."

    def stop(self) -> None:
        """End the server, its launchers and their runs; returns when they are gone. Takes a bounded time."""
        if self._process is None:
            return
        # One signal only, and its stdin open meanwhile: a second one would cut its clean-up short.
        self._process.terminate()
        try:
            self._process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        end_launchers(self.data_dir, within_s=_LAUNCHERS_GONE_WITHIN_S)


def _is_live(server: Server) -> bool:
    try:
        server.call("GET", "/health/live")
    except MinischedError:
        return False
    return True


def warm_runtime(server: Server) -> dict[str, Any] | None:
    """The first runtime that is ready, None while there may be one. Raises RuntimeUnusable when all have failed."""
    runtimes: list[dict[str, Any]] = server.get(RUNTIMES)["data"]
    for runtime in runtimes:
        if runtime["state"] == "ready":
            return runtime
    failed = [runtime for runtime in runtimes if runtime["state"] == "failed"]
    if failed and len(failed) == len(runtimes):
        raise RuntimeUnusable(f"the runtime {failed[0]['name']} cannot be used: {failed[0].get('problem')}")
    return None


def launchers_of(data_dir: Path) -> list[psutil.Process]:
    """Launchers of the server with this data directory, and what they forked: all carry its sockets' path."""
    mark = str(data_dir / "launchers") + os.sep
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(mark in argument for argument in process.info["cmdline"] or ())
    ]


def end_launchers(data_dir: Path, *, within_s: float) -> None:
    """Wait for launchers to leave, as they do when their server has gone; kill those that do not."""
    deadline = time.monotonic() + within_s
    while left := launchers_of(data_dir):
        late_s = time.monotonic() - deadline
        if late_s > within_s:
            return  # the kernel does not let go of them
        for process in left if late_s > 0 else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
