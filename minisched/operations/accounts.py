"""Users and tokens: make them, change them, take them away."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from minisched.domain.access import PEOPLE, Role, lesser
from minisched.domain.errors import InvalidInput, NotFound
from minisched.operations.passwords import hashed
from minisched.ports import AccountStore, ApiToken, Clock, User

ADMIN = "admin"
# Tells scanners of leaked secrets, and people, what it is.
TOKEN_PREFIX = "minisched_"  # noqa: S105 - no token, the beginning of every one

_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]([^:\x00-\x1f\x7f]{0,126}[^\s:\x00-\x1f\x7f])?")
_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 1024
_SHOWN = len(TOKEN_PREFIX) + 6


@dataclass(frozen=True, slots=True)
class NewToken:
    """`text` is told once, here, and kept nowhere."""

    token: ApiToken
    text: str


class Accounts:
    """Raises InvalidInput for names, roles and passwords that cannot be, and what the store raises."""

    def __init__(self, store: AccountStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def users(self) -> list[User]:
        return self._store.users()

    def add(self, name: str, role: Role, password: str) -> User:
        _check_name(name, "name")
        _check_person(role)
        _check_password(password)
        user = User(name, role, hashed(password), self._clock.now())
        self._store.add_user(user)
        return user

    def set_role(self, name: str, role: Role) -> None:
        _check_person(role)
        self._store.set_user(name, role=role)

    def set_password(self, name: str, password: str) -> None:
        _check_password(password)
        self._store.set_user(name, password_hash=hashed(password))

    def remove(self, name: str) -> None:
        """With all tokens."""
        self._store.remove_user(name)

    def tokens(self) -> list[ApiToken]:
        return self._store.tokens()

    def add_token(self, name: str, *, user: str, role: Role, valid_for: timedelta | None) -> NewToken:
        """A token of the user, who may not give away more than the user has. Raises NotFound without the user."""
        _check_name(name, "name")
        _check_person(role)
        owner = self._store.user(user)
        if owner is None:
            raise NotFound(f"There is no user {user}.")
        if lesser(role, owner.role) is not role:
            raise InvalidInput(f"{user} is {owner.role}: a token cannot be {role}", field="role")
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._clock.now()
        token = ApiToken(
            id=str(uuid4()),
            name=name,
            user=user,
            role=role,
            digest=token_digest(text),
            beginning=text[:_SHOWN],
            created_at=now,
            expires_at=None if valid_for is None else now + valid_for,
        )
        self._store.add_token(token)
        return NewToken(token, text)

    def revoke(self, named: str) -> ApiToken:
        """The token of this id, of this name, or whose text begins like this. Raises NotFound, InvalidInput."""
        found = [token for token in self._store.tokens() if named in (token.id, token.name, token.beginning)]
        if not found:
            raise NotFound(f"There is no token {named}.")
        if len(found) > 1:
            ids = ", ".join(f"{token.id} of {token.user}" for token in found)
            raise InvalidInput(f"{named} could be several tokens: {ids}", hint="Name one of them by its id.")
        self._store.remove_token(found[0].id)
        return found[0]


def token_digest(text: str) -> str:
    """A token has 256 random bits: no salt and no slow hash could make it harder to guess."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_name(name: str, field: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput("must have 1 to 128 characters, no colon, and no blank at its ends", field=field)


def _check_person(role: Role) -> None:
    if role not in PEOPLE:
        raise InvalidInput(f"is one of {', '.join(PEOPLE)}", field="role")


def _check_password(password: str) -> None:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise InvalidInput(f"must have {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters", field="password")
