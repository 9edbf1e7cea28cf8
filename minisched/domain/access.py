"""Who may do what: people by their role, runs by being runs (contract §3.1, column permission, made fewer)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is here. People are one of the first three; BOT is a run that reports to us."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    BOT = "bot"


class Permission(StrEnum):
    """What a route asks of its callers."""

    READ = "read"
    # Trigger, kill, enable and disable: what changes no pipeline.
    OPERATE = "operate"
    # What a workflow tells of its own run and sends to the catalog.
    REPORT = "report"
    # Put an entity, deploying nothing: workflows that were started elsewhere do, too (contract §7.1).
    DECLARE = "declare"
    CHANGE = "change"


# The key under which a route says what it needs: a Permission, or one by HTTP method, or one of the two words below.
# A route that says nothing is closed to everybody.
ACCESS = "access"
ANYBODY = "anybody"
# It has an account of its own and checks it itself.
BY_ITSELF = "by itself"

# From the least to the most that one may be given; each may what those before it may.
PEOPLE = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)

_MAY: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.ADMIN: frozenset(Permission),
    Role.BOT: frozenset({Permission.READ, Permission.REPORT, Permission.DECLARE}),
}


# How a run of this node shows who it is.
RUN = "run"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credentials were checked. `via` says by what: password, a token's name, jwt, run, plugin."""

    name: str
    role: Role
    via: str

    def may(self, permission: Permission) -> bool:
        return permission in _MAY[self.role]


def least_role(permission: Permission) -> Role:
    """The role that a person needs at least."""
    return next(role for role in PEOPLE if permission in _MAY[role])


def lesser(one: Role, other: Role) -> Role:
    """The one of two roles of people that may less."""
    return min(one, other, key=PEOPLE.index)
