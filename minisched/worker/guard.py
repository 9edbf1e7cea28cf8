"""The parent of one run's processes: it starts the runner, holds the limits, ends the tree and records how it ended.

It needs neither the launcher nor the server, so runs survive both. SIGTERM to a guard means: stop this run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any

from . import kernel, limits, processes, protocol
from .escalation import LEFTOVER_GRACE_S, Escalation
from .exit_file import ExitFile
from .run_groups import NoGroup
from .runner_link import RunnerLink

DURABLE_AFTER_S = 0.02  # the disk is not kept busy while the run starts; one that is over by then needs nothing
MEMORY_GRACE_S = 2.0  # what eats memory goes on eating while it is given time
_HEARD = {signal.SIGCHLD, signal.SIGTERM}


class Refusal(Exception):
    """The run cannot be started; `reason` is one of the protocol's words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _refusal(what: str, error: OSError) -> Refusal:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refusal(protocol.REFUSED_DISK_FULL if full else protocol.REFUSED_RUN_DIR, "{}: {}".format(what, error))


class Pair:
    """The identities of this guard and its runner, known before there is a run."""

    def __init__(self, runner_pid: int) -> None:
        self.guard = protocol.identity(os.getpid())
        self.runner = protocol.identity(runner_pid)


class Guard:
    """One run, from its hand-over to its exit record."""

    def __init__(self, job: dict[str, Any], pair: Pair, runner: RunnerLink, group: NoGroup) -> None:
        self._run_id = str(job["run_id"])
        self._run_dir = str(job["run_dir"])
        self._pair = pair
        self._runner_pid = runner_pid = int(pair.runner["pid"])
        self._runner = runner
        self._group = group
        self._limits = limits.Limits(job.get("limits") or {}, runner_pid)
        self._exit_file = ExitFile(self._run_dir)
        self._escalation = Escalation(self._run_id, group, self.any_left, self._wait_for_child)
        self._started_ms = time.time_ns() // 1000000
        self._durable_at: float | None = time.monotonic() + DURABLE_AFTER_S
        self._ended_by = "itself"
        self._runner_status: int | None = None
        self._max_rss_kb = 0
        self._oom_kills = processes.RecentOomKills()
        self._oom_killed = 0

    # --- start ----------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Create started.json, whole and exclusively, so that this run can never be started twice. Raises Refusal."""
        record = {
            "run_id": self._run_id,
            "process": self._pair.guard,
            "runner": self._pair.runner,
            "started_ms": self._started_ms,
        }
        draft = protocol.STARTED_FILE + "." + str(os.getpid())
        try:
            protocol.write_record(self._run_dir, draft, record, durable=False)
            try:
                os.link(self._path(draft), self._path(protocol.STARTED_FILE))
            finally:
                os.unlink(self._path(draft))
        except FileExistsError as error:
            raise Refusal(protocol.REFUSED_STARTED, "run {} was started before".format(self._run_id)) from error
        except OSError as error:
            raise _refusal("cannot start in {}".format(self._run_dir), error) from error

    def open_log(self) -> int:
        """The run's log, created here so that it exists before anything can go wrong. Raises Refusal."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self._path(protocol.LOG_FILE), flags, 0o600)
        except OSError as error:
            raise _refusal("cannot write the run's log", error) from error
        self._limits.watch_log(fd)
        return fd

    def hold_memory(self) -> None:
        """Set the limit before the runner has anything to do."""
        self._limits.hold_memory(self._group)

    def take_room(self) -> None:
        """For the exit record, while the runner still reads its job: a fast run fills a disk within milliseconds."""
        self._exit_file.reserve()

    def _make_start_durable(self) -> None:
        self._durable_at = None
        with contextlib.suppress(OSError):  # the record is there; only a power cut could lose it
            fd = os.open(self._path(protocol.STARTED_FILE), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            protocol.sync_directory(self._run_dir)

    # --- watch ----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Until no process of the run is left."""
        cause = self._wait_for_cause()
        if cause is not None:
            self._end_run(cause)
            return
        if self._group.was_over_limit():
            self._ended_by = limits.MEMORY
        if self.any_left():
            self._end_leftovers()

    def _wait_for_cause(self) -> str | None:
        """What ends the run: None when the runner ends by itself."""
        while True:
            self.reap()
            if self._runner_status is not None:
                return None
            self._learn_from_runner()
            self._oom_kills.look()
            exceeded = self._limits.exceeded(self._escalation.pids_seen)
            if exceeded is not None:
                return exceeded
            heard = signal.sigtimedwait(_HEARD, self._pause_s())
            if heard is not None and heard.si_signo == signal.SIGTERM:
                return "stop"

    def _pause_s(self) -> float:
        if self._durable_at is None:
            return self._limits.pause_s()
        rest_s = self._durable_at - time.monotonic()
        if rest_s <= 0:
            self._make_start_durable()
            return 0.0
        return min(rest_s, self._limits.pause_s())

    def _learn_from_runner(self) -> None:
        self._runner.hear()
        for pid, rollup_fd in self._runner.take_rollups():
            self._limits.watch_memory(pid, rollup_fd)

    def any_left(self) -> bool:
        """Collect ended children; False when the kernel has neither a descendant nor anybody in the run's group."""
        return self.reap() or bool(self._group.processes())

    def reap(self) -> bool:
        """Collect ended children; False when the kernel says that no child, hence no descendant, is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._runner_pid:
                self._runner_status = status
                of_group = self._group.oom_kills()
                self._oom_killed = self._oom_kills.count() if of_group is None else of_group
                self._max_rss_kb = usage.ru_maxrss

    def _wait_for_child(self, timeout_s: float) -> None:
        signal.sigtimedwait({signal.SIGCHLD}, timeout_s)

    # --- end ------------------------------------------------------------------------------------------------------

    def _end_run(self, cause: str) -> None:
        self._ended_by = cause
        self._runner.tell(cause)
        self._escalation.terminate(self._runner_pid)
        grace_s = self._limits.grace_s
        if cause == limits.MEMORY:
            grace_s = min(grace_s, MEMORY_GRACE_S)
        deadline = time.monotonic() + grace_s
        self._escalation.wait_for_end(grace_s, lambda: self._runner_status is not None or self._limits.far_exceeded())
        if self._runner_status is not None:
            self._escalation.wait_for_end(min(LEFTOVER_GRACE_S, deadline - time.monotonic()), lambda: False)
        self._escalation.kill()

    def _end_leftovers(self) -> None:
        self._escalation.terminate(None)
        if self._escalation.wait_for_end(LEFTOVER_GRACE_S, lambda: False):
            self._escalation.finish()
        else:
            self._escalation.kill()

    def record_exit(self) -> bool:
        """Remove tmp/ and write exit.json, for a minute if need be. True when it is written."""
        self._runner.hear()
        remove_tree(self._path(protocol.TMP_DIR))
        return self._exit_file.write(
            self._exit_record(), lambda problem: _complain("run {}: {}".format(self._run_id, problem))
        )

    def _exit_record(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        exit_code, signum = _ended(self._runner_status)
        record = {
            "run_id": self._run_id,
            "pid": os.getpid(),
            "runner_pid": self._runner_pid,
            "started_ms": self._started_ms,
            "ended_ms": time.time_ns() // 1000000,
            "exit_code": exit_code,
            "signal": signum,
            "ended_by": self._ended_by,
            "max_rss_kb": self._max_rss_kb,
            "user_s": round(usage.ru_utime, 3),
            "system_s": round(usage.ru_stime, 3),
            "oom_kills": self._oom_killed,
        }
        record.update(self._limits.as_record(self._max_rss_kb))
        record.update(self._escalation.as_record())
        if self._runner.result is not None:
            record["result"] = self._runner.result
        return record

    def _path(self, name: str) -> str:
        return os.path.join(self._run_dir, name)


def serve(launcher: socket.socket, runner_pid: int, runner: socket.socket, group: NoGroup) -> None:
    """A spare guard: wait for a run, see it through, leave. The launcher's end of the socket is all it listens to."""
    signal.pthread_sigmask(signal.SIG_SETMASK, _HEARD | {signal.SIGINT, signal.SIGHUP})
    link = RunnerLink(runner)
    pair = Pair(runner_pid)
    job, job_fd = _wait_for_run(launcher, link)
    kernel.outlive_parent()
    while signal.sigtimedwait({signal.SIGTERM}, 0) is not None:
        pass  # meant for the spare, not for the run
    try:
        guard = _start(job, job_fd, pair, link, group)
    except Refusal as refusal:
        _answer(launcher, {"op": "refused", "reason": refusal.reason, "message": str(refusal)})
        return
    _answer(launcher, {"op": "spawned", "group_problem": group.problem})
    launcher.close()
    guard.watch()
    guard.record_exit()
    group.remove()


def rehearse() -> None:
    """Go through a start without one: first touches of inherited pages cost faults, better paid while waiting."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    job = {"op": "spawn", "run_id": "rehearsal", "run_dir": os.devnull, "limits": {"grace_s": 1.0}}
    with contextlib.suppress(Refusal):
        protocol.send(ours, job, (null,))
        message, fds = protocol.receive(theirs)
        os.close(fds[0])
        Guard(message, Pair(os.getpid()), RunnerLink(ours), NoGroup()).claim()
    os.close(null)
    ours.close()
    theirs.close()


def _start(job: dict[str, Any], job_fd: int, pair: Pair, runner: RunnerLink, group: NoGroup) -> Guard:
    guard = Guard(job, pair, runner, group)
    guard.claim()
    log_fd = guard.open_log()  # kept open: it is the guard's to look after
    guard.hold_memory()
    message = {"run_id": job["run_id"], "run_dir": job["run_dir"], "limits": job.get("limits") or {}}
    with contextlib.suppress(OSError):  # a runner that died as a spare is found by the watch
        runner.hand_over(message, (job_fd, log_fd))
    os.close(job_fd)
    guard.take_room()
    return guard


def _wait_for_run(launcher: socket.socket, runner: RunnerLink) -> tuple[dict[str, Any], int]:
    """The next run and its job's descriptor; leaves when the launcher lets the spare go or the runner is dead."""
    while True:
        ready, _, _ = select.select([launcher.fileno(), runner.fileno()], [], [])
        if runner.fileno() in ready and not runner.hear():
            os._exit(1)
        if launcher.fileno() in ready:
            break
    try:
        message, fds = protocol.receive(launcher)
    except (EOFError, OSError):
        os._exit(0)
    return message, fds[0]


def _answer(launcher: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a dead launcher does not change the run
        protocol.send(launcher, message)


def _ended(status: int | None) -> tuple[int | None, int | None]:
    """(exit code, signal) of a wait status."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def remove_tree(path: str) -> None:
    """Remove a directory that the run could write: links are not followed, locked directories are unlocked."""
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
        return
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
    for parent, directories, _ in os.walk(path):
        for name in directories:
            inner = os.path.join(parent, name)
            if not os.path.islink(inner):
                with contextlib.suppress(OSError):
                    os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("minisched guard: {}\n".format(text))
        sys.stderr.flush()
