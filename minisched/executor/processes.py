"""Processes of this machine: identity that survives pid reuse, and proof that a run's processes are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from minisched.domain.run import ProcessIdentity
from minisched.worker import protocol


def identity_from(record: dict[str, object]) -> ProcessIdentity:
    """The identity in a record that the worker side wrote. Raises KeyError, TypeError, ValueError when it is none."""
    return ProcessIdentity(int(str(record["pid"])), int(str(record["start_ticks"])), str(record["boot_id"]))


def is_alive(process: ProcessIdentity) -> bool:
    """True when exactly this process exists, also as a zombie: not a later one of the same pid, not of another boot."""
    return process.boot_id == protocol.boot_id() and protocol.start_ticks(process.pid) == process.start_ticks


def open_pidfd(process: ProcessIdentity) -> int | None:
    """A descriptor that becomes readable when the process ends; None when it has ended already."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_alive(process):
        return fd
    os.close(fd)
    return None


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Signal the process behind the descriptor; nothing happens when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def marked(run_id: str) -> set[int]:
    """Living processes that carry the run's mark: programs in their environment, forks in their command line."""
    mark = f"{protocol.RUN_MARK}={run_id}".encode()
    title = f"{protocol.RUN_TITLE}{run_id}".encode()
    return {pid for pid in _all_pids() if title in _words(pid, "cmdline") or mark in _words(pid, "environ")}


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _words(pid: int, name: str) -> list[bytes]:
    try:
        return [word.rstrip(b" ") for word in Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")]
    except OSError:
        return []


def sweep(run_id: str, roots: set[int], *, within_s: float = 10.0) -> tuple[set[int], set[int]]:
    """SIGKILL what is left of a run whose guard is gone or does not answer: the roots, all below, all marked.

    Freezes everything before it kills, so that nothing forks on meanwhile. Returns (pids seen, pids left).
    """
    seen: set[int] = set()
    deadline = time.monotonic() + within_s
    while True:
        left = {pid for pid in _tree(run_id, roots) if pid != os.getpid() and not _is_zombie(pid)}
        seen |= left
        if not left or time.monotonic() > deadline:
            return seen, left
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        time.sleep(0.01)


def _tree(run_id: str, roots: set[int]) -> set[int]:
    """The roots, whoever carries the mark, and all below them, from one look at every process."""
    children: dict[int, list[int]] = {}
    living = set()
    for process in psutil.process_iter(["ppid"]):
        living.add(process.pid)
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found: set[int] = set()
    waiting = [*(roots & living), *marked(run_id)]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
