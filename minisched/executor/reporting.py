"""The outbox's sender: tells OpenMetadata, in order per run and until it listens, how runs ended (R7)."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from minisched import failpoints
from minisched.domain.errors import MinischedError, NotFound, OrchestratorUnavailable, StoreUnavailable
from minisched.domain.pipeline import Document
from minisched.ports import Clock, DeploymentStore, Outbox, OutboxEntry, RunStore, StatusReporter

log = structlog.get_logger(__name__)

_BATCH = 50
# How long a delivery that is under way may hold up the end of the server; it is repeated by the next one.
_LEAVE_S = 3.0
# A server that lets us wait for so long in vain is not asked again for the other messages of the same turn.
_SILENT_AFTER_S = 2.0
# Two clocks are compared, and one of them is kept in milliseconds: rather a little late than to look in vain.
_LATER_S = 0.01


class _SilentServers:
    """Those that let one message of a turn wait, so that fifty messages do not wait for each in turn."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    @contextmanager
    def noticed(self, document: Document) -> Iterator[None]:
        """Around a delivery. Raises OrchestratorUnavailable at once where an earlier one waited in vain."""
        address = str((document.get("openMetadataServerConnection") or {}).get("hostPort") or "")
        if address in self._problems:
            raise OrchestratorUnavailable(self._problems[address])
        began = time.monotonic()
        try:
            yield
        except OrchestratorUnavailable as error:
            if time.monotonic() - began > _SILENT_AFTER_S:
                self._problems[address] = str(error)
            raise


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """Seconds: the first and the longest wait after a failure, how old a message may get before it is given up, and
    how long until a message is found that nobody told of."""

    first_delay_s: float
    max_delay_s: float
    max_age_s: float
    poll_s: float = 10.0


class OutboxSender:
    """One thread that delivers what is due; `wake` saves the wait for the next poll."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        runs: RunStore,
        deployments: DeploymentStore,
        reporter: StatusReporter,
        clock: Clock,
        options: OutboxOptions,
    ) -> None:
        self._outbox = outbox
        self._runs = runs
        self._deployments = deployments
        self._reporter = reporter
        self._clock = clock
        self.options = options
        self._awake = threading.Event()
        self._leaving = False
        self._again_at = math.inf  # when the first message that was postponed here is due, in monotonic seconds
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._awake.set()

    def close(self) -> None:
        """Leave after the message at hand, unless it hangs; what is undelivered stays in the table."""
        self._leaving = True
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join(_LEAVE_S)

    def _loop(self) -> None:
        while not self._leaving:
            try:
                busy = self._deliver_due()
            except StoreUnavailable as error:
                log.warning("store.unavailable", error=str(error))
                busy = False
            except Exception:
                # A loop boundary: whatever goes wrong, later messages are tried.
                log.exception("outbox.turn_failed")
                busy = False
            if not busy:
                self._awake.wait(self._pause_s())
                self._awake.clear()

    def _pause_s(self) -> float:
        """Until the next look. What an earlier server postponed is not known here, only for how long at most."""
        until_due_s = max(0.0, self._again_at - time.monotonic())
        return min(self.options.poll_s, self.options.max_delay_s, until_due_s)

    def _deliver_due(self) -> bool:
        if time.monotonic() >= self._again_at:
            self._again_at = math.inf
        entries = self._outbox.due(self._clock.now(), limit=_BATCH)
        silent = _SilentServers()
        for entry in entries:
            if self._leaving:
                break
            self._deliver_or_postpone(entry, silent)
        return bool(entries)

    def _deliver_or_postpone(self, entry: OutboxEntry, silent: _SilentServers) -> None:
        try:
            self._deliver(entry, silent)
        except StoreUnavailable:
            raise
        except MinischedError as error:
            self._postpone(entry, str(error))
        except Exception as error:
            # A loop boundary: a message that nobody can read must not silence the others.
            log.exception("outbox.not_delivered", run_id=entry.run_id)
            self._postpone(entry, f"{type(error).__name__}: {error}")

    def _deliver(self, entry: OutboxEntry, silent: _SilentServers) -> None:
        try:
            run = self._runs.get(entry.run_id)
            deployment = self._deployments.get(run.pipeline_id)
            if deployment is not None:
                failpoints.reach("before_outbox_put")
                with silent.noticed(deployment.document):
                    self._reporter.report(run, deployment.document)
        except NotFound:
            # The run or its pipeline was deleted here or there: nobody is left who would listen.
            log.info("outbox.dropped", run_id=entry.run_id)
        failpoints.reach("before_outbox_ack")
        self._outbox.delivered(entry.id)

    def _postpone(self, entry: OutboxEntry, why: str) -> None:
        now = self._clock.now()
        dead = (now - entry.created_at).total_seconds() > self.options.max_age_s
        delay_s = min(self.options.first_delay_s * 2 ** min(entry.attempts, 20), self.options.max_delay_s)
        # Half of the delay is random, so that a returning server is not met by everybody at once.
        delay_s *= 0.5 + random.random() / 2  # noqa: S311 - jitter, not a secret
        self._again_at = min(self._again_at, time.monotonic() + delay_s + _LATER_S)
        self._outbox.postpone(entry.id, error=why, next_at=now + timedelta(seconds=delay_s), dead=dead)
        log.warning("outbox.postponed", run_id=entry.run_id, error=why, delay_s=round(delay_s, 1), dead=dead)
