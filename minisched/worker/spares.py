"""Pre-forked pairs of guard and runner that wait for a run, so that a start costs a hand-over and not a fork."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any, Callable

from . import guard, kernel, protocol, runner
from .run_groups import NoRunGroups

_EVERY_SIGNAL = signal.valid_signals() if hasattr(signal, "valid_signals") else set(range(1, signal.NSIG))


class NotSingleThreaded(Exception):
    """A fork now would copy one thread of several, with the locks of the others held for ever."""


class Spare:
    """A waiting guard (with its runner) as the launcher sees it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self.process = protocol.identity(pid)
        self.forked_at = time.monotonic()

    def hand_over(self, job: dict[str, Any], job_fd: int) -> None:
        """Pass a run on. Raises OSError when the spare has died."""
        protocol.send(self.connection, job, (job_fd,))

    def close(self) -> None:
        """Forget it: a spare that still waits leaves."""
        self.connection.close()


def fork_spare(groups: NoRunGroups) -> Spare:
    """Fork a guard, which forks its runner. Raises OSError when the kernel refuses, NotSingleThreaded."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    launcher = os.getpid()
    try:
        pid = fork_child(lambda: _be_guard(theirs, launcher, groups))
    except (OSError, NotSingleThreaded):
        ours.close()
        raise
    finally:
        theirs.close()
    return Spare(pid, ours)


def fork_child(body: Callable[[], None]) -> int:
    """The pid of a child that runs this with every signal blocked. Raises OSError, NotSingleThreaded."""
    if not kernel.single_threaded():
        raise NotSingleThreaded("the launcher has more than one thread")
    before = signal.pthread_sigmask(signal.SIG_SETMASK, _EVERY_SIGNAL)
    try:
        pid = os.fork()
        if pid == 0:
            leave_with(body)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def leave_with(body: Callable[[], None]) -> None:
    """Run a child's body and leave without ever returning into the parent's frames."""
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _be_guard(launcher_socket: socket.socket, launcher: int, groups: NoRunGroups) -> None:
    signal.set_wakeup_fd(-1)
    kernel.die_with_parent(launcher)
    os.setsid()
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    kernel.close_all_but({0, 1, 2, launcher_socket.fileno()})
    kernel.adopt_orphans()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    this = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        launcher_socket.close()
        leave_with(lambda: runner.serve(theirs, this))
    theirs.close()
    kernel.name_process("minisched-guard")
    group = groups.of_spare(protocol.identity(this), pid)
    guard.rehearse()
    guard.serve(launcher_socket, pid, ours, group)
