"""RunStore: every change of state is a compare-and-set, and what OpenMetadata has to hear is written beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select, update

from minisched import failpoints
from minisched.acting import touches
from minisched.domain.errors import DuplicateRun, IllegalTransition, RunNotFound, StoreUnavailable
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.queueing import NO_LIMITS, ServiceLimits
from minisched.domain.run import (
    ACTIVE_STATES,
    ALLOWED_TRANSITIONS,
    TERMINAL_STATES,
    Outcome,
    Run,
    RunState,
    Spawned,
    StopRequest,
)
from minisched.ports import Clock, RunQuery
from minisched.store.claiming import next_claimable
from minisched.store.columns import digest
from minisched.store.engine import CLAIM_LOCK, Database
from minisched.store.run_rows import from_row, outcome_columns, spawned_columns, stop_columns, to_row
from minisched.store.secrets import SecretBox
from minisched.store.tables import outbox, runs

_ACTIVE = sorted(state.value for state in ACTIVE_STATES)

_BY_ID = select(runs).where(runs.c.id == bindparam("run_id"))
_BY_IDEMPOTENCY = select(runs).where(runs.c.idempotency_hash == bindparam("idempotency"))
_CLAIM = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.state == RunState.QUEUED.value, runs.c.stop_at_ms.is_(None))
    .values(state=RunState.RUNNING.value, started_ms=bindparam("now_ms"))
)
_CHANGE = update(runs).where(runs.c.id == bindparam("which"), runs.c.state.in_(bindparam("allowed", expanding=True)))


class SqlRunStore:
    """Runs in the table `runs`; implements `ports.RunStore`."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock

    def enqueue(self, run: Run, *, idempotency_key: str | None = None) -> Run:
        """As the port says. When the database goes away during the commit, looks once whether the run is there."""
        row = to_row(run, self._box, idempotency_key=idempotency_key)
        failpoints.reach("before_insert_run")

        def insert_it(connection: Connection) -> None:
            touches(f"{run.pipeline_fqn}, run {run.id}")
            _insert(connection, row)

        try:
            self._database.transact(insert_it)
        except DuplicateRun:
            earlier = self._by_idempotency_key(idempotency_key)
            if earlier is None:
                raise
            return earlier
        except StoreUnavailable as unknown:
            return self._stored_after(unknown, run.id, lambda _: True)
        return run

    def get(self, run_id: str) -> Run:
        with self._database.read() as connection:
            return self._one(connection, run_id)

    def search(self, query: RunQuery) -> list[Run]:
        statement = select(runs).order_by(runs.c.enqueued_ms.desc(), runs.c.id.desc()).limit(query.limit)
        if query.pipeline_id is not None:
            statement = statement.where(runs.c.pipeline_id == query.pipeline_id)
        if query.states:
            statement = statement.where(runs.c.state.in_([state.value for state in query.states]))
        if query.before_ms is not None:
            statement = statement.where(runs.c.enqueued_ms < query.before_ms)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [from_row(row, self._box) for row in rows]

    def queue(self, *, limit: int) -> list[Run]:
        statement = (
            select(runs)
            .where(runs.c.state == RunState.QUEUED.value)
            .order_by(runs.c.priority, runs.c.enqueued_ms, runs.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [from_row(row, self._box) for row in rows]

    def claim(self, *, slots: int, runtimes: Sequence[str] = (), services: ServiceLimits = NO_LIMITS) -> Run | None:
        """As the port says; `runtimes` leaves out runs that were enqueued for another runtime."""
        # Lost with the power, it is found again: the run is queued, and its directory says whether it was started.
        return self._database.transact(
            lambda connection: self._claim(connection, slots, runtimes, services), durable=False
        )

    def _claim(
        self, connection: Connection, slots: int, runtimes: Sequence[str], services: ServiceLimits
    ) -> Run | None:
        self._database.serialize(connection, CLAIM_LOCK)
        now_ms = to_ms(self._clock.now())
        while (
            row := next_claimable(connection, slots=slots, runtimes=runtimes, services=services, now_ms=now_ms)
        ) is not None:
            # Zero rows when a stop came between; then it is no longer claimable and the next one is.
            if connection.execute(_CLAIM, {"run_id": row.id, "now_ms": now_ms}).rowcount:
                failpoints.reach("before_claim_commit")
                return replace(from_row(row, self._box), state=RunState.RUNNING, started_at=from_ms(now_ms))
        return None

    def mark_spawned(self, run_id: str, spawned: Spawned) -> None:
        def mark(connection: Connection) -> None:
            if not _change(connection, run_id, (RunState.RUNNING,), spawned_columns(spawned)):
                self._refuse(connection, run_id, "cannot get a process")

        # The run directory says the same, and that is durable.
        self._database.repeat(mark, durable=False)

    def request_stop(self, run_ids: Iterable[str], stop: StopRequest, outcome: Outcome) -> list[Run]:
        # In one order, so that two requests for the same runs never wait for each other.
        ids = sorted(set(run_ids))
        rows = self._database.repeat(
            lambda connection: [self._request_stop(connection, run_id, stop, outcome) for run_id in ids]
        )
        failpoints.reach("after_stop_commit")
        return [from_row(row, self._box) for row in rows if row is not None]

    def _request_stop(
        self, connection: Connection, run_id: str, stop: StopRequest, outcome: Outcome
    ) -> Row[Any] | None:
        wish = update(runs).where(runs.c.id == run_id, runs.c.state.in_(_ACTIVE), runs.c.stop_at_ms.is_(None))
        connection.execute(wish.values(**stop_columns(stop)))
        self._end(connection, run_id, (RunState.QUEUED,), outcome_columns(outcome), stop.at)
        failpoints.reach("before_stop_commit")
        row = connection.execute(_BY_ID, {"run_id": run_id}).one_or_none()
        if row is not None:
            touches(f"{row.pipeline_fqn}, run {run_id}")
        return row

    def finish(
        self,
        run_id: str,
        outcome: Outcome,
        *,
        ended_at: datetime,
        spawned: Spawned | None = None,
        next_attempt: Run | None = None,
    ) -> Run:
        """As the port says. When the database goes away during the commit, looks once whether it was done."""
        allowed = tuple(state for state in RunState if outcome.state in ALLOWED_TRANSITIONS[state])
        values = {**outcome_columns(outcome), **(spawned_columns(spawned) if spawned else {})}

        def finish(connection: Connection) -> Row[Any]:
            if outcome.state not in TERMINAL_STATES or not self._end(connection, run_id, allowed, values, ended_at):
                self._refuse(connection, run_id, f"cannot become {outcome.state.value}")
            row = connection.execute(_BY_ID, {"run_id": run_id}).one()
            if next_attempt is not None and row.stop_at_ms is None:
                connection.execute(insert(runs), to_row(next_attempt, self._box, idempotency_key=None))
            failpoints.reach("before_finish_commit")
            return row

        try:
            return from_row(self._database.transact(finish), self._box)
        except StoreUnavailable as unknown:
            ended_ms = to_ms(ended_at)
            return self._stored_after(
                unknown,
                run_id,
                lambda run: run.state == outcome.state and run.ended_at is not None and to_ms(run.ended_at) == ended_ms,
            )

    def _end(
        self, connection: Connection, run_id: str, allowed: Sequence[RunState], values: dict[str, Any], at: datetime
    ) -> bool:
        """The terminal transition and its message to OpenMetadata; False when the run is in none of these states."""
        if not _change(connection, run_id, allowed, {**values, "ended_ms": to_ms(at)}):
            return False
        now_ms = to_ms(self._clock.now())
        message = {"run_id": run_id, "created_ms": now_ms, "next_ms": now_ms, "attempts": 0, "dead": False}
        connection.execute(insert(outbox), message)
        return True

    def counts(self) -> dict[RunState, int]:
        statement = select(runs.c.state, func.count()).where(runs.c.state.in_(_ACTIVE)).group_by(runs.c.state)
        with self._database.read() as connection:
            found = {RunState(state): count for state, count in connection.execute(statement)}
        return {state: found.get(state, 0) for state in (RunState.QUEUED, RunState.RUNNING)}

    def prune(self, *, ended_before: datetime, limit: int) -> list[str]:
        """As the port says; a run counts as reported when its messages are delivered or given up."""
        unreported = exists().where(outbox.c.run_id == runs.c.id, outbox.c.dead.is_(False))
        statement = (
            select(runs.c.id)
            .where(runs.c.ended_ms < to_ms(ended_before), ~unreported)
            .order_by(runs.c.ended_ms)
            .limit(limit)
        )

        def prune(connection: Connection) -> list[str]:
            ids = list(connection.execute(statement).scalars())
            if ids:
                connection.execute(delete(runs).where(runs.c.id.in_(ids)))
            return ids

        return self._database.transact(prune)

    def _one(self, connection: Connection, run_id: str) -> Run:
        row = connection.execute(_BY_ID, {"run_id": run_id}).one_or_none()
        if row is None:
            raise RunNotFound(f"There is no run {run_id}.")
        return from_row(row, self._box)

    def _refuse(self, connection: Connection, run_id: str, what: str) -> NoReturn:
        state = self._one(connection, run_id).state.value
        raise IllegalTransition(f"Run {run_id} is {state} and {what}.")

    def _by_idempotency_key(self, key: str | None) -> Run | None:
        if key is None:
            return None
        with self._database.read() as connection:
            row = connection.execute(_BY_IDEMPOTENCY, {"idempotency": digest(key)}).one_or_none()
        return None if row is None else from_row(row, self._box)

    def _stored_after(self, unknown: StoreUnavailable, run_id: str, is_ours: Any) -> Run:
        try:
            stored = self.get(run_id)
        except (StoreUnavailable, RunNotFound):
            raise unknown from None
        if not is_ours(stored):
            raise unknown
        return stored


def _insert(connection: Connection, row: dict[str, Any]) -> None:
    connection.execute(insert(runs), row)
    failpoints.reach("after_insert_run")


def _change(connection: Connection, run_id: str, allowed: Sequence[RunState], values: dict[str, Any]) -> bool:
    """Compare-and-set: False when the run is in none of the allowed states, or not there."""
    found = {"which": run_id, "allowed": [state.value for state in allowed]}
    return bool(connection.execute(_CHANGE, {**values, **found}).rowcount)
