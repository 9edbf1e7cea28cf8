"""The child that executes one run: used once, one workflow, leaves by os._exit (D2)."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import logging
import os
import socket
from typing import Any

from . import causes, kernel, memory, protocol, rehearsal, run_log, runner_link, scrubbing, surroundings, tasks
from .errors import CannotRun
from .progress import Progress
from .redaction import Redactor
from .result import Result
from .stopping import Stopped, StopSwitch

_log = logging.getLogger("minisched")


def serve(guard: socket.socket, guard_pid: int) -> None:
    """A spare runner: wait for the job, run it, leave. EOF from the guard means that there will be none."""
    surroundings.become_spare(guard_pid, guard.fileno())
    command = kernel.ShownCommand()
    rehearsal.rehearse()
    surroundings.reseed()
    redactor = Redactor()
    redactor.learn({"environment": surroundings.inherited_variables()})
    _show_memory_to(guard)
    try:
        message, (job_fd, log_fd) = protocol.receive(guard)
    except EOFError:
        os._exit(0)
    command.change(protocol.RUN_TITLE + str(message["run_id"]))
    switch = StopSwitch(guard)
    switch.install()
    surroundings.direct_output(log_fd)
    _let_forks_show_their_memory(guard)
    os._exit(Run(message, switch, guard, redactor).run(job_fd))


def _show_memory_to(guard: socket.socket) -> None:
    """The guard enforces the memory limit, and may not look into this process on its own."""
    with contextlib.suppress(OSError):
        fd = memory.open_own_rollup()
        try:
            guard.setblocking(False)
            protocol.send(guard, {"op": runner_link.MEMORY, "pid": os.getpid()}, (fd,))
        finally:
            os.close(fd)
            guard.setblocking(True)


def _let_forks_show_their_memory(guard: socket.socket) -> None:
    """A workflow that closes what is not its own may get the descriptor's number again for something else."""
    ours = os.fstat(guard.fileno()).st_ino

    def show() -> None:
        with contextlib.suppress(OSError):
            if os.fstat(guard.fileno()).st_ino == ours:
                _show_memory_to(guard)

    os.register_at_fork(after_in_child=show)


class Run:
    """One run in its own process."""

    def __init__(self, message: dict[str, Any], switch: StopSwitch, guard: socket.socket, redactor: Redactor) -> None:
        self._guard = guard
        self._run_id = str(message["run_id"])
        self._run_dir = str(message["run_dir"])
        self._limits = message.get("limits") or {}
        self._switch = switch
        self._redactor = redactor
        self._result = Result(self._run_id)
        self._failures = run_log.FailureMemory()

    def run(self, job_fd: int) -> int:
        """Execute the job; returns the exit code. A result file is written whatever happens."""
        try:
            try:
                self._failures = run_log.take_over_output(self._redactor)
                self._execute(job_fd)
            finally:
                self._switch.end()
        except Stopped:
            self._stopped()
        except BaseException as error:
            self._failed(error)
        return self._leave()

    def _execute(self, job_fd: int) -> None:
        job = read_job(job_fd)
        self._redactor.learn(job)
        surroundings.set_limits(self._limits)
        surroundings.set_environment(job.get("environment") or {})
        own_dir = surroundings.enter(self._run_id, self._run_dir)
        faulthandler.enable(file=2)
        progress = Progress(self._run_id, self._run_dir, self._redactor)
        try:
            tasks.perform(tasks.Context(job, own_dir, self._result, self._switch, progress, self._redactor))
        finally:
            progress.end()

    def _stopped(self) -> None:
        self._result.verdict = self._switch.verdict
        cause = (self._switch.cause or "stop").replace("_", " ")
        if self._result.verdict == "failed":
            self._result.fail("Stopped", "ended by SIGTERM: {}".format(cause))
        run_log.say("the run ends: %s", cause)

    def _failed(self, error: BaseException) -> None:
        if self._switch.cause is not None:
            self._stopped()  # the workflow turned our interruption into an error of its own
            return
        description = causes.describe(error, self._failures)
        failure = self._result.fail(**description)
        text = "%s: %s" + (" (%s)" if failure["hint"] else "")
        values = [failure["type"], failure["message"], failure["hint"]]
        _log.error(
            text, *[value for value in values if value], exc_info=None if isinstance(error, CannotRun) else error
        )

    def _leave(self) -> int:
        gc.disable()
        code = self._result.exit_code
        try:
            self._result.write(self._run_dir, self._redactor)
        except OSError as error:
            _log.error("cannot write the result: %s", error)
            if not self._tell_guard():
                code = protocol.EXIT_NO_RESULT
        logging.shutdown()
        run_log.flush()
        with contextlib.suppress(OSError):
            log = os.path.join(self._run_dir, protocol.LOG_FILE)
            scrubbing.scrub(log, run_log.written(), self._redactor.forms())
        return code

    def _tell_guard(self) -> bool:
        """The verdict for the guard's record, which has room on the disk; without what may be long."""
        try:
            self._guard.setblocking(True)
            protocol.send(self._guard, {"op": runner_link.RESULT, "result": self._result.as_brief(self._redactor)})
        except (OSError, protocol.ProtocolError):
            return False
        return True


def read_job(fd: int) -> dict[str, Any]:
    """The JSON object in the descriptor, from its beginning, whatever its offset is. Closes it. Raises ValueError."""
    try:
        data = os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
    job = json.loads(data)
    if not isinstance(job, dict):
        raise ValueError("a job is a JSON object")
    return job
