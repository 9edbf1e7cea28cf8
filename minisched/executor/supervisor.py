"""The one thread that owns execution: claims queued runs, hands them to launchers, watches their guards, ends them."""

from __future__ import annotations

import errno
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

import structlog

from minisched import failpoints
from minisched.domain.errors import (
    IllegalTransition,
    InvalidInput,
    MinischedError,
    NotFound,
    OrchestratorUnavailable,
    RunNotFound,
    StoreUnavailable,
)
from minisched.domain.outcome import outcome, stopped_in_queue
from minisched.domain.pipeline import Document
from minisched.domain.queueing import Admission
from minisched.domain.retry import next_attempt
from minisched.domain.run import Outcome, ProcessIdentity, Run, RunReason, RunState, Spawned, StopRequest
from minisched.executor import processes
from minisched.executor.handovers import ATTEMPTS, Handovers
from minisched.executor.launcher_client import (
    AlreadyStarted,
    DiskFull,
    LauncherClient,
    LauncherRetiring,
    NoProcess,
)
from minisched.executor.launcher_set import LauncherSet
from minisched.executor.launchers import Launcher
from minisched.executor.run_directory import RunDirectories
from minisched.executor.supervisor_options import SupervisorOptions
from minisched.executor.watched import Watched, live_counters, outcome_of, processes_left
from minisched.ports import Clock, RunQuery, RunStore, RuntimeStatus
from minisched.worker import protocol

log = structlog.get_logger(__name__)

_STORE_PATIENCE_S = 1.0
_LAUNCHER_LOOK_S = 1.0
# The longest time until something is noticed that nobody told us.
_LOOK_AGAIN_S = 5.0


class Supervisor:
    """Implements `ports.Executor` and `ports.RuntimeHealth`.

    `job_of(run)` is the job of protocol.py, or raises a MinischedError that becomes the end of the run.
    """

    def __init__(
        self,
        *,
        runs: RunStore,
        directories: RunDirectories,
        launcher_of: Callable[[str], Launcher],
        default_runtime: str,
        job_of: Callable[[Run], Document],
        options: SupervisorOptions,
        clock: Clock,
        on_finished: Callable[[Run], None],
    ) -> None:
        self._runs = runs
        self._directories = directories
        self._launchers = LauncherSet(launcher_of, default_runtime)
        self._job_of = job_of
        self.options = options
        self._clock = clock
        self._on_finished = on_finished
        self._watched: dict[str, Watched] = {}
        self._unspawned = Handovers()
        self._selector = selectors.DefaultSelector()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        self._ended = threading.Condition()
        self._draining = False
        self._leaving = False
        self._stop_asked = False
        self._look_again_at = 0.0
        self._poll_at = 0.0
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self.healthy = False

    # --- what other threads call ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Account for every run that an earlier server left behind, warm the default runtime, then begin to claim."""
        self._look_at_running()
        self._launchers.ensure()
        self.healthy = True
        self._thread.start()

    def wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    def heed_stops(self) -> None:
        self._stop_asked = True
        os.eventfd_write(self._wake_fd, 1)

    def admission(self) -> Admission:
        options = self.options
        return Admission(options.slots, options.services, tuple(self._launchers.able()), self._draining)

    def drain(self) -> None:
        """Claim no further runs."""
        self._draining = True

    def running(self) -> int:
        """Runs that have a process, or had one that is not written down yet."""
        return len(self._watched) + len(self._unspawned)

    def close(self) -> None:
        """Leave; runs that are still going belong to their guards and are adopted by the next server."""
        self._draining = self._leaving = True
        os.eventfd_write(self._wake_fd, 1)
        if self._thread.ident is not None:
            self._thread.join()
        self._launchers.close()
        for watched in self._watched.values():
            watched.close()
        self._selector.close()
        os.close(self._wake_fd)

    def await_end(self, run_ids: Iterable[str], *, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        waiting = set(run_ids)
        with self._ended:
            while waiting := {run_id for run_id in waiting if not self._is_terminal(run_id)}:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    return False
                # Bounded, because a run may also be ended by another writer, who cannot notify us.
                self._ended.wait(timeout=min(rest, 1.0))
        return True

    def live_counters(self, run_id: str) -> list[Document]:
        return live_counters(run_id, self._directories)

    def connect(self, runtime: str) -> LauncherClient:
        """A connection of the caller's own to the runtime's launcher. Raises OrchestratorUnavailable."""
        return self._launchers.connect(runtime)

    def launcher(self, runtime: str) -> ProcessIdentity | None:
        """The process of the runtime's launcher, while there is one."""
        return self._launchers.process(runtime)

    def warm(self, runtime: str) -> None:
        """Have the runtime's launcher started, if it is not there yet."""
        self._launchers.ensure(runtime)

    def statuses(self) -> list[RuntimeStatus]:
        return self._launchers.statuses()

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._leaving:
            try:
                self._turn()
            except StoreUnavailable as error:
                log.warning("store.unavailable", error=str(error))
                self._recover()
            except Exception:
                # A loop boundary: one bad turn must not end execution for good.
                log.exception("supervisor.turn_failed")
                self._recover()
        self.healthy = False

    def _recover(self) -> None:
        """The next turn looks again at what this one may have missed."""
        self._look_again_at = 0.0
        self._selector.select(_STORE_PATIENCE_S)

    def _turn(self) -> None:
        events = self._selector.select(min(self.options.poll_s, _LAUNCHER_LOOK_S))
        for key, _ in events:
            if key.fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
            else:
                self._selector.unregister(key.fd)
                self._watched[key.data].has_ended()
        self._launchers.check()
        self._settle_all()
        self._look_at_running()
        self._spawn_claimed()
        if not self._draining and (events or time.monotonic() >= self._poll_at):
            self._poll_at = time.monotonic() + self.options.poll_s
            self._claim_all()
            self._launchers.ensure()
            if not events:
                self._ensure_launchers_of_queue()
        self._mark_spawned()

    def _spawn_claimed(self) -> None:
        for run in self._unspawned.due():
            if self._launchers.is_able(run.runtime):
                self._spawn(run)

    def _claim_all(self) -> None:
        while self.running() < self.options.slots:
            able = self._launchers.able()
            options = self.options
            claimed = self._runs.claim(slots=options.slots, runtimes=able, services=options.services) if able else None
            if claimed is None:
                break
            self._spawn(claimed)

    def _ensure_launchers_of_queue(self) -> None:
        """Start the launchers, other than the default runtime's, that queued runs wait for."""
        for run in self._runs.search(RunQuery(states=(RunState.QUEUED,), limit=20)):
            self._launchers.ensure(run.runtime)

    def _spawn(self, run: Run) -> None:
        if not self._unspawned.begin(run):
            self._give_up(run)
            return
        failpoints.reach("before_spawn")
        try:
            self._hand_over(run)
        except StoreUnavailable:
            self._unspawned.take_back(run)
            raise

    def _hand_over(self, run: Run) -> None:
        name, launcher = self._launchers.name_of(run.runtime), self._launchers.of(run.runtime)
        if launcher.client is None:
            text = f"The runtime {name} cannot run anything: {launcher.problem}"
            self._finish(run, outcome(RunState.FAILED, RunReason.IMPORT_FAILED, text))
            return
        try:
            directory = self._directories.create(run.id, run.enqueued_at)
            guard = launcher.client.spawn(run.id, directory, self.options.limits_of(run), self._job_of(run))
        except AlreadyStarted:
            self._adopt(run)
        except StoreUnavailable:
            raise
        except LauncherRetiring as error:
            launcher.leave(str(error))
        except NoProcess as error:
            log.warning("run.not_spawned", run_id=run.id, error=str(error))
        except OrchestratorUnavailable as error:
            launcher.lost(str(error))
            self._adopt(run)
        except (MinischedError, OSError) as error:
            self._finish(run, outcome(RunState.FAILED, _reason(error), f"The run could not be started: {error}"))
        else:
            self._watch(run, guard, Spawned(guard, name))
            failpoints.reach("after_spawn")
            log.info("run.spawned", run_id=run.id, pipeline=run.pipeline_fqn, pid=guard.pid)

    def _give_up(self, run: Run) -> None:
        """No launcher could start it."""
        if self._seal(run):
            text = f"The launcher failed {ATTEMPTS} times to start the run."
            self._finish(run, outcome(RunState.FAILED, RunReason.SPAWN_FAILED, text))
        else:
            record = self._directories.record(run.id, protocol.STARTED_FILE)
            self._watch(run, processes.identity_from(record["process"]) if record else None)

    # --- adoption ---------------------------------------------------------------------------------------------------

    def _adopt(self, run: Run) -> None:
        """Find out what became of a run that is `running` in the table: alive, ended, or never started (D4)."""
        record = self._directories.record(run.id, protocol.STARTED_FILE)
        guard = run.process or (processes.identity_from(record["process"]) if record else None)
        if guard is None:
            self._unspawned.add(run)
        else:
            self._watch(run, guard)
            log.info("run.adopted", run_id=run.id, pipeline=run.pipeline_fqn, guard=guard.pid)

    def _seal(self, run: Run) -> bool:
        """Make sure that a guard which is still on its way finds the run taken. False when it was quicker."""
        directory = self._directories.create(run.id, run.enqueued_at)
        try:
            os.close(os.open(directory / protocol.STARTED_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True

    def _watch(self, run: Run, guard: ProcessIdentity | None, spawned: Spawned | None = None) -> None:
        self._unspawned.drop(run.id)
        watched = self._watched[run.id] = Watched.of(run, guard)
        watched.unmarked = spawned
        if watched.pidfd is None:
            os.eventfd_write(self._wake_fd, 1)
        else:
            self._selector.register(watched.pidfd, selectors.EVENT_READ, run.id)

    # --- the end of a run -------------------------------------------------------------------------------------------

    def _look_at_running(self) -> None:
        """Compare the table with what is watched here: wishes to stop, and runs that a claim made ours although its
        answer was lost. An event only saves the time until the next look."""
        now = time.monotonic()
        if now < self._look_again_at and not (self._stop_asked and self.running()):
            return
        self._stop_asked = False
        for run in self._runs.search(RunQuery(states=(RunState.RUNNING,), limit=10_000)):
            if run.id not in self._watched and run.id not in self._unspawned:
                self._adopt(run)
            if run.stop is not None:
                self._pass_on(run, run.stop)
        self._look_again_at = now + _LOOK_AGAIN_S

    def _pass_on(self, run: Run, stop: StopRequest) -> None:
        if (watched := self._watched.get(run.id)) is not None:
            watched.stop(run, grace_s=self.options.grace_s)
        elif run.id in self._unspawned and self._seal(run):
            self._finish(run, stopped_in_queue(stop))

    def _settle_all(self) -> None:
        for watched in [watched for watched in self._watched.values() if watched.is_due()]:
            try:
                self._settle(watched)
            except StoreUnavailable:
                raise
            except Exception:
                # A loop boundary: a run whose end nobody understands must not keep the others from theirs.
                log.exception("run.not_settled", run_id=watched.run.id)
                watched.be_patient()

    def _settle(self, watched: Watched) -> None:
        """Write the end of a run whose guard has ended, or whose guard's time is over."""
        if left := processes_left(watched, self._directories):
            log.error("run.processes_left", run_id=watched.run.id, pids=sorted(left))
            watched.be_patient()
            return
        try:
            run = self._runs.get(watched.run.id)
        except RunNotFound:
            self._forget(watched)
            return
        decided = outcome_of(run, self._directories)
        failpoints.reach("after_exit_before_finish")
        self._finish(run, decided, watched.unmarked)
        self._forget(watched)

    def _forget(self, watched: Watched) -> None:
        self._watched.pop(watched.run.id, None)
        if watched.pidfd is not None and watched.pidfd in self._selector.get_map():
            self._selector.unregister(watched.pidfd)
        watched.close()

    def _mark_spawned(self) -> None:
        """Note the processes of runs that have started, when that does not keep others from starting; most runs take
        long, and one that is over sooner is noted with its end."""
        for watched in list(self._watched.values()):
            if (spawned := watched.to_be_marked()) is not None:
                try:
                    self._runs.mark_spawned(watched.run.id, spawned)
                except (IllegalTransition, RunNotFound) as error:
                    log.warning("run.not_marked", run_id=watched.run.id, error=str(error))
                watched.unmarked = None

    def _finish(self, run: Run, decided: Outcome, spawned: Spawned | None = None) -> None:
        ended_at = self._clock.now()
        again = next_attempt(run, decided, run_id=str(uuid4()), ended_at=ended_at, backoff=self.options.backoff)
        try:
            finished = self._runs.finish(run.id, decided, ended_at=ended_at, spawned=spawned, next_attempt=again)
        except (IllegalTransition, RunNotFound):
            self._unspawned.drop(run.id)
            log.warning("run.finished_already", run_id=run.id)
            return
        self._unspawned.drop(run.id)
        failpoints.reach("after_finish")
        log.info(
            "run.finished",
            run_id=run.id,
            pipeline=run.pipeline_fqn,
            state=decided.state.value,
            reason=decided.reason.value,
            message=decided.message,
            next_attempt=again.id if again else None,
        )
        with self._ended:
            self._ended.notify_all()
        self._on_finished(finished)

    def _is_terminal(self, run_id: str) -> bool:
        try:
            return self._runs.get(run_id).is_terminal
        except RunNotFound:
            return True


def _reason(error: Exception) -> RunReason:
    """Why a run could not be started."""
    if _is_full(error):
        return RunReason.DISK_FULL
    return RunReason.INVALID_CONFIG if isinstance(error, InvalidInput | NotFound) else RunReason.SPAWN_FAILED


def _is_full(error: Exception) -> bool:
    return isinstance(error, DiskFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
