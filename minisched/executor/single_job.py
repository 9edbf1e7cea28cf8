"""One job in a warm child outside the queue: automations, validation, and workflows that a person runs from a file."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from minisched.domain.log_gap import gap_line
from minisched.domain.pipeline import Document
from minisched.domain.run import ProcessIdentity
from minisched.executor import processes
from minisched.executor.launcher_client import LauncherClient, SpawnLimits
from minisched.executor.run_directory import RunDirectories
from minisched.worker import protocol

_LOOK_EVERY_S = 0.2
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What a finished job left behind: the records of protocol.py, None where one is missing."""

    exit_record: Document | None
    result: Document | None


def run_job(
    client: LauncherClient,
    directories: RunDirectories,
    *,
    job_id: str,
    started_at: datetime,
    job: Document,
    limits: SpawnLimits,
    on_log: Callable[[bytes], None] | None = None,
    stop: threading.Event | None = None,
) -> JobEnd:
    """Run the job and wait until none of its processes is left; `limits.timeout_s` bounds it.

    `on_log` gets its output as it grows; setting `stop` ends it as a stopped run ends.
    """
    guard = client.spawn(job_id, directories.create(job_id, started_at), limits, job)
    tail = _Tail(directories, job_id, on_log)
    try:
        _wait(guard, stop or threading.Event(), tail)
        tail.read()
    except BaseException:
        # Nobody waits for it any more, so nothing of it may stay.
        processes.sweep(job_id, {guard.pid})
        raise
    exit_record = directories.record(job_id, protocol.EXIT_FILE)
    if exit_record is None:
        processes.sweep(job_id, set())
    return JobEnd(exit_record, directories.record(job_id, protocol.RESULT_FILE))


def _wait(guard: ProcessIdentity, stop: threading.Event, tail: _Tail) -> None:
    pidfd = processes.open_pidfd(guard)
    if pidfd is None:
        return
    asked = False
    try:
        while not select.select([pidfd], [], [], _LOOK_EVERY_S)[0]:
            tail.read()
            if stop.is_set() and not asked:
                asked = True
                processes.send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)


class _Tail:
    """Passes on what the log has grown by."""

    def __init__(self, directories: RunDirectories, job_id: str, on_log: Callable[[bytes], None] | None) -> None:
        self._directories = directories
        self._job_id = job_id
        self._on_log = on_log
        self._offset = 0

    def read(self) -> None:
        while self._on_log is not None:
            data = self._directories.read(self._job_id, offset=self._offset, limit=_CHUNK)
            gap = 0 if data else self._directories.gap(self._job_id, offset=self._offset)
            if not data and not gap:
                return
            self._offset += gap or len(data)
            self._on_log(data or gap_line(gap))
