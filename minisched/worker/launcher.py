"""One process per runtime: it imports the workflow modules once, and from then on only forks.

It never runs a workflow, opens no connection and never reads a job: it passes the descriptor on (D2). One loop waits
for everything: the listening socket, the servers' connections, the spares' answers, ended children.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any, Callable

from . import processes, protocol, run_groups, validator
from .listening import uid_of_peer
from .preload import Preloaded
from .spares import NotSingleThreaded, Spare, fork_child, fork_spare

SPARE_AGE_S = 30 * 60.0
_TICK_S = 1.0
_SWEEP_S = 0.1
_SPARE_RETRY_S = 5.0
_START_S = 0.01  # a run that starts has the processors to itself, while there is a spare for the next
_LEAVE_S = 2.0  # to collect the spares: an init that reaps nobody would keep them as zombies


class Handover:
    """A run on its way to a guard: who asked for it, and what was said."""

    def __init__(self, connection: socket.socket, message: dict[str, Any], job_fd: int) -> None:
        self.connection = connection
        self.run_id = str(message["run_id"])
        self.job = {"run_id": self.run_id, "run_dir": str(message["run_dir"]), "limits": message.get("limits") or {}}
        self.job_fd = job_fd
        self.tries = 0

    def close(self) -> None:
        if self.job_fd >= 0:
            os.close(self.job_fd)
            self.job_fd = -1


class Launcher:
    """The loop. `listener` is bound and listens; `spares` pairs are kept waiting."""

    def __init__(
        self,
        listener: socket.socket,
        facts: dict[str, Any],
        preloaded: Preloaded,
        groups: run_groups.NoRunGroups,
        spares: int,
        linger_s: float,
    ) -> None:
        self._listener = listener
        self._facts = facts
        self._preloaded = preloaded
        self._groups = groups
        self._memory_limits = groups.facts()
        self._wanted_spares = spares if preloaded.problem is None else 0
        self._linger_s = linger_s
        self._selector = selectors.DefaultSelector()
        self._connections: set[socket.socket] = set()
        self._spares: list[Spare] = []
        self._handovers: dict[int, tuple[Spare, Handover]] = {}
        self._runs: dict[int, str] = {}  # pid of the guard: run id
        self._known: set[int] = set()  # every guard and validator that was forked and not yet reaped
        self._validators: set[int] = set()
        self._retiring = False
        self._alone_since: float | None = time.monotonic()
        self._sweep_again = False
        self._tidy_again = False
        self._spare_at = 0.0  # a monotonic time: no spare is forked before it

    # --- loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until retired or alone for too long, and no run is active."""
        wakeup, self._wakeup_writer = socket.socketpair()
        for end in (wakeup, self._wakeup_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: None)  # only the wake-up descriptor matters
        self._watch(wakeup, lambda: self._woken(wakeup))
        self._watch(self._listener, self._accept)
        while not self._may_leave():
            self._drop_old_spares()
            events = self._selector.select(self._pause_s())
            for key, _ in events:
                key.data()
            self._reap()
            if not events and self._may_add_spare():
                self._add_spare()
        self._leave()

    def _watch(self, source: socket.socket, handler: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, handler)

    def _pause_s(self) -> float:
        pause_s = _SWEEP_S if self._sweep_again else _TICK_S
        return min(pause_s, max(0.0, self._spare_at - time.monotonic())) if self._lacks_spares() else pause_s

    def _woken(self, wakeup: socket.socket) -> None:
        signals = b""
        with contextlib.suppress(BlockingIOError):
            signals = wakeup.recv(4096)
        if any(signum in (signal.SIGTERM, signal.SIGINT) for signum in signals):
            self._retire()

    def _may_leave(self) -> bool:
        if self._runs or self._handovers or self._sweep_again:
            return False
        if self._retiring:
            return True
        return self._alone_since is not None and time.monotonic() - self._alone_since > self._linger_s

    def _leave(self) -> None:
        self._drop_spares()
        for pid in self._validators:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._listener.close()
        for connection in list(self._connections):
            self._disconnect(connection)
        deadline = time.monotonic() + _LEAVE_S
        while (self._known or self._tidy_again) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.01)

    # --- connections ------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            say("cannot accept a connection: {}".format(error))
            return
        if uid_of_peer(connection) != os.geteuid():
            connection.close()
            return
        connection.setblocking(False)
        self._connections.add(connection)
        self._alone_since = None
        self._watch(connection, lambda: self._hear(connection))

    def _hear(self, connection: socket.socket) -> None:
        """One message. Whatever is wrong with it closes this connection and nothing else."""
        fds: list[int] = []
        try:
            message, fds = protocol.receive(connection)
            self._obey(connection, message, fds)
        except BlockingIOError:
            pass
        except (EOFError, OSError):
            self._disconnect(connection)
        except Exception as error:
            say("a connection is closed for its message: {!r}".format(error))
            self._disconnect(connection)
        finally:
            for fd in fds:
                os.close(fd)

    def _obey(self, connection: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        op = message.get("op")
        if op == "hello":
            self._say_hello(connection)
        elif op == "ping":
            self._answer(connection, dict(self._load(), op="pong", state=self._state()))
        elif op == "spawn":
            self._spawn(connection, message, fds)
        elif op == "validator":
            self._add_validator(connection, fds)
        elif op == "retire":
            self._retire()
            self._answer(connection, {"op": "retiring", "runs": self._run_ids()})
        else:
            raise protocol.ProtocolError("unknown op {!r}".format(op))

    def _say_hello(self, connection: socket.socket) -> None:
        hello = dict(self._facts, op="hello", protocol=protocol.PROTOCOL, state=self._state())
        hello.update(protocol.identity(os.getpid()))
        hello.update(self._load())
        self._answer(connection, hello)

    def _load(self) -> dict[str, Any]:
        return {"spares": len(self._spares), "runs": self._run_ids(), "memory_limits": self._memory_limits}

    def _run_ids(self) -> list[str]:
        return list(self._runs.values()) + [handover.run_id for _, handover in self._handovers.values()]

    def _state(self) -> str:
        if self._preloaded.problem is not None:
            return "failed"
        return "retiring" if self._retiring else "ready"

    def _answer(self, connection: socket.socket, message: dict[str, Any]) -> None:
        if connection not in self._connections:
            return
        try:
            protocol.send(connection, message)
        except OSError:
            self._disconnect(connection)  # gone, or it does not read

    def _disconnect(self, connection: socket.socket) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._selector.unregister(connection)
            connection.close()
        if not self._connections:
            self._alone_since = time.monotonic()

    # --- runs -------------------------------------------------------------------------------------------------------

    def _spawn(self, connection: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        run_id = message.get("run_id")
        if not run_id or not os.path.isabs(str(message.get("run_dir") or "")) or len(fds) != 1:
            self._refuse(connection, run_id, protocol.REFUSED_BAD_REQUEST, "run_id, run_dir and one descriptor needed")
        elif self._retiring:
            self._refuse(connection, run_id, protocol.REFUSED_RETIRING, "this launcher is about to leave")
        elif self._preloaded.problem is not None:
            self._refuse(connection, run_id, protocol.REFUSED_FAILED, self._preloaded.problem)
        else:
            self._hand_over(Handover(connection, message, fds.pop()))

    def _hand_over(self, handover: Handover) -> None:
        """Give the run to a spare, forking one if none waits; the guard answers later."""
        while handover.tries < 3:
            handover.tries += 1
            try:
                spare = self._spares.pop(0) if self._spares else self._fork()
            except (OSError, NotSingleThreaded) as error:
                say("run {}: no process for it: {}".format(handover.run_id, error))
                continue
            try:
                spare.hand_over(handover.job, handover.job_fd)
            except OSError as error:
                say("run {}: its spare has died: {}".format(handover.run_id, error))
                spare.close()
                continue
            self._expect_answer(spare, handover)
            return
        handover.close()
        self._refuse(handover.connection, handover.run_id, protocol.REFUSED_NO_PROCESS, "no process could be forked")

    def _expect_answer(self, spare: Spare, handover: Handover) -> None:
        self._handovers[spare.pid] = (spare, handover)
        self._watch(spare.connection, lambda: self._handed_over(spare))

    def _handed_over(self, spare: Spare) -> None:
        """The guard's answer to a hand-over; its silence means that it died, so another spare gets the run."""
        _, handover = self._handovers.pop(spare.pid)
        self._selector.unregister(spare.connection)
        try:
            answer, _ = protocol.receive(spare.connection)
        except (EOFError, OSError, protocol.ProtocolError):
            answer = {}
        spare.close()
        if answer.get("op") == "spawned":
            self._runs[spare.pid] = handover.run_id
            self._note_group_problem(answer.get("group_problem"))
            if self._spares:
                self._spare_at = time.monotonic() + _START_S
            handover.close()
            self._answer(handover.connection, {"op": "spawned", "run_id": handover.run_id, "process": spare.process})
        elif answer:
            handover.close()
            self._refuse(handover.connection, handover.run_id, answer["reason"], answer["message"])
        else:
            self._hand_over(handover)

    def _note_group_problem(self, problem: str | None) -> None:
        if problem and self._memory_limits.get("by") != run_groups.BY_WATCHING:
            self._memory_limits = {"by": run_groups.BY_WATCHING, "because": problem}
            say("memory limits are held by watching where the kernel does not: {}".format(problem))

    def _add_validator(self, connection: socket.socket, fds: list[int]) -> None:
        if len(fds) != 1:
            self._refuse(connection, None, protocol.REFUSED_BAD_REQUEST, "one socket needed")
        elif self._retiring:
            self._refuse(connection, None, protocol.REFUSED_RETIRING, "this launcher is about to leave")
        elif self._preloaded.problem is not None:
            self._refuse(connection, None, protocol.REFUSED_FAILED, self._preloaded.problem)
        else:
            self._fork_validator(connection, fds[0])

    def _fork_validator(self, connection: socket.socket, fd: int) -> None:
        launcher = os.getpid()
        try:
            pid = fork_child(lambda: validator.serve(fd, launcher))
        except (OSError, NotSingleThreaded) as error:
            self._refuse(connection, None, protocol.REFUSED_NO_PROCESS, "no process could be forked: {}".format(error))
            return
        self._known.add(pid)
        self._validators.add(pid)
        self._answer(connection, {"op": "validator", "pid": pid})

    def _refuse(self, connection: socket.socket, run_id: Any, reason: str, message: str) -> None:
        self._answer(connection, {"op": "refused", "run_id": run_id, "reason": reason, "message": message[:2000]})

    def _retire(self) -> None:
        self._retiring = True
        self._drop_spares()

    # --- spares -----------------------------------------------------------------------------------------------------

    def _lacks_spares(self) -> bool:
        # A start that is under way is not made to wait for a fork.
        return not (self._retiring or self._handovers) and len(self._spares) < self._wanted_spares

    def _may_add_spare(self) -> bool:
        return self._lacks_spares() and time.monotonic() >= self._spare_at

    def _fork(self) -> Spare:
        spare = fork_spare(self._groups)
        self._known.add(spare.pid)
        return spare

    def _add_spare(self) -> None:
        try:
            self._spares.append(self._fork())
        except (OSError, NotSingleThreaded) as error:
            self._spare_at = time.monotonic() + _SPARE_RETRY_S
            say("no spare: {}".format(error))

    def _drop_old_spares(self) -> None:
        oldest = time.monotonic() - SPARE_AGE_S
        for spare in [spare for spare in self._spares if spare.forked_at < oldest]:
            self._spares.remove(spare)
            spare.close()

    def _drop_spares(self) -> None:
        for spare in self._spares:
            spare.close()
        self._spares.clear()

    # --- children ---------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Collect ended children. Who is no guard of ours lost its guard, so it and all below it is killed."""
        sweep = tidy = self._sweep_again
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            sweep = self._ended(pid, status) or sweep
            tidy = True
        if sweep:
            self._sweep()
        if tidy or self._tidy_again:
            self._tidy_again = not self._groups.tidy()

    def _ended(self, pid: int, status: int) -> bool:
        """Forget an ended child; True when it may have left others behind."""
        self._runs.pop(pid, None)
        for spare in [spare for spare in self._spares if spare.pid == pid]:
            self._spares.remove(spare)
            spare.close()
        known = pid in self._known
        self._known.discard(pid)
        self._validators.discard(pid)
        return not known or os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 0

    def _sweep(self) -> None:
        strangers = processes.descendants(os.getpid(), without=self._known)
        for pid in strangers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._sweep_again = bool(strangers)


def say(text: str) -> None:
    """One line to the launcher's log, which is its standard error."""
    with contextlib.suppress(OSError, ValueError):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stderr.write("{} launcher {}\n".format(stamp, text))
        sys.stderr.flush()
