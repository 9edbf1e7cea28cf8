"""What becomes of running runs when the server is told to stop: they are left, waited for, or stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from minisched.domain.outcome import stopped_in_queue
from minisched.domain.run import RunState, StopRequest
from minisched.executor.supervisor import Supervisor
from minisched.ports import Clock, RunQuery, RunStore
from minisched.settings.execution import ExecutorSettings

log = structlog.get_logger(__name__)

# After the grace and the KILL, whoever waits for a stop waits this much longer for the proof that nothing is left.
PROOF_S = 20.0


def drain(supervisor: Supervisor, runs: RunStore, clock: Clock, settings: ExecutorSettings) -> None:
    """Begin no further runs, and return when `settings.drain` is satisfied or its time is over.

    Raises StoreUnavailable.
    """
    supervisor.drain()
    wait_s = {"leave": 0.0, "wait": settings.drain_wait_s, "stop": settings.stop_grace_s + PROOF_S}[settings.drain]
    deadline = time.monotonic() + wait_s
    while (left_s := deadline - time.monotonic()) > 0 and (running := _running(runs)):
        log.info("server.draining", runs=len(running), at_most_s=round(left_s, 1))
        if settings.drain == "stop":
            stop = StopRequest(at=clock.now(), by="minisched", why="the server was stopped with executor.drain: stop")
            runs.request_stop(running, stop, stopped_in_queue(stop))
            supervisor.heed_stops()
        # One that was being claimed when draining began is found by the next look.
        supervisor.await_end(running, timeout_s=left_s)


def _running(runs: RunStore) -> Sequence[str]:
    return [run.id for run in runs.search(RunQuery(states=(RunState.RUNNING,), limit=10_000))]
