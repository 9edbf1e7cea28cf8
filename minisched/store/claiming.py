"""Which queued run is next: the conditions of `RunStore.claim` as SQL.

Two short reads of one index, whatever the length of the queue: how many runs of which pipelines are running (at most as
many rows as there are slots), then the first queued run that none of these counts blocks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from minisched.domain.run import RunState
from minisched.store.tables import runs

_RUNNING = (
    select(runs.c.pipeline_id, func.count().label("running"))
    .where(runs.c.state == RunState.RUNNING.value)
    .group_by(runs.c.pipeline_id)
)


def next_claimable(connection: Connection, *, slots: int, runtimes: Sequence[str]) -> Row[Any] | None:
    """The run to claim; None when every slot is taken or every queued run is held back."""
    running = connection.execute(_RUNNING).all()
    if sum(row.running for row in running) >= slots:
        return None
    statement = (
        select(runs)
        .where(runs.c.state == RunState.QUEUED.value, runs.c.stop_at_ms.is_(None))
        .where(*_within_limits(running), *_executable_by(runtimes))
        .order_by(runs.c.priority, runs.c.enqueued_ms, runs.c.id)
        .limit(1)
    )
    return connection.execute(statement).one_or_none()


def _within_limits(running: Sequence[Any]) -> list[ColumnElement[bool]]:
    """A pipeline with n runs running may start another where its limit is greater than n."""
    pipelines_by_count: dict[int, list[str]] = defaultdict(list)
    for row in running:
        pipelines_by_count[row.running].append(row.pipeline_id)
    return [
        or_(runs.c.pipeline_id.not_in(ids), runs.c.max_active_runs > count)
        for count, ids in sorted(pipelines_by_count.items())
    ]


def _executable_by(runtimes: Sequence[str]) -> list[ColumnElement[bool]]:
    """Runs that were enqueued for one of these runtimes, or for any; all of them when none is named."""
    return [or_(runs.c.runtime.is_(None), runs.c.runtime.in_(runtimes))] if runtimes else []
