"""What a server has to itself while it serves: the lease of its database, its data directory and its port."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from minisched.app.leadership import Candidate, LeaseKeeper, Taken, is_here
from minisched.instance_lock import instance_lock
from minisched.serving import Signals, bind
from minisched.settings import Settings
from minisched.store import migrations
from minisched.store.engine import open_database
from minisched.store.lease import SqlLease
from minisched.system_clock import SystemClock

log = structlog.get_logger(__name__)

Fence = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Tenure:
    """`fence` belongs into every transaction that writes. `after_crash`: an earlier server did not end as it should."""

    listener: socket.socket
    fence: Fence
    keeper: LeaseKeeper
    after_crash: bool


@contextmanager
def tenure(settings: Settings, signals: Signals) -> Iterator[Tenure | None]:
    """Taken one after the other and given back in the end; None when it was told to stop while it waited.

    Raises ConfigurationError that names who has what is wanted.
    """
    with ExitStack() as stack:
        # A standby finds out at once that its port is taken, but must not let clients wait for it.
        kept_port = stack.enter_context(_port(settings, listen=False)) if settings.server.standby else None
        lease = stack.enter_context(_lease(settings))
        taken = _candidate(settings, lease, signals).acquire()
        if taken is None:
            yield None
            return
        leave = partial(_leave, signals, settings.server.shutdown_grace_s)
        keeper = stack.enter_context(LeaseKeeper(lease, taken.token, lease_s=settings.server.lease_s, on_lost=leave))
        died = stack.enter_context(instance_lock(settings.data_dir / "server.lock", lost_by=_hanging(taken)))
        listener = kept_port or stack.enter_context(_port(settings, listen=True))
        log.info("lease.taken", number=taken.token, from_holder=str(taken.predecessor) if taken.predecessor else None)
        yield Tenure(listener, lease.fence(taken.token, keeper.doubt), keeper, died or taken.predecessor is not None)


def _port(settings: Settings, *, listen: bool) -> socket.socket:
    return bind(settings.server.host, settings.server.port, listen=listen)


@contextmanager
def _lease(settings: Settings) -> Iterator[SqlLease]:
    """Over connections of its own, so that nothing else keeps it waiting.

    Only the upgrade that brings the lease comes before it; later ones are done by whoever holds it.
    """
    url = settings.database_url.get_secret_value()
    patience_s = min(settings.database.busy_timeout_s, settings.server.lease_s / 3)
    with closing(open_database(url, busy_timeout_s=patience_s, pool_size=1)) as database:
        lease = SqlLease(database)
        if not lease.exists():
            prepared = migrations.prepare(url)
            log.info("database.upgraded", **prepared.facts())
        yield lease


def _candidate(settings: Settings, lease: SqlLease, signals: Signals) -> Candidate:
    return Candidate(
        lease,
        lease_s=settings.server.lease_s,
        standby=settings.server.standby,
        clock=SystemClock(),
        stop_asked=signals.stop_asked,
    )


def _hanging(taken: Taken) -> int | None:
    """The pid of the server that the lease was taken from, if that is a process next to us."""
    holder = taken.predecessor
    return holder.process.pid if holder is not None and is_here(holder) else None


def _leave(signals: Signals, within_s: float) -> None:
    signals.leave()
    last_resort = threading.Timer(within_s, os._exit, (1,))
    last_resort.daemon = True
    last_resort.start()
