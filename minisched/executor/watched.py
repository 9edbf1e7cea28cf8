"""Runs that a guard has taken: their processes while they live, and what is left of them when they are gone."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field

from minisched.domain.outcome import classify
from minisched.domain.run import Outcome, ProcessIdentity, Run, Spawned
from minisched.executor import processes
from minisched.executor.run_directory import RunDirectories
from minisched.worker import protocol

# After the grace, a guard gets this long to prove that its tree is gone; then the server does it itself.
_GUARD_PATIENCE_S = 15.0
_MARK_AFTER_S = 0.25


@dataclass(slots=True)
class Watched:
    """A run whose guard lives, or has ended and is not written down yet.

    `pidfd` becomes readable when the guard ends. From `give_up_at` (monotonic) on its end is looked into. `unmarked` is
    what its row does not say yet.
    """

    run: Run
    guard: ProcessIdentity | None
    pidfd: int | None
    unmarked: Spawned | None = None
    stop_sent: bool = False
    give_up_at: float | None = None
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, run: Run, guard: ProcessIdentity | None) -> Watched:
        watched = cls(run, guard, processes.open_pidfd(guard) if guard else None)
        if watched.pidfd is None:
            watched.has_ended()
        return watched

    def has_ended(self) -> None:
        """Its guard is gone."""
        self.give_up_at = 0.0

    def is_due(self) -> bool:
        return self.give_up_at is not None and time.monotonic() >= self.give_up_at

    def to_be_marked(self) -> Spawned | None:
        """What its row is to say now."""
        return self.unmarked if time.monotonic() - self.since >= _MARK_AFTER_S else None

    def be_patient(self) -> None:
        """Look into it again later."""
        self.give_up_at = time.monotonic() + _GUARD_PATIENCE_S

    def stop(self, run: Run, *, grace_s: float) -> None:
        """Tell the guard, once; one that does not manage is helped after its patience."""
        if self.stop_sent:
            return
        self.run, self.stop_sent = run, True
        if self.pidfd is not None:
            processes.send_signal(self.pidfd, signal.SIGTERM)
            processes.send_signal(self.pidfd, signal.SIGCONT)
        if self.give_up_at is None:
            self.give_up_at = time.monotonic() + grace_s + _GUARD_PATIENCE_S

    def close(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


def processes_left(watched: Watched, directories: RunDirectories) -> set[int]:
    """What is left of its processes, after an attempt to end them; a guard that proved it is believed."""
    exit_record = directories.record(watched.run.id, protocol.EXIT_FILE)
    if exit_record is not None and not exit_record.get("pids_left"):
        return set()
    roots = {watched.guard.pid} if watched.guard and processes.is_alive(watched.guard) else set()
    _, left = processes.sweep(watched.run.id, roots)
    return left


def outcome_of(run: Run, directories: RunDirectories) -> Outcome:
    """What the records of a run say whose processes are gone."""
    exit_record = directories.record(run.id, protocol.EXIT_FILE)
    return classify(
        exit_record=exit_record,
        result=directories.record(run.id, protocol.RESULT_FILE),
        stop=run.stop,
        last_counters=live_counters(run.id, directories),
        disk_problem=None if exit_record else directories.problem(run.id),
    )


def live_counters(run_id: str, directories: RunDirectories) -> list[dict[str, object]]:
    """What the run has last told of its steps."""
    record = directories.record(run_id, protocol.PROGRESS_FILE) or {}
    return list(record.get("steps") or [])
