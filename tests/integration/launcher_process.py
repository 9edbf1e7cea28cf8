"""A real launcher as a subprocess, and the server's end of its socket, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minisched.worker import protocol
from tests.waiting import wait_until

WORKER = Path(protocol.__file__).parent
STANDIN = Path(__file__).parents[1] / "standin"


class SpawnedRun:
    """A run as the server sees it: its directory, and the identity of its guard."""

    def __init__(self, run_id: str, directory: Path, process: dict[str, Any]) -> None:
        self.id = run_id
        self.directory = directory
        self.process = process

    @property
    def guard(self) -> int:
        return int(self.process["pid"])

    @property
    def runner(self) -> int:
        return int(self.started["runner"]["pid"])

    @property
    def started(self) -> dict[str, Any]:
        return self._record(protocol.STARTED_FILE)

    @property
    def result(self) -> dict[str, Any]:
        return self._record(protocol.RESULT_FILE)

    @property
    def exit(self) -> dict[str, Any]:
        return self._record(protocol.EXIT_FILE)

    @property
    def log(self) -> str:
        return (self.directory / protocol.LOG_FILE).read_bytes().decode(errors="replace")

    def _record(self, name: str) -> dict[str, Any]:
        record = protocol.read_record(str(self.directory), name)
        assert record is not None, f"no {name}; log: {self.log[-3000:]}"
        return record

    def note(self, name: str, timeout_s: float = 10.0) -> int:
        """The pid that the workflow wrote down under this name."""
        path = self.directory / protocol.TMP_DIR / (name + ".pid")
        wait_until(path.exists, timeout_s=timeout_s)
        return int(path.read_text())

    def stop(self) -> None:
        os.kill(self.guard, signal.SIGTERM)

    def wait(self, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait for the guard's end; its exit record."""
        wait_until(lambda: not alive(self.guard), timeout_s=timeout_s)
        return self.exit


class LauncherProcess:
    """A launcher of the given interpreter. `close` ends it and asserts nothing about its runs."""

    def __init__(
        self, directory: Path, *arguments: str, python: str = sys.executable, timeout_s: float = 20.0, spares: int = 1
    ) -> None:
        self.directory = directory
        self.path = directory / "l.sock"
        self._log = (directory / "launcher.log").open("ab")
        command = [python, str(WORKER), "launcher", "--socket", str(self.path), "--runtime", "test"]
        command += ["--generation", "0a", "--spares", str(spares), *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        wait_until(lambda: self.path.exists() or self.process.poll() is not None, timeout_s=timeout_s)
        assert self.process.poll() is None, self.log
        self.connection = self.connect()
        self.hello = self.ask({"op": "hello", "protocol": protocol.PROTOCOL})

    @property
    def log(self) -> str:
        return (self.directory / "launcher.log").read_text()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(20)
        connection.connect(str(self.path))
        return connection

    def ask(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> dict[str, Any]:
        protocol.send(self.connection, message, fds)
        answer, _ = protocol.receive(self.connection)
        return answer

    def spawn(self, job: dict[str, Any], **limits: Any) -> SpawnedRun:
        """Start a job; the answer must be that it was spawned."""
        run_id = job.setdefault("run_id", str(uuid.uuid4()))
        directory = self.directory / "runs" / run_id
        directory.mkdir(parents=True, exist_ok=True)
        answer = self.request(job, directory, **limits)
        assert answer["op"] == "spawned", answer
        return SpawnedRun(run_id, directory, answer["process"])

    def request(self, job: dict[str, Any], directory: Path, **limits: Any) -> dict[str, Any]:
        """Ask for a spawn; the launcher's answer as it is."""
        limits.setdefault("grace_s", 5.0)
        fd = job_descriptor(job)
        try:
            message = {"op": "spawn", "run_id": job["run_id"], "run_dir": str(directory), "limits": limits}
            return self.ask(message, (fd,))
        finally:
            os.close(fd)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.connection.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


def job_descriptor(job: dict[str, Any]) -> int:
    """The job in a memfd."""
    fd = os.memfd_create("job")
    os.write(fd, json.dumps(job).encode())
    return fd


def standin_job(behaviour: str | None = None, **options: Any) -> dict[str, Any]:
    """A job of the stand-in package whose workflow behaves like this."""
    return {"task": "workflow", "workflow": "metadata", "config": {"source": {"behaviour": behaviour, **options}}}


def alive(pid: int) -> bool:
    """True for a process that has not ended; a zombie has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in (b"Z", b"X")


def pids_with(text: str) -> list[int]:
    """Processes whose command line, environment or working directory names this text, as far as it can be read."""
    return [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and text.encode() in _about(entry)
    ]


def _about(process: Path) -> bytes:
    about = b""
    with contextlib.suppress(OSError):
        about += (process / "cmdline").read_bytes()
        about += (process / "environ").read_bytes()
    with contextlib.suppress(OSError):
        about += bytes((process / "cwd").readlink())
    return about


def launcher_with_standin(directory: Path, *arguments: str, **options: Any) -> Iterator[LauncherProcess]:
    """For fixtures: a launcher of the stand-in package, gone afterwards."""
    launcher = LauncherProcess(directory, "--path", str(STANDIN), "--linger-s", "30", *arguments, **options)
    try:
        yield launcher
    finally:
        launcher.close()
