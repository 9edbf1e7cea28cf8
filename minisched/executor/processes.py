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


def descendants(pid: int) -> set[int]:
    """Pids of all living children, grandchildren, …"""
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def marked(run_id: str) -> set[int]:
    """Living processes that carry the run's mark in their environment. Zombies have none and are left out."""
    mark = f"{protocol.RUN_MARK}={run_id}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


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
    living = {pid for pid in roots if psutil.pid_exists(pid)}
    return living.union(*(descendants(pid) for pid in living)) | marked(run_id)


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
