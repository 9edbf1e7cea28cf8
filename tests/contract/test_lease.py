"""The lease on every database: one holder, growing tokens, and no write of a holder that lost it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import floats, integers, sampled_from
from sqlalchemy import update

from minisched.domain.errors import LeaseLost
from minisched.domain.lease import Holder, LeaseWatch, Sighting
from minisched.domain.pipeline import Deployment
from minisched.domain.run import ProcessIdentity, Run, Spawned
from minisched.store import migrations
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.lease import SqlLease
from minisched.store.outbox import SqlOutbox
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, new_key
from minisched.store.tables import locks
from tests.fakes_store import ManualClock
from tests.store_kinds import EPOCH, PROCESS, STOPPED, SUCCESS, a_run, a_stop
from tests.waiting import wait_until

LEASE_S = 15.0
BOX = SecretBox([new_key()])


def a_holder(pid: int = 4711) -> Holder:
    since = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    return Holder(str(uuid4()), "db1", ProcessIdentity(pid, 99, "boot"), "pid:[1]", since)


@dataclass
class Server:
    """One of several servers on the same database."""

    database: Database
    lease: SqlLease
    runs: SqlRunStore
    kept_out: int = 0

    def take(self) -> int:
        token = self.lease.take(self.lease.look(), a_holder())
        assert token is not None
        self.database.fence_off(self.lease.fence(token, self._count))
        return token

    def _count(self) -> None:
        self.kept_out += 1


@contextmanager
def a_server(url: str) -> Iterator[Server]:
    with closing(open_database(url)) as database:
        yield Server(database, SqlLease(database), SqlRunStore(database, BOX, ManualClock()))


@pytest.fixture
def servers(database_url: str) -> Iterator[tuple[Server, Server]]:
    with ExitStack() as stack:
        yield stack.enter_context(a_server(database_url)), stack.enter_context(a_server(database_url))


def test_a_new_database_has_no_holder(servers: tuple[Server, Server]) -> None:
    seen = servers[0].lease.look()
    assert (seen.token, seen.holder) == (0, None)
    assert servers[0].lease.exists()


def test_the_holder_is_known_to_everybody(servers: tuple[Server, Server]) -> None:
    one, other = servers
    holder = a_holder()
    assert one.lease.take(one.lease.look(), holder) == 1
    seen = other.lease.look()
    assert (seen.token, seen.holder) == (1, holder)
    assert 0 <= seen.age_s < 5
    assert str(seen.holder) == "process 4711 on host db1, since 2026-03-01T12:00:00Z"


def test_the_clock_is_the_database_s(servers: tuple[Server, Server]) -> None:
    assert abs(servers[0].lease.look().now_ms / 1000 - time.time()) < 60


def test_a_lease_that_changed_meanwhile_is_not_taken(servers: tuple[Server, Server]) -> None:
    one, other = servers
    seen = other.lease.look()
    token = one.take()
    assert other.lease.take(seen, a_holder()) is None
    seen = other.lease.look()
    _later(one)
    assert one.lease.renew(token)
    assert other.lease.take(seen, a_holder()) is None


def _later(server: Server) -> None:
    """Until the database's clock shows another millisecond."""
    now = server.lease.look().now_ms
    wait_until(lambda: server.lease.look().now_ms > now)


def test_of_many_candidates_one_takes_it(database_url: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(a_server(database_url)) for _ in range(4)]
        seen = servers[0].lease.look()
        barrier = threading.Barrier(4)

        def take(server: Server) -> int | None:
            barrier.wait()
            return server.lease.take(seen, a_holder())

        with ThreadPoolExecutor(4) as pool:
            assert sorted(map(str, pool.map(take, servers))) == ["1", "None", "None", "None"]


def test_who_lost_it_cannot_renew_nor_give_it_back(servers: tuple[Server, Server]) -> None:
    one, other = servers
    lost, kept = one.take(), other.take()
    assert not one.lease.renew(lost)
    assert not one.lease.release(lost)
    assert other.lease.look().holder is not None
    assert other.lease.renew(kept)
    assert other.lease.release(kept)
    assert other.lease.look().holder is None
    assert not other.lease.renew(kept)


def test_every_write_of_who_lost_it_is_kept_out(servers: tuple[Server, Server]) -> None:
    one, other = servers
    one.take()
    running, queued = one.runs.enqueue(a_run(0)), one.runs.enqueue(a_run(1))
    claimed = one.runs.claim(slots=1)
    assert claimed is not None
    other.take()
    deployment = Deployment(str(uuid4()), "n", "s.n", "metadata", {"name": "n"}, enabled=True, deployed_at=EPOCH)
    deployments, outbox = SqlDeploymentStore(one.database, BOX), SqlOutbox(one.database)
    writes: list[Callable[[], object]] = [
        lambda: one.runs.enqueue(a_run(2)),
        lambda: one.runs.enqueue(a_run(2), idempotency_key="again"),
        lambda: one.runs.claim(slots=9),
        lambda: one.runs.mark_spawned(running.id, Spawned(PROCESS, "main")),
        lambda: one.runs.finish(running.id, SUCCESS, ended_at=EPOCH),
        lambda: one.runs.request_stop([running.id, queued.id], a_stop(), STOPPED),
        lambda: one.runs.prune(ended_before=EPOCH, limit=9),
        lambda: deployments.upsert(deployment),
        lambda: outbox.delivered(1),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert one.kept_out == len(writes)
    assert [other.runs.get(run.id) for run in (running, queued)] == [claimed, queued]
    assert other.runs.finish(running.id, SUCCESS, ended_at=EPOCH).is_terminal
    taken_over = other.runs.claim(slots=9)
    assert taken_over is not None
    assert taken_over.id == queued.id


def test_a_write_that_passed_the_fence_ends_before_the_lease_is_taken(servers: tuple[Server, Server]) -> None:
    """Else what it writes could become visible after the new holder has looked."""
    one, other = servers
    one.take()
    seen = other.lease.look()
    with ThreadPoolExecutor(1) as pool:
        with one.database.write() as connection:
            taking = pool.submit(other.lease.take, seen, a_holder())
            with pytest.raises(TimeoutError):
                taking.result(timeout=0.3)
            connection.execute(update(locks).values(name=locks.c.name))
        assert taking.result(timeout=20) == 2
    with pytest.raises(LeaseLost):
        one.runs.claim(slots=1)


@pytest.mark.external_service
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_writers_do_not_wait_for_a_renewal_on_postgresql(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    token = one.take()
    with one.database.write(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(one.lease.renew, token).result(timeout=5)


# --- when a candidate may take it -------------------------------------------------------------------------------------


def seen_at(*, token: int = 1, renewed_ms: int = 0, now_ms: int = 0, holder: Holder | None = None) -> Sighting:
    return Sighting(token, holder or a_holder(), renewed_ms, now_ms)


def test_a_lease_is_free_once_nobody_renews_it() -> None:
    watch = LeaseWatch(LEASE_S)
    assert not watch.is_free(seen_at(now_ms=15_000), at_s=0, holder_is_gone=False)
    assert watch.is_free(seen_at(now_ms=15_001), at_s=1, holder_is_gone=False)


def test_a_lease_is_free_at_once_when_its_holder_died_or_gave_it_back() -> None:
    assert LeaseWatch(LEASE_S).is_free(seen_at(), at_s=0, holder_is_gone=True)
    assert LeaseWatch(LEASE_S).is_free(Sighting(1, None, 0, 0), at_s=0, holder_is_gone=False)


def test_a_clock_that_was_set_back_keeps_no_lease_for_ever() -> None:
    watch, future = LeaseWatch(LEASE_S), seen_at(renewed_ms=10**12)
    assert not watch.is_free(future, at_s=100, holder_is_gone=False)
    assert not watch.is_free(future, at_s=115, holder_is_gone=False)
    assert watch.is_free(future, at_s=115.1, holder_is_gone=False)


def test_a_renewal_is_a_sign_of_life() -> None:
    watch = LeaseWatch(LEASE_S)
    assert not watch.is_free(seen_at(renewed_ms=0), at_s=0, holder_is_gone=False)
    assert not watch.renewal_seen
    assert not watch.is_free(seen_at(renewed_ms=5_000, now_ms=6_000), at_s=16, holder_is_gone=False)
    assert watch.renewal_seen
    assert not watch.is_free(seen_at(token=2, renewed_ms=6_000, now_ms=6_000), at_s=17, holder_is_gone=False)
    assert not watch.renewal_seen


# --- any order of events ----------------------------------------------------------------------------------------------


@dataclass
class Contender:
    """A server of the state machine: it believes in `token` until it is kept out."""

    server: Server
    watch: LeaseWatch
    token: int | None = None


class Leases(RuleBasedStateMachine):
    """Servers that sleep, wake, look, take and write in any order, under a clock that jumps: only the newest token
    writes, tokens only grow, and each wrote only between its taking and the next one's."""

    contenders = Bundle("contenders")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._now_ms, self._monotonic_s, self._newest = 1_000_000, 0.0, 0

    @initialize()
    def open(self) -> None:
        directory = Path(self._stack.enter_context(TemporaryDirectory()))
        self._url = f"sqlite:///{directory / 'lease.db'}"
        migrations.prepare(self._url)

    @rule(target=contenders)
    def a_server_comes(self) -> Contender:
        database = self._stack.enter_context(closing(open_database(self._url, synchronous="OFF")))
        lease = SqlLease(database, clock_ms=lambda: self._now_ms)
        return Contender(Server(database, lease, SqlRunStore(database, BOX, ManualClock())), LeaseWatch(LEASE_S))

    @rule(seconds=floats(0, 40), jump_s=sampled_from([0, 0, 0, 3600, -3600]))
    def time_passes(self, seconds: float, jump_s: int) -> None:
        self._monotonic_s += seconds
        self._now_ms += int((seconds + jump_s) * 1000)

    @rule(contender=contenders)
    def it_tries_to_take(self, contender: Contender) -> None:
        seen = contender.server.lease.look()
        if contender.token is not None or not contender.watch.is_free(
            seen, at_s=self._monotonic_s, holder_is_gone=False
        ):
            return
        token = contender.server.lease.take(seen, a_holder())
        assert token == self._newest + 1
        self._newest = contender.token = token
        contender.server.database.fence_off(contender.server.lease.fence(token, lambda: None))

    @rule(contender=contenders)
    def it_renews(self, contender: Contender) -> None:
        if contender.token is not None:
            assert contender.server.lease.renew(contender.token) == (contender.token == self._newest)

    @rule(contender=contenders, number=integers(1, 3))
    def it_writes(self, contender: Contender, number: int) -> None:
        for _ in range(number if contender.token is not None else 0):
            assert contender.token is not None
            run = self._enqueued(contender)
            assert (run is not None) == (contender.token == self._newest)

    def _enqueued(self, contender: Contender) -> Run | None:
        try:
            return contender.server.runs.enqueue(a_run())
        except LeaseLost:
            return None

    @rule(contender=contenders)
    def it_leaves(self, contender: Contender) -> None:
        if contender.token is not None:
            assert contender.server.lease.release(contender.token) == (contender.token == self._newest)
            contender.token = None

    @invariant()
    def tokens_only_grow(self) -> None:
        if hasattr(self, "_url"):
            with a_server(self._url) as reader:
                assert reader.lease.look().token == self._newest

    def teardown(self) -> None:
        self._stack.close()


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
