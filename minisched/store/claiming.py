"""Which queued run is next: the conditions of `RunStore.claim` as SQL.

Two short reads of one index, whatever the length of the queue: how many runs of which pipelines and services are
running (at most as many rows as there are slots), then the first queued run that is due and that none of these blocks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, or_, select

from minisched.domain.queueing import ServiceLimits
from minisched.domain.run import RunState
from minisched.store.run_rows import service_hash
from minisched.store.tables import runs

_RUNNING = (
    select(runs.c.pipeline_id, runs.c.service_hash, func.count().label("running"))
    .where(runs.c.state == RunState.RUNNING.value)
    .group_by(runs.c.pipeline_id, runs.c.service_hash)
)

# Built once, because every start of a run waits for it.
_NEXT = (
    select(runs)
    .where(runs.c.state == RunState.QUEUED.value, runs.c.stop_at_ms.is_(None))
    .where(or_(runs.c.not_before_ms.is_(None), runs.c.not_before_ms <= bindparam("now_ms")))
    .order_by(runs.c.priority, runs.c.enqueued_ms, runs.c.id)
    .limit(1)
)
# Runs that were enqueued for one of these runtimes, or for any.
_NEXT_OF_RUNTIMES = _NEXT.where(
    or_(runs.c.runtime.is_(None), runs.c.runtime.in_(bindparam("runtimes", expanding=True)))
)


def next_claimable(
    connection: Connection, *, slots: int, runtimes: Sequence[str], services: ServiceLimits, now_ms: int
) -> Row[Any] | None:
    """The run to claim; None when every slot is taken or every queued run is held back."""
    running = connection.execute(_RUNNING).all()
    if sum(row.running for row in running) >= slots:
        return None
    statement = _NEXT_OF_RUNTIMES if runtimes else _NEXT
    if running:
        statement = statement.where(*_within_limits(running), *_within_services(running, services))
    return connection.execute(statement, {"now_ms": now_ms, "runtimes": list(runtimes)}).one_or_none()


def _within_limits(running: Sequence[Any]) -> list[ColumnElement[bool]]:
    """A pipeline with n runs running may start another where its limit is greater than n."""
    counts: Counter[str] = Counter()
    for row in running:
        counts[row.pipeline_id] += row.running
    pipelines_by_count: dict[int, list[str]] = defaultdict(list)
    for pipeline_id, count in counts.items():
        pipelines_by_count[count].append(pipeline_id)
    return [
        or_(runs.c.pipeline_id.not_in(ids), runs.c.max_active_runs > count)
        for count, ids in sorted(pipelines_by_count.items())
    ]


def _within_services(running: Sequence[Any], services: ServiceLimits) -> list[ColumnElement[bool]]:
    """Runs of services that have as many running as they may have wait; those without a service do not."""
    if services.most is None and not services.of:
        return []
    limits = {service_hash(fqn): limit for fqn, limit in services.of.items()}
    counts: Counter[str] = Counter()
    for row in running:
        if row.service_hash is not None:
            counts[row.service_hash] += row.running
    full = [service for service, count in counts.items() if _is_full(count, limits.get(service, services.most))]
    return [or_(runs.c.service_hash.is_(None), runs.c.service_hash.not_in(full))] if full else []


def _is_full(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
