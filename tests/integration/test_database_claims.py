"""Claims under concurrency: two servers started by mistake, each with its own engine and threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import insert

from minisched.domain.errors import IllegalTransition
from minisched.domain.queueing import ServiceLimits
from minisched.domain.run import Run, RunState
from minisched.ports import RunQuery
from minisched.store.engine import open_database
from minisched.store.run_rows import to_row
from minisched.store.secrets import SecretBox, new_key
from minisched.store.tables import runs as runs_table
from tests.integration import claiming_process
from tests.store_kinds import STOPPED, SUCCESS, Stores, a_run, a_stop, sql_stores

RUNS, PIPELINES, SLOTS, PER_PIPELINE = 200, 7, 4, 2
SERVICES, LIMITS = ["shop", "stock", ""], ServiceLimits(most=1, of={"stock": 2})


class Watch:
    """Counts what is running between claim and finish, and remembers the highest counts."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.highest = 0
        self.highest_of_a_pipeline = 0
        self.highest_of_a_service: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._of_service: Counter[str] = Counter()
        self._lock = threading.Lock()

    def claimed(self, run: Run) -> None:
        with self._lock:
            self.claims[run.id] += 1
            self._running[run.pipeline_id] += 1
            self.highest = max(self.highest, self._running.total())
            self.highest_of_a_pipeline = max(self.highest_of_a_pipeline, *self._running.values())
            self._of_service[run.service_fqn] += 1
            self.highest_of_a_service |= self._of_service

    def ending(self, run: Run) -> None:
        with self._lock:
            self._running[run.pipeline_id] -= 1
            self._of_service[run.service_fqn] -= 1


def test_two_servers_claim_each_run_once_within_the_limits(database_url: str) -> None:
    pipelines = [str(uuid4()) for _ in range(PIPELINES)]
    watch = Watch()
    with ExitStack() as stack:
        servers = [stack.enter_context(sql_stores("sql", database_url)) for _ in range(2)]
        for n in range(RUNS):
            pipeline_id, service = pipelines[n % PIPELINES], SERVICES[n % PIPELINES % len(SERVICES)]
            servers[0].runs.enqueue(
                a_run(n, pipeline_id=pipeline_id, max_active_runs=PER_PIPELINE, service_fqn=service)
            )

        def work(server: Stores) -> None:
            while watch.claims.total() < RUNS:
                run = server.runs.claim(slots=SLOTS, services=LIMITS)
                if run is not None:
                    watch.claimed(run)
                    watch.ending(run)
                    server.runs.finish(run.id, SUCCESS, ended_at=datetime.now(UTC))

        _in_parallel([lambda server=server: work(server) for server in servers for _ in range(2)])  # type: ignore[misc]
        assert set(watch.claims.values()) == {1}
        assert len(watch.claims) == RUNS
        assert watch.highest <= SLOTS
        assert watch.highest_of_a_pipeline <= PER_PIPELINE
        assert all(count <= (LIMITS.limit(name) or SLOTS) for name, count in watch.highest_of_a_service.items())
        assert set(watch.highest_of_a_service) == set(SERVICES)
        assert len(servers[0].runs.search(RunQuery(states=[RunState.SUCCESS], limit=RUNS + 1))) == RUNS
        assert len(servers[1].outbox.pending(limit=RUNS + 1)) == RUNS


def test_two_processes_claim_each_run_once_within_the_limits(database_url: str) -> None:
    """What is running is counted by somebody else, as often as the database answers."""
    pipelines = [str(uuid4()) for _ in range(PIPELINES)]
    with sql_stores("sql", database_url) as stores:
        for n in range(120):
            service = SERVICES[n % PIPELINES % len(SERVICES)]
            stores.runs.enqueue(a_run(n, pipeline_id=pipelines[n % PIPELINES], max_active_runs=1, service_fqn=service))
        command = [sys.executable, "-m", "tests.integration.claiming_process", database_url]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        counted = 0
        while any(process.poll() is None for process in processes):
            running = stores.runs.search(RunQuery(states=[RunState.RUNNING]))
            of_services = Counter(run.service_fqn for run in running)
            assert len(running) <= claiming_process.SLOTS
            assert max(Counter(run.pipeline_id for run in running).values(), default=0) <= 1
            limit = claiming_process.LIMITS.limit
            assert all(count <= (limit(service) or claiming_process.SLOTS) for service, count in of_services.items())
            counted += bool(running)
        claimed = [process.communicate()[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert all(claimed)
        assert counted
        assert sorted(claimed[0] + claimed[1]) == sorted(run.id for run in stores.runs.search(RunQuery(limit=121)))


def test_a_run_is_either_claimed_or_stopped(database_url: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(sql_stores("sql", database_url)) for _ in range(2)]
        runs = [servers[0].runs.enqueue(a_run(n)) for n in range(60)]
        claimed: list[str] = []

        def claim() -> None:
            while (run := servers[0].runs.claim(slots=1_000)) is not None:
                claimed.append(run.id)

        def stop() -> None:
            for run in reversed(runs):
                servers[1].runs.request_stop([run.id], a_stop(), STOPPED)

        _in_parallel([claim, stop])
        after = servers[0].runs.search(RunQuery(limit=100))
        assert {run.state for run in after} <= {RunState.RUNNING, RunState.STOPPED}
        assert {run.id for run in after if run.state == RunState.RUNNING} == set(claimed)
        assert len(servers[0].outbox.pending(limit=100)) == len(runs) - len(claimed)
        assert all(run.stop is not None for run in after)


def test_one_of_two_ends_wins(database_url: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(sql_stores("sql", database_url)) for _ in range(2)]
        for _ in range(10):
            run = servers[0].runs.enqueue(a_run())
            servers[0].runs.claim(slots=1_000)
            refused: list[IllegalTransition] = []

            def finish(server: Stores, run: Run = run, refused: list[IllegalTransition] = refused) -> None:
                try:
                    server.runs.finish(run.id, SUCCESS, ended_at=datetime.now(UTC))
                except IllegalTransition as error:
                    refused.append(error)

            _in_parallel([lambda server=server: finish(server) for server in servers])  # type: ignore[misc]
            assert len(refused) == 1
        assert len(servers[0].outbox.pending(limit=100)) == 10


def test_one_key_makes_one_run(database_url: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(sql_stores("sql", database_url)) for _ in range(2)]
        answers: list[str] = []
        _in_parallel(
            [
                lambda server=server: answers.append(  # type: ignore[misc]
                    server.runs.enqueue(a_run(), idempotency_key="trigger-1").id
                )
                for server in servers
                for _ in range(4)
            ]
        )
        assert len(answers) == 8
        assert len(set(answers)) == 1
        assert servers[0].runs.counts()[RunState.QUEUED] == 1


def test_ten_thousand_queued_runs_behind_a_limit_do_not_slow_a_claim(sqlite_url: str) -> None:
    """Not a benchmark: twenty times the time that a claim takes."""
    with sql_stores("sqlite", sqlite_url) as stores:
        _fill(sqlite_url, 10_000)
        assert stores.runs.claim(slots=4) is not None
        free = stores.runs.enqueue(a_run(99_999))
        started = datetime.now(UTC)
        claimed = stores.runs.claim(slots=4)
        assert claimed is not None
        assert claimed.id == free.id
        assert (datetime.now(UTC) - started).total_seconds() < 0.1


def _fill(url: str, number: int) -> None:
    """This many queued runs of one pipeline whose limit is one."""
    box, pipeline_id = SecretBox([new_key()]), str(uuid4())
    rows = [to_row(a_run(n, pipeline_id=pipeline_id), box, idempotency_key=None) for n in range(number)]
    with closing(open_database(url)) as database, database.write() as connection:
        connection.execute(insert(runs_table), rows)


def _in_parallel(pieces: list[Callable[[], object]]) -> None:
    """Start all pieces at once; raises what any of them raised."""
    barrier, raised = threading.Barrier(len(pieces)), list[BaseException]()

    def run(piece: Callable[[], object]) -> None:
        barrier.wait()
        try:
            piece()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(piece,)) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if raised:
        pytest.fail(f"{raised!r}")
