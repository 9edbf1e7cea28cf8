"""Who is known here, and what they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from minisched.acting import Action
from minisched.domain.access import Principal, Role


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a program that has a name; `password_hash` is argon2's own text."""

    name: str
    role: Role
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token of a user. Its text is known to whoever made it; here are the SHA-256 of it, and how it begins.

    It may what its user may, and no more than `role` may. Without `expires_at` it holds until it is revoked.
    """

    id: str
    name: str
    user: str
    role: Role
    digest: str
    beginning: str
    created_at: datetime
    expires_at: datetime | None


class AccountStore(Protocol):
    """Users and their tokens. Writes are durable when they return."""

    def users(self) -> list[User]:
        """By name."""

    def user(self, name: str) -> User | None: ...

    def add_user(self, user: User) -> None:
        """Raises Conflict when the name is taken."""

    def set_user(self, name: str, *, role: Role | None = None, password_hash: str | None = None) -> None:
        """What is None stays. Raises NotFound, and Conflict when no admin would be left."""

    def remove_user(self, name: str) -> None:
        """With all tokens. Raises NotFound, and Conflict when no admin would be left."""

    def tokens(self) -> list[ApiToken]:
        """Those that are not revoked, by user and name; also those that have expired."""

    def token_of(self, digest: str) -> tuple[ApiToken, User] | None:
        """The token with this digest, and whose it is."""

    def add_token(self, token: ApiToken) -> None:
        """Raises NotFound without the user, Conflict when the user has a token of this name."""

    def remove_token(self, token_id: str) -> None:
        """Raises NotFound."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change that somebody made. `touched` is the pipeline, run, user or token; `role` and `via` as in Principal."""

    id: int
    at: datetime
    user: str
    role: Role
    via: str
    operation: str
    request: str
    peer: str
    touched: str | None


class AuditTrail(Protocol):
    """Rows that were committed together with the changes that they tell of."""

    def note(self, action: Action) -> None:
        """A row, or several, for what this action has not left in the trail yet."""

    def entries(self, *, limit: int, before: int | None = None, user: str | None = None) -> list[AuditEntry]:
        """Newest first; `before` is the id of the last one of the page before."""

    def prune(self, *, before: datetime, limit: int) -> int:
        """Delete entries that are older; how many."""


class JwtVerifier(Protocol):
    """Checks bearer tokens that somebody else has signed."""

    def verify(self, token: str) -> Principal | None:
        """Whose it is; None when it is not a token of that issuer. Raises Unauthenticated when it is one and does not
        hold (expired, wrong signature), OrchestratorUnavailable when its keys cannot be had."""


class Authenticator(Protocol):
    """Tells who a caller is."""

    def remembered(self, authorization: str | None) -> Principal | None:
        """Whom these credentials belong to, if they were checked a moment ago. Does not block."""

    def identify(self, authorization: str | None, peer: str) -> Principal:
        """Raises Unauthenticated, TooManyFailures. May take a tenth of a second and ask the database."""
