"""The server's end of a launcher's socket: one blocking request at a time, each with a deadline."""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minisched.domain.errors import OrchestratorRejected, OrchestratorUnavailable
from minisched.domain.pipeline import Document
from minisched.domain.run import ProcessIdentity
from minisched.executor.processes import identity_from
from minisched.worker import protocol


@dataclass(frozen=True, slots=True)
class SpawnLimits:
    """What a run may use; None means no limit of ours. Seconds, mebibytes, a nice value, a number of descriptors."""

    grace_s: float = 10.0
    timeout_s: float | None = None
    memory_limit_mb: int | None = None
    log_limit_mb: int | None = None
    nice: int = 0
    open_files: int | None = None

    def as_message(self) -> Document:
        return {name: getattr(self, name) for name in self.__slots__}


class AlreadyStarted(OrchestratorRejected):
    """This run was started before; its run directory says by which process."""


class LauncherHangs(OrchestratorUnavailable):
    """A process listens at the launcher's socket, but it does not answer."""

    def __init__(self, message: str, *, pid: int) -> None:
        super().__init__(message)
        self.pid = pid


class LauncherRetiring(OrchestratorRejected):
    """This launcher is about to leave; another one has to be asked."""


class NoProcess(OrchestratorRejected):
    """The launcher could not fork; it may be asked again."""


class DiskFull(OrchestratorRejected):
    """There is no room for the run's files."""


_REFUSALS: dict[str, type[OrchestratorRejected]] = {
    protocol.REFUSED_STARTED: AlreadyStarted,
    protocol.REFUSED_RETIRING: LauncherRetiring,
    protocol.REFUSED_NO_PROCESS: NoProcess,
    protocol.REFUSED_DISK_FULL: DiskFull,
}


class LauncherClient:
    """A connection to a living launcher. Raises OrchestratorUnavailable when it does not answer in time or is gone."""

    def __init__(self, path: Path, *, timeout_s: float = 4.0) -> None:
        self.spawned = 0  # runs that were started over this connection
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(timeout_s)
        try:
            _connect(self._socket, path)
            self.hello = self._introduced()
        except BaseException:
            self._socket.close()
            raise

    @property
    def process(self) -> ProcessIdentity:
        return identity_from(self.hello)

    @property
    def speaks_our_protocol(self) -> bool:
        return self.hello.get("protocol") == protocol.PROTOCOL

    def spawn(self, run_id: str, run_dir: Path, limits: SpawnLimits, job: Document) -> ProcessIdentity:
        """Start the run; returns its guard. Raises OrchestratorRejected, of which AlreadyStarted, LauncherRetiring
        and NoProcess say what to do."""
        fd = as_memfd(job)
        try:
            message = {"op": "spawn", "run_id": run_id, "run_dir": str(run_dir), "limits": limits.as_message()}
            answer = self._ask(message, (fd,))
        finally:
            os.close(fd)
        if answer.get("op") == "spawned":
            self.spawned += 1
            return identity_from(answer["process"])
        refusal = _REFUSALS.get(str(answer.get("reason")), OrchestratorRejected)
        raise refusal(str(answer.get("message") or "the launcher refused the run"))

    def fork_validator(self) -> socket.socket:
        """The socket of a new child that judges pipelines; it leaves when that is closed. Raises
        OrchestratorUnavailable when there can be none."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                answer = self._ask({"op": "validator"}, (theirs.fileno(),))
            if answer.get("op") != "validator":
                raise OrchestratorUnavailable(str(answer.get("message") or "the launcher refused a validator"))
        except BaseException:
            ours.close()
            raise
        return ours

    def ask_for_life(self) -> None:
        """Send a ping and do not wait for the answer; see `sign_of_life`."""
        self._socket.settimeout(0)
        try:
            protocol.send(self._socket, {"op": "ping"})
        except OSError as error:
            raise OrchestratorUnavailable(f"the launcher is gone: {error}") from error

    def sign_of_life(self) -> Document | None:
        """The answer to `ask_for_life`, or None while there is none; a connection for nothing else."""
        self._socket.settimeout(0)
        try:
            answer, _ = protocol.receive(self._socket)
        except BlockingIOError:
            return None
        except (OSError, EOFError, protocol.ProtocolError) as error:
            raise OrchestratorUnavailable(f"the launcher is gone: {error}") from error
        return answer

    def retire(self) -> list[str]:
        """Ask it to leave when its last run has ended; the ids of those that it still has."""
        return list(self._ask({"op": "retire"}).get("runs") or [])

    def close(self) -> None:
        self._socket.close()

    def _introduced(self) -> Document:
        try:
            return self._ask({"op": "hello", "protocol": protocol.PROTOCOL})
        except OrchestratorUnavailable as error:
            raise LauncherHangs(str(error), pid=_pid_of_peer(self._socket)) from error

    def _ask(self, message: Document, fds: tuple[int, ...] = ()) -> dict[str, Any]:
        try:
            protocol.send(self._socket, message, fds)
            answer, received = protocol.receive(self._socket)
        except (OSError, EOFError, protocol.ProtocolError) as error:
            raise OrchestratorUnavailable(f"the launcher does not answer: {error}") from error
        for fd in received:
            os.close(fd)
        return answer


def _connect(connection: socket.socket, path: Path) -> None:
    # A path below /proc/self/fd escapes the 108 bytes that a socket's name may have.
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OrchestratorUnavailable(f"no launcher at {path}: {error}") from error
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except OSError as error:
        raise OrchestratorUnavailable(f"no launcher at {path}: {error}") from error
    finally:
        os.close(directory)


def _pid_of_peer(connection: socket.socket) -> int:
    """The process that listens at the other end; the kernel says so, not the process."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def as_memfd(job: Document) -> int:
    """A descriptor from which the job can be read, which is nowhere on a disk."""
    fd = os.memfd_create("minisched-job", os.MFD_CLOEXEC)
    data = json.dumps(job).encode()
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
