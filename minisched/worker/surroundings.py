"""The process state that a run gets: descriptors, directory, environment, limits. Nothing is left from the launcher."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from typing import Any, Mapping

from . import kernel, protocol

OOM_SCORE = 500
_NEVER_INHERITED = ("MINISCHED_",)


def become_spare(guard: int, socket_fd: int) -> None:
    """Everything that can be done before there is a run, so that its start takes no time."""
    kernel.die_with_parent(guard)
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as every Python program has it
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    kernel.close_all_but({0, 1, 2, socket_fd})
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.umask(0o077)
    kernel.prefer_to_be_killed(OOM_SCORE)
    kernel.name_process("minisched-run")


def direct_output(log_fd: int) -> None:
    """Descriptors 1 and 2 are the run's log."""
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)


def set_limits(limits: Mapping[str, Any]) -> None:
    """The nice value and the number of descriptors; a limit that is not allowed is as good as none."""
    if limits.get("nice"):
        with contextlib.suppress(OSError):
            os.nice(int(limits["nice"]))
    if limits.get("open_files"):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = int(limits["open_files"])
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def enter(run_id: str, run_dir: str) -> str:
    """The run's own directory for temporary files becomes the working directory and TMPDIR. Returns its path."""
    path = os.path.join(run_dir, protocol.TMP_DIR)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    os.chdir(path)
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ[name] = path
    tempfile.tempdir = None
    os.environ[protocol.RUN_MARK] = run_id
    return path


def reseed() -> None:
    """Other random numbers than those of every other run; Python's own generator does it at the fork."""
    generator = sys.modules.get("numpy.random")
    if generator is not None:
        generator.seed()


def inherited_variables() -> dict[str, str]:
    """The variables of this process in which a secret may be; PWD names a directory there, not a password."""
    return {name: value for name, value in os.environ.items() if name != "PWD"}


def set_environment(environment: Mapping[str, Any]) -> None:
    """The job's variables, but for those that are ours."""
    reserved = {"TMPDIR", "TEMP", "TMP"}
    for name, value in environment.items():
        if name not in reserved and not name.startswith(_NEVER_INHERITED):
            os.environ[name] = str(value)
    time.tzset()
