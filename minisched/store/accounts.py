"""AccountStore: users and the digests of their tokens."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from minisched.acting import touches
from minisched.domain.access import Role
from minisched.domain.errors import Conflict, NotFound
from minisched.domain.instant import from_ms, to_ms
from minisched.ports import ApiToken, User
from minisched.store.columns import instant_or_none, ms_or_none
from minisched.store.engine import Database
from minisched.store.tables import tokens, users

_WITH_USER = select(
    tokens, users.c.role.label("user_role"), users.c.password_hash, users.c.created_ms.label("user_created_ms")
).join(users, users.c.name == tokens.c.user_name)


class SqlAccountStore:
    """The tables `users` and `tokens`; implements `ports.AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def users(self) -> list[User]:
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.name))]

    def user(self, name: str) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
        return None if row is None else _user(row)

    def add_user(self, user: User) -> None:
        row = {
            "name": user.name,
            "role": user.role.value,
            "password_hash": user.password_hash,
            "created_ms": to_ms(user.created_at),
        }

        def add(connection: Connection) -> None:
            touches(f"user {user.name}, {user.role}")
            connection.execute(insert(users), row)

        try:
            self._database.transact(add)
        except Conflict:
            raise Conflict(f"There is a user {user.name} already.") from None

    def set_user(self, name: str, *, role: Role | None = None, password_hash: str | None = None) -> None:
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = role.value
        if password_hash is not None:
            values["password_hash"] = password_hash

        def change(connection: Connection) -> None:
            touches(f"user {name}, {role}" if role else f"user {name}")
            _hold_admins(connection)
            _refuse_unknown(name, connection.execute(update(users).where(users.c.name == name).values(**values)))
            _refuse_no_admin(connection)

        self._database.transact(change)

    def remove_user(self, name: str) -> None:
        def remove(connection: Connection) -> None:
            touches(f"user {name}")
            _hold_admins(connection)
            _refuse_unknown(name, connection.execute(delete(users).where(users.c.name == name)))
            _refuse_no_admin(connection)

        self._database.transact(remove)

    def tokens(self) -> list[ApiToken]:
        with self._database.read() as connection:
            found = connection.execute(select(tokens).order_by(tokens.c.user_name, tokens.c.name))
            return [_token(row) for row in found]

    def token_of(self, digest: str) -> tuple[ApiToken, User] | None:
        with self._database.read() as connection:
            row = connection.execute(_WITH_USER.where(tokens.c.digest == digest)).one_or_none()
        if row is None:
            return None
        owner = User(row.user_name, Role(row.user_role), row.password_hash, from_ms(row.user_created_ms))
        return _token(row), owner

    def add_token(self, token: ApiToken) -> None:
        row = {
            "id": token.id,
            "user_name": token.user,
            "name": token.name,
            "role": token.role.value,
            "digest": token.digest,
            "beginning": token.beginning,
            "created_ms": to_ms(token.created_at),
            "expires_ms": ms_or_none(token.expires_at),
        }

        def add(connection: Connection) -> None:
            touches(f"token {token.name} of {token.user}, {token.role}")
            owner = select(users.c.name).where(users.c.name == token.user)
            if connection.execute(owner).first() is None:
                raise NotFound(f"There is no user {token.user}.")
            connection.execute(insert(tokens), row)

        try:
            self._database.transact(add)
        except Conflict:
            raise Conflict(f"{token.user} has a token {token.name} already.", hint="Revoke it first.") from None

    def remove_token(self, token_id: str) -> None:
        def remove(connection: Connection) -> None:
            touches(f"token {token_id}")
            if not connection.execute(delete(tokens).where(tokens.c.id == token_id)).rowcount:
                raise NotFound(f"There is no token {token_id}.")

        self._database.transact(remove)


def _refuse_unknown(name: str, done: Any) -> None:
    if not done.rowcount:
        raise NotFound(f"There is no user {name}.")


def _hold_admins(connection: Connection) -> None:
    """Whoever else is about to take an admin away waits here, and then sees what became of ours."""
    admins = select(users.c.name).where(users.c.role == Role.ADMIN.value).order_by(users.c.name)
    connection.execute(admins.with_for_update()).all()


def _refuse_no_admin(connection: Connection) -> None:
    admins = select(func.count()).select_from(users).where(users.c.role == Role.ADMIN.value)
    if not connection.execute(admins).scalar_one():
        raise Conflict("This is the only admin; there would be nobody left to manage the server.")


def _user(row: Row[Any]) -> User:
    return User(row.name, Role(row.role), row.password_hash, from_ms(row.created_ms))


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        user=row.user_name,
        role=Role(row.role),
        digest=row.digest,
        beginning=row.beginning,
        created_at=from_ms(row.created_ms),
        expires_at=instant_or_none(row.expires_ms),
    )
