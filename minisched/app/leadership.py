"""One server per database: taking the lease, keeping it from a thread, and leaving at once when it is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import uuid4

import psutil
import structlog

from minisched.domain.errors import ConfigurationError, StoreUnavailable
from minisched.domain.lease import RENEWALS_PER_LEASE, Holder, LeaseWatch, Sighting
from minisched.executor import processes
from minisched.ports import Clock
from minisched.store.lease import SqlLease
from minisched.worker import protocol

log = structlog.get_logger(__name__)

_LONGEST_LOOK_S = 2.0
_LOOKS_PER_LEASE = 8
# After an attempt that the database did not answer, the lease may have little time left.
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease as this server has it. `predecessor` is the server that did not give it back."""

    token: int
    predecessor: Holder | None


class Candidate:
    """A server that wants the lease. With `standby` it waits for as long as it takes, else it is refused while the
    holder lives."""

    def __init__(
        self, lease: SqlLease, *, lease_s: float, standby: bool, clock: Clock, stop_asked: threading.Event
    ) -> None:
        self._lease = lease
        self._lease_s = lease_s
        self._standby = standby
        self._clock = clock
        self._stop_asked = stop_asked
        self._watch = LeaseWatch(lease_s)
        self._told_of: str | None = None

    def acquire(self) -> Taken | None:
        """The lease; None when it was told to stop while it waited. Raises ConfigurationError that names the holder."""
        look_every_s = min(_LONGEST_LOOK_S, self._lease_s / _LOOKS_PER_LEASE)
        while not self._stop_asked.is_set():
            try:
                if (taken := self._attempt()) is not None:
                    return taken
            except StoreUnavailable as error:
                if not self._standby:
                    raise
                log.warning("store.unavailable", error=str(error))
            self._stop_asked.wait(look_every_s)
        return None

    def _attempt(self) -> Taken | None:
        seen = self._lease.look()
        if self._watch.is_free(seen, at_s=time.monotonic(), holder_is_gone=is_gone(seen.holder)):
            token = self._take(seen)
            return None if token is None else Taken(token, seen.holder)
        self._wait_or_refuse(seen)
        return None

    def _take(self, seen: Sighting) -> int | None:
        try:
            return self._lease.take(seen, this_process(self._clock))
        except StoreUnavailable:
            if seen.holder is None or not self._hangs_in_a_write(seen.holder):
                raise
            end_at_once(seen.holder)
            return None

    def _hangs_in_a_write(self, holder: Holder) -> bool:
        """A server that was frozen in the middle of a write keeps SQLite's only lock for as long as it lives. Servers
        of databases see to that by themselves."""
        return is_here(holder) and self._lease.kept_by_writer() == holder.process.pid

    def _wait_or_refuse(self, seen: Sighting) -> None:
        holder = seen.holder
        if holder is None:
            return
        # A holder elsewhere cannot be looked at: that it renews proves that it lives.
        if not self._standby and (is_here(holder) or self._watch.renewal_seen):
            raise ConfigurationError(
                f"another minisched serves this database: {holder}",
                field="database.url",
                hint="Stop it, use another database, or start this one with --standby to take over from it.",
            )
        if self._told_of != holder.id:
            self._told_of = holder.id
            log.info("lease.awaited", holder=str(holder), standby=self._standby)


class LeaseKeeper:
    """Renews the lease from a thread while the block runs, then gives it back.

    `on_lost` is called once, from that thread, when another server has taken it.
    """

    def __init__(self, lease: SqlLease, token: int, *, lease_s: float, on_lost: Callable[[], None]) -> None:
        self._lease = lease
        self._token = token
        self._renew_s = lease_s / RENEWALS_PER_LEASE
        self._on_lost = on_lost
        self._leaving = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        self._awake.set()
        self._thread.join()
        try:
            self._lease.release(self._token)
        except StoreUnavailable as unavailable:
            log.warning("lease.not_released", error=str(unavailable))

    def doubt(self) -> None:
        """The fence has kept a transaction out: look now whether the lease is lost."""
        self._awake.set()

    def _keep(self) -> None:
        pause_s = self._renew_s
        while not self.lost:
            self._awake.wait(pause_s)
            self._awake.clear()
            if self._leaving:
                return
            pause_s = self._renewed()

    def _renewed(self) -> float:
        """Seconds until the next renewal."""
        try:
            if not self._lease.renew(self._token):
                self._lose()
            return self._renew_s
        except StoreUnavailable as error:
            # Nothing is lost by that: without the database nobody can take the lease, nor write.
            log.warning("lease.not_renewed", error=str(error))
        except Exception:
            # A loop boundary: the fence holds whether or not we know what happened.
            log.exception("lease.renewal_failed")
        return min(_RETRY_S, self._renew_s)

    def _lose(self) -> None:
        self.lost = True
        log.error("lease.lost", number=self._token, hint="Another server has taken over; this one writes no more.")
        self._on_lost()


def this_process(clock: Clock) -> Holder:
    """This server, as others shall name it."""
    identity = processes.identity_from(protocol.identity(os.getpid()))
    return Holder(str(uuid4()), socket.gethostname(), identity, _pid_namespace(), clock.now())


def is_here(holder: Holder) -> bool:
    """Whether its pid means something to us: the same boot of the same machine, and the same container."""
    return holder.process.boot_id == protocol.boot_id() and holder.pid_namespace == _pid_namespace()


def is_gone(holder: Holder | None) -> bool:
    """Whether it is known to have died."""
    if holder is None or not is_here(holder):
        return False
    return not processes.is_alive(holder.process) or _is_zombie(holder.process.pid)


def end_at_once(holder: Holder) -> None:
    """As `kill -9`: what it has not committed is undone, and its runs go on."""
    pidfd = processes.open_pidfd(holder.process)
    if pidfd is None:
        return
    log.warning("lease.holder_killed", holder=str(holder), because="it hangs in the middle of a write")
    try:
        processes.send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a name, not a path
    except OSError:
        return "unknown"
