"""Users, tokens and the audit trail, on every database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from minisched.acting import Action, acting
from minisched.domain.access import Principal, Role
from minisched.domain.errors import Conflict, NotFound
from minisched.ports import ApiToken, User
from minisched.store.accounts import SqlAccountStore
from minisched.store.audit import SqlAuditTrail
from minisched.store.engine import Database
from tests.databases import DATABASES, url_for
from tests.fakes_store import ManualClock
from tests.store_kinds import EPOCH, a_run, sql_stores


@dataclass
class Kept:
    accounts: SqlAccountStore
    trail: SqlAuditTrail
    database: Database
    clock: ManualClock


@pytest.fixture(params=DATABASES)
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    with sql_stores(request.param, url_for(request.param, request)) as stores:
        assert stores.database is not None
        trail = SqlAuditTrail(stores.database, stores.clock)
        stores.database.have_witnessed(trail.witness)
        yield Kept(SqlAccountStore(stores.database), trail, stores.database, stores.clock)


def a_user(name: str, role: Role = Role.VIEWER) -> User:
    return User(name, role, f"$argon2id$of {name}", EPOCH)


def a_token(user: str, name: str = "ci", **changes: object) -> ApiToken:
    token = ApiToken(str(uuid4()), name, user, Role.VIEWER, uuid4().hex * 2, "minisched_abcdef", EPOCH, None)
    return replace(token, **changes)  # type: ignore[arg-type]


def an_action(name: str = "ann", operation: str = "trigger_pipeline") -> Action:
    return Action(Principal(name, Role.OPERATOR, "token ci"), operation, "POST /x/y", "192.0.2.1")


def test_users_are_kept_and_told_apart_by_case(kept: Kept) -> None:
    people = [a_user("Ann", Role.ADMIN), a_user("ann"), a_user("名前 é", Role.OPERATOR)]
    for person in people:
        kept.accounts.add_user(person)
    assert sorted(kept.accounts.users(), key=lambda user: user.name) == sorted(people, key=lambda user: user.name)
    assert kept.accounts.user("ann") == people[1]
    assert kept.accounts.user("ANN") is None


def test_a_name_is_taken_once(kept: Kept) -> None:
    kept.accounts.add_user(a_user("ann", Role.ADMIN))
    with pytest.raises(Conflict, match="ann"):
        kept.accounts.add_user(a_user("ann"))
    assert kept.accounts.user("ann") == a_user("ann", Role.ADMIN)


def test_a_role_and_a_password_change_alone(kept: Kept) -> None:
    kept.accounts.add_user(a_user("root", Role.ADMIN))
    kept.accounts.add_user(a_user("ann"))
    kept.accounts.set_user("ann", role=Role.OPERATOR)
    kept.accounts.set_user("ann", password_hash="$argon2id$new")
    assert kept.accounts.user("ann") == User("ann", Role.OPERATOR, "$argon2id$new", EPOCH)
    with pytest.raises(NotFound):
        kept.accounts.set_user("bob", role=Role.ADMIN)


def test_the_last_admin_stays(kept: Kept) -> None:
    kept.accounts.add_user(a_user("root", Role.ADMIN))
    kept.accounts.add_user(a_user("ann"))
    with pytest.raises(Conflict):
        kept.accounts.set_user("root", role=Role.VIEWER)
    with pytest.raises(Conflict):
        kept.accounts.remove_user("root")
    assert kept.accounts.user("root") == a_user("root", Role.ADMIN)
    kept.accounts.set_user("ann", role=Role.ADMIN)
    kept.accounts.remove_user("root")
    assert [user.name for user in kept.accounts.users()] == ["ann"]


def test_two_admins_who_go_at_once_do_not_both_go(kept: Kept) -> None:
    for name in ("ann", "bob"):
        kept.accounts.add_user(a_user(name, Role.ADMIN))
    at_once = threading.Barrier(2)

    def remove(name: str) -> bool:
        at_once.wait()
        try:
            kept.accounts.remove_user(name)
        except Conflict:
            return False
        return True

    for _ in range(10):
        with ThreadPoolExecutor(2) as pool:
            removed = list(pool.map(remove, ("ann", "bob")))
        assert sorted(removed) == [False, True]
        (left,) = kept.accounts.users()
        kept.accounts.add_user(a_user("bob" if left.name == "ann" else "ann", Role.ADMIN))


def test_tokens_are_found_by_their_digest_and_go_with_their_user(kept: Kept) -> None:
    kept.accounts.add_user(a_user("root", Role.ADMIN))
    kept.accounts.add_user(a_user("ann"))
    one, two = a_token("ann"), a_token("ann", "laptop", expires_at=EPOCH + timedelta(days=1))
    kept.accounts.add_token(one)
    kept.accounts.add_token(two)
    assert kept.accounts.token_of(two.digest) == (two, a_user("ann"))
    assert kept.accounts.token_of("0" * 64) is None
    assert kept.accounts.tokens() == [one, two]
    kept.accounts.remove_token(one.id)
    assert kept.accounts.tokens() == [two]
    with pytest.raises(NotFound):
        kept.accounts.remove_token(one.id)
    kept.accounts.remove_user("ann")
    assert kept.accounts.tokens() == []
    assert kept.accounts.token_of(two.digest) is None


def test_a_token_has_a_user_and_a_name_of_its_own(kept: Kept) -> None:
    with pytest.raises(NotFound, match="nobody"):
        kept.accounts.add_token(a_token("nobody"))
    kept.accounts.add_user(a_user("ann", Role.ADMIN))
    kept.accounts.add_token(a_token("ann"))
    with pytest.raises(Conflict, match="ci"):
        kept.accounts.add_token(a_token("ann"))


def test_a_change_and_its_row_are_committed_together_or_not_at_all(kept: Kept) -> None:
    token = acting.set(an_action())
    try:
        kept.accounts.add_user(a_user("ann", Role.ADMIN))
        with pytest.raises(Conflict):
            kept.accounts.remove_user("ann")
    finally:
        acting.reset(token)
    (entry,) = kept.trail.entries(limit=10)
    assert (entry.user, entry.role, entry.via, entry.operation) == (
        "ann",
        Role.OPERATOR,
        "token ci",
        "trigger_pipeline",
    )
    assert (entry.request, entry.peer, entry.touched) == ("POST /x/y", "192.0.2.1", "user ann, admin")
    assert entry.at == kept.clock.now()


def test_what_nobody_asked_for_leaves_no_row(kept: Kept) -> None:
    kept.accounts.add_user(a_user("ann", Role.ADMIN))
    assert kept.trail.entries(limit=10) == []


def test_what_changed_nothing_here_can_be_noted_afterwards_and_once(kept: Kept) -> None:
    action = an_action(operation="kill_ingestion")
    kept.trail.note(action)
    kept.trail.note(action)
    assert [(entry.operation, entry.touched) for entry in kept.trail.entries(limit=10)] == [("kill_ingestion", None)]


def test_entries_are_paged_newest_first_and_by_user(kept: Kept) -> None:
    for number in range(5):
        kept.trail.note(an_action(name="ann" if number % 2 else "bob", operation=f"op{number}"))
    first = kept.trail.entries(limit=2)
    assert [entry.operation for entry in first] == ["op4", "op3"]
    assert [entry.operation for entry in kept.trail.entries(limit=9, before=first[-1].id)] == ["op2", "op1", "op0"]
    assert [entry.operation for entry in kept.trail.entries(limit=9, user="ann")] == ["op3", "op1"]


def test_old_entries_are_pruned_a_few_at_a_time(kept: Kept) -> None:
    for number in range(3):
        kept.trail.note(an_action(operation=f"op{number}"))
    kept.clock.advance(60)
    kept.trail.note(an_action(operation="new"))
    before = kept.clock.now()
    assert [kept.trail.prune(before=before, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [entry.operation for entry in kept.trail.entries(limit=10)] == ["new"]


def test_a_run_that_somebody_triggers_is_named(kept: Kept, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["kept"]
    with sql_stores(kind, url_for(kind, request)) as stores:
        assert stores.database is not None
        trail = SqlAuditTrail(stores.database, stores.clock)
        stores.database.have_witnessed(trail.witness)
        run = a_run()
        token = acting.set(an_action())
        try:
            stores.runs.enqueue(run)
        finally:
            acting.reset(token)
        assert [entry.touched for entry in trail.entries(limit=10)] == [f"shop.nightly, run {run.id}"]
