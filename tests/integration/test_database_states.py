"""The run store under random histories: SQLite and the fake agree step by step, and the rules of runs hold."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from minisched.domain.errors import MinischedError
from minisched.domain.queueing import ServiceLimits
from minisched.domain.retry import Backoff, next_attempt
from minisched.domain.run import ALLOWED_TRANSITIONS, TERMINAL_STATES, Run, RunKind, RunReason, RunState, Spawned
from minisched.ports import RunQuery
from tests.fakes_store import MemoryStores
from tests.store_kinds import EPOCH, PROCESS, SUCCESS, Stores, a_run, a_stop, sql_stores

_PIPELINES = [str(UUID(int=n)) for n in range(3)]
_SERVICES = ["shop", "shop", "stock"]
_KEYS = [None, "a", "b"]


def an_outcome(state: RunState) -> Any:
    return SUCCESS.__class__(state, RunReason.COMPLETED, f"ended {state.value}", steps=[{"name": "Source"}])


class RunHistories(RuleBasedStateMachine):
    """Every rule does the same to both stores and compares the answers, errors included."""

    template: Path
    runs = Bundle("runs")

    @initialize()
    def open(self) -> None:
        self.stack = ExitStack()
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copyfile(self.template, directory / "minisched.db")
        self.sql: Stores = self.stack.enter_context(sql_stores("sqlite", f"sqlite:///{directory / 'minisched.db'}"))
        self.memory = MemoryStores()
        self.number = 0
        self.states: dict[str, RunState] = {}
        self.limits: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def both(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What SQLite answers, if the fake answers the same; None when both refuse with the same error."""
        answers: list[Any] = []
        for store in (self.memory.runs, self.sql.runs):
            try:
                answers.append(getattr(store, method)(*args, **kwargs))
            except MinischedError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]
        return None if isinstance(answers[1], type) else answers[1]

    def a_new_run(self, pipeline: int, kind: RunKind, minute: int | None, limit: int) -> Run:
        self.number += 1
        pipeline_id = _PIPELINES[pipeline]
        return a_run(
            self.number % 5,
            id=str(UUID(int=self.number)),
            pipeline_id=pipeline_id,
            kind=kind,
            scheduled_for=None if minute is None else EPOCH + timedelta(minutes=minute),
            max_active_runs=self.limits.setdefault(pipeline_id, limit),
            service_fqn=_SERVICES[pipeline],
            not_before=None if self.number % 3 else self.memory.clock.now() + timedelta(seconds=self.number % 7),
            retries=self.number % 3,
            retry_delay_s=self.number % 20,
        )

    @rule(
        target=runs,
        pipeline=st.integers(0, 2),
        kind=st.sampled_from(RunKind),
        minute=st.none() | st.integers(0, 4),
        limit=st.integers(1, 2),
        key=st.sampled_from(_KEYS),
    )
    def enqueue(self, pipeline: int, kind: RunKind, minute: int | None, limit: int, key: str | None) -> Any:
        run = self.a_new_run(pipeline, kind, minute, limit)
        stored = self.both("enqueue", run, idempotency_key=key)
        return multiple() if stored is None else stored.id

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.memory.clock.advance(seconds)
        self.sql.clock.advance(seconds)

    @rule(slots=st.integers(0, 3), of_a_service=st.none() | st.integers(1, 2), of_shop=st.integers(1, 2))
    def claim(self, slots: int, of_a_service: int | None, of_shop: int) -> None:
        services = ServiceLimits(of_a_service, {"shop": of_shop})
        busy = self.busy_services()
        run = self.both("claim", slots=slots, services=services)
        if run is not None:
            assert self.states[run.id] == RunState.QUEUED
            assert self.running() + 1 <= slots
            assert run.not_before is None or run.not_before <= self.memory.clock.now()
            limit = services.limit(run.service_fqn)
            assert limit is None or busy[run.service_fqn] < limit

    def busy_services(self) -> Counter[str]:
        return Counter(run.service_fqn for run in self.memory.runs.search(RunQuery(states=[RunState.RUNNING])))

    @rule(run_id=runs)
    def mark_spawned(self, run_id: str) -> None:
        self.both("mark_spawned", run_id, Spawned(PROCESS, "main"))

    @rule(chosen=st.lists(runs, max_size=3), by=st.sampled_from(["ann", "bob"]))
    def request_stop(self, chosen: list[str], by: str) -> None:
        self.both("request_stop", chosen, a_stop(by), an_outcome(RunState.STOPPED))

    @rule(target=runs, run_id=runs, state=st.sampled_from(RunState))
    def finish(self, run_id: str, state: RunState) -> Any:
        run = self.both("get", run_id)
        if run is None:
            return multiple()
        self.number += 1
        ended_at, decided = EPOCH + timedelta(seconds=self.number), an_outcome(state)
        again = next_attempt(
            run, decided, run_id=str(UUID(int=self.number)), ended_at=ended_at, backoff=Backoff(exponential=True)
        )
        finished = self.both("finish", run_id, decided, ended_at=ended_at, next_attempt=again)
        if again is None or finished is None or finished.stop is not None:
            assert self.both("get", str(UUID(int=self.number))) is None
            return multiple()
        assert self.both("get", again.id) == again
        return again.id

    @rule(limit=st.integers(1, 3))
    def deliver(self, limit: int) -> None:
        now = self.memory.clock.now()
        due = [outbox.due(now, limit=limit) for outbox in (self.memory.outbox, self.sql.outbox)]
        assert due[0] == due[1]
        for entry in due[0]:
            self.memory.outbox.delivered(entry.id)
            self.sql.outbox.delivered(entry.id)

    @rule(second=st.integers(0, 40))
    def prune(self, second: int) -> None:
        pruned = [
            set(store.prune(ended_before=EPOCH + timedelta(seconds=second), limit=100))
            for store in (self.memory.runs, self.sql.runs)
        ]
        assert pruned[0] == pruned[1]
        for run_id in pruned[0]:
            assert self.states.pop(run_id) in TERMINAL_STATES

    @rule()
    def count(self) -> None:
        assert self.both("counts")[RunState.RUNNING] == self.running()

    def running(self) -> int:
        return sum(state == RunState.RUNNING for state in self.states.values())

    @invariant()
    def both_hold_the_same_and_states_moved_as_allowed(self) -> None:
        if not hasattr(self, "sql"):
            return
        found = self.both("search", RunQuery(limit=1_000))
        for run in found:
            before = self.states.get(run.id, RunState.QUEUED)
            assert run.state == before or run.state in ALLOWED_TRANSITIONS[before]
            assert (run.ended_at is not None) == run.is_terminal
        self.states = {run.id: run.state for run in found}
        busy = Counter(run.pipeline_id for run in found if run.state == RunState.RUNNING)
        assert all(count <= self.limits[pipeline_id] for pipeline_id, count in busy.items())

    @invariant()
    def every_end_is_told_once(self) -> None:
        if not hasattr(self, "sql"):
            return
        told = [entry.run_id for entry in self.sql.outbox.pending(limit=1_000)]
        assert len(told) == len(set(told))
        assert all(self.states[run_id] in TERMINAL_STATES for run_id in told)


@pytest.mark.timeout(300)
def test_histories_of_runs(migrated_sqlite_file: Path) -> None:
    machine = type("RunHistoriesOfThisTest", (RunHistories,), {"template": migrated_sqlite_file})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            # Shrinking a history takes minutes; forty steps can be read.
            phases=[Phase.generate],
        ),
    )
