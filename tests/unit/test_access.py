"""Who may do what, and what is written down of it, without a server."""

from __future__ import annotations

import pytest

from minisched.acting import Action
from minisched.domain.access import PEOPLE, Permission, Principal, Role, least_role, lesser


def may(role: Role) -> set[Permission]:
    principal = Principal("x", role, "password")
    return {permission for permission in Permission if principal.may(permission)}


def test_each_role_of_people_may_what_the_one_before_it_may() -> None:
    assert may(Role.VIEWER) == {Permission.READ}
    assert may(Role.OPERATOR) == {Permission.READ, Permission.OPERATE}
    assert may(Role.ADMIN) == set(Permission)


def test_a_run_reports_and_declares_and_neither_deploys_nor_operates() -> None:
    assert may(Role.BOT) == {Permission.READ, Permission.REPORT, Permission.DECLARE}


@pytest.mark.parametrize("permission", Permission)
def test_the_least_role_is_the_first_that_may(permission: Permission) -> None:
    role = least_role(permission)
    allowed = [one for one in PEOPLE if permission in may(one)]
    assert role == allowed[0]


def test_the_lesser_of_two_roles() -> None:
    assert lesser(Role.ADMIN, Role.VIEWER) is Role.VIEWER
    assert lesser(Role.OPERATOR, Role.ADMIN) is Role.OPERATOR
    assert lesser(Role.VIEWER, Role.VIEWER) is Role.VIEWER


def test_an_action_is_told_once_for_each_thing_that_it_touches() -> None:
    action = Action(Principal("ann", Role.ADMIN, "password"), "deploy_pipelines", "POST /x", "127.0.0.1")
    assert action.unrecorded() == [None]
    action.touch("a")
    action.touch("a")
    assert action.unrecorded() == ["a"]
    action.note_recorded(["a"])
    assert action.unrecorded() == []
    action.touch("b")
    assert action.unrecorded() == ["b"]


def test_an_action_that_touches_nothing_is_told_once() -> None:
    action = Action(Principal("ann", Role.ADMIN, "password"), "add_follower", "PUT /x", "127.0.0.1")
    action.note_recorded(action.unrecorded())
    assert action.unrecorded() == []
