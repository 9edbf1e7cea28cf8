"""What the server and the launcher say to each other, and the files of a run directory.

Messages are JSON objects, one per packet of a Unix SOCK_SEQPACKET socket; a run's job travels beside its `spawn`
message as a file descriptor (a memfd) that the launcher passes on unread (D2, D9). Both ends start with `hello`; a
different PROTOCOL means: do not spawn here, let it drain.

- `hello {protocol}` is answered `hello {protocol, pid, start_ticks, boot_id, runtime, generation, state, problem,
  version, import_s, spares, runs, memory_limits}`; state is ready or failed
- `spawn {run_id, run_dir, limits}` with the job's descriptor: `spawned {run_id, process}` or
  `refused {run_id, reason, message}`; reason is one of the REFUSED_ words
- `validator {}` with a socket: `validator {pid}` or `refused {reason, message}`; a child that judges pipelines
  listens at its other end (validator.py) and leaves when that is closed
- `ping {}`: `pong {state, spares, runs, memory_limits}`
- `retire {}`: `retiring {runs}`; no further spawns, the launcher leaves when its last run has ended

`op` names the message; `runs` is the list of the ids of active runs, `spares` a number, `process` a guard's identity,
`memory_limits` {by: cgroup or watching, because}.

Standard library only, Python 3.8 syntax: this file is read by both interpreters.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from functools import lru_cache
from typing import Any

PROTOCOL = 2
MAX_MESSAGE_BYTES = 64 * 1024

REFUSED_RETIRING = "retiring"  # ask another launcher
REFUSED_FAILED = "failed"  # the runtime cannot run anything, see hello's problem
REFUSED_STARTED = "already_started"  # this run has a started.json; it must not be started again
REFUSED_RUN_DIR = "run_dir"  # the guard cannot write there: missing, not ours, read-only
REFUSED_DISK_FULL = "disk_full"  # there is no room in the run directory
REFUSED_BAD_REQUEST = "bad_request"
REFUSED_NO_PROCESS = "no_process"  # fork failed, or the spare died first; may be tried again

# Exit codes of a runner. Anything else, or no result file, means that it did not get that far.
EXIT_SUCCESS = 0  # success and partialSuccess
EXIT_FAILED = 1
EXIT_STOPPED = 2
EXIT_NO_RESULT = 74  # the result file could not be written, so the disk is full

# Files of a run directory; each is written by exactly one process, whole (temporary name, fsync, rename).
LOG_FILE = "run.log"  # guard creates it; the run's stdout and stderr
STARTED_FILE = (
    "started.json"  # guard, with O_EXCL before anything runs: who it is. Exists => never start this run again
)
PROGRESS_FILE = "progress.json"  # runner, each second
RESULT_FILE = "result.json"  # runner, when the workflow has ended
EXIT_FILE = "exit.json"  # guard, when no process of the run is left
TMP_DIR = "tmp"  # TMPDIR and stageFileLocation of the run; removed by the guard

# The mark of a run in the environment of every program that it executes.
RUN_MARK = "MINISCHED_RUN_ID"
# What the command line of every process that it only forks shows after the interpreter; an id follows.
RUN_TITLE = "minisched run "


class ProtocolError(Exception):
    """The peer sent something that is not a message, or went away."""


def send(connection: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message with its descriptors. Raises OSError when the peer is gone."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError("message of {} bytes is larger than {}".format(len(data), MAX_MESSAGE_BYTES))
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([data], ancillary)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for one message; returns (message, [fds]). Raises EOFError when the peer has closed."""
    room = socket.CMSG_SPACE(4 * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(MAX_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not data and not fds:
        raise EOFError("the peer closed the connection")
    try:
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("a JSON object is expected")
    except ValueError as error:
        for fd in fds:
            os.close(fd)
        raise ProtocolError("not a message: {}".format(error)) from error
    return message, list(fds)


def write_record(directory: str, name: str, record: dict[str, Any], durable: bool = True) -> None:
    """Write a JSON file so that a reader sees all of it or nothing, also after a power cut when `durable`.

    Raises OSError and leaves nothing behind when the disk is full.
    """
    temporary = os.path.join(directory, ".{}.{}".format(name, os.getpid()))
    try:
        _write_whole(temporary, json.dumps(record).encode(), durable)
        os.replace(temporary, os.path.join(directory, name))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(directory)


def _write_whole(path: str, data: bytes, durable: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while data:  # a full disk shows as a short write first
            data = data[os.write(fd, data) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(directory: str) -> None:
    """Make the directory's entries survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_record(directory: str, name: str) -> dict[str, Any] | None:
    """The JSON object in the file, or None when it is absent or not whole."""
    try:
        with open(os.path.join(directory, name), "rb") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


@lru_cache(maxsize=None)
def boot_id() -> str:
    """Names this boot of the machine: a pid and start time mean nothing after the next one."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat, or None when there is no such process."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as file:
            stat = file.read()
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def identity(pid: int) -> dict[str, Any]:
    """{"pid", "start_ticks", "boot_id"}: a process that cannot be confused with a later one of the same pid."""
    return {"pid": pid, "start_ticks": start_ticks(pid), "boot_id": boot_id()}
