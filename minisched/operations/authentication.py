"""Who a caller is, by the Authorization header: a user's password, a token of ours, a run's, or an OpenMetadata JWT."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from minisched.domain.access import RUN, Principal, Role, lesser
from minisched.domain.errors import TooManyFailures, Unauthenticated
from minisched.operations.accounts import TOKEN_PREFIX, token_digest
from minisched.operations.failed_attempts import FailedAttempts
from minisched.operations.passwords import OF_NOBODY, fits
from minisched.ports import AccountStore, Clock, JwtVerifier

_log = structlog.get_logger(__name__)

# How long a check is believed: so long a revoked token, a removed user or a lesser role may still count.
_FRESH_S = 1.0
_MOST_REMEMBERED = 256
_BOT = Principal("ingestion-bot", Role.BOT, RUN)


@dataclass(frozen=True, slots=True)
class _Checked:
    """`proof` is the password hash that a password was compared with; None when it was no password."""

    principal: Principal
    proof: str | None
    at_s: float


class Authentication:
    """Implements `ports.Authenticator`; thread-safe.

    `bot_token` is what runs of this node show the sandbox. A password is compared with its slow hash once: for as long
    as that hash is the user's, the same password is recognised by a keyed digest in memory.
    """

    def __init__(
        self,
        store: AccountStore,
        clock: Clock,
        *,
        bot_token: str | None = None,
        jwt: JwtVerifier | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._bot = None if bot_token is None else token_digest(bot_token)
        self._jwt = jwt
        self._now_s = now_s
        self._failures = FailedAttempts(now_s)
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._checked: OrderedDict[bytes, _Checked] = OrderedDict()

    def remembered(self, authorization: str | None) -> Principal | None:
        checked = self._checked.get(self._digest(authorization)) if authorization else None
        return checked.principal if checked is not None and self._now_s() - checked.at_s < _FRESH_S else None

    def identify(self, authorization: str | None, peer: str) -> Principal:
        """A request without credentials is no guess and does not count as one; credentials that were right before
        are not made to wait for the guesses of others behind the same address."""
        if not authorization:
            raise Unauthenticated("Not authorized! Token not present")
        digest = self._digest(authorization)
        before = self._checked.get(digest)
        if before is None and (wait_s := self._failures.wait_s(peer)) > 0:
            raise TooManyFailures(f"Too many failed attempts from this address; try again in {wait_s:.0f} s.")
        try:
            checked = self._check(authorization, before)
        except Unauthenticated as refusal:
            _log.warning("auth.refused", peer=peer, why=str(refusal))
            self._failures.note(peer)
            with self._lock:
                self._checked.pop(digest, None)
            raise
        with self._lock:
            self._checked[digest] = checked
            self._checked.move_to_end(digest)
            while len(self._checked) > _MOST_REMEMBERED:
                self._checked.popitem(last=False)
        return checked.principal

    def _check(self, authorization: str, before: _Checked | None) -> _Checked:
        scheme, _, credentials = authorization.partition(" ")
        match scheme.lower():
            case "basic":
                return self._password(_basic(credentials.strip()), before.proof if before else None)
            case "bearer":
                return _Checked(self._bearer(credentials.strip()), None, self._now_s())
        raise Unauthenticated("Not authorized! This needs Basic authentication or a Bearer token.")

    def _password(self, given: tuple[str, str], proof: str | None) -> _Checked:
        name, password = given
        user = self._store.user(name)
        password_hash = OF_NOBODY if user is None else user.password_hash
        right = proof == password_hash or fits(password, password_hash)
        if user is None or not right:
            raise Unauthenticated("Not authorized! The user name or the password is wrong.")
        return _Checked(Principal(user.name, user.role, "password"), password_hash, self._now_s())

    def _bearer(self, token: str) -> Principal:
        digest = token_digest(token)
        if self._bot is not None and hmac.compare_digest(digest, self._bot):
            return _BOT
        if token.startswith(TOKEN_PREFIX):
            return self._own_token(digest)
        if self._jwt is not None and (principal := self._jwt.verify(token)) is not None:
            return principal
        raise Unauthenticated("Not authorized! Invalid token.")

    def _own_token(self, digest: str) -> Principal:
        found = self._store.token_of(digest)
        if found is None:
            raise Unauthenticated("Not authorized! Invalid token: it was revoked, or never made here.")
        token, user = found
        if token.expires_at is not None and token.expires_at <= self._clock.now():
            raise Unauthenticated("Not authorized! Expired token!")
        return Principal(user.name, lesser(token.role, user.role), f"token {token.name}")

    def _digest(self, authorization: str) -> bytes:
        """Stands for credentials in memory; of no use without this process' key."""
        return hmac.digest(self._key, authorization.encode("utf-8", "surrogatepass"), hashlib.sha256)


class OnlyRuns:
    """An Authenticator that knows nobody but the runs of this node."""

    def __init__(self, bot_token: str) -> None:
        self._bot = token_digest(bot_token)

    def remembered(self, authorization: str | None) -> Principal | None:
        scheme, _, token = (authorization or "").partition(" ")
        is_run = scheme.lower() == "bearer" and hmac.compare_digest(token_digest(token.strip()), self._bot)
        return _BOT if is_run else None

    def identify(self, authorization: str | None, peer: str) -> Principal:  # noqa: ARG002 - it is no use guessing
        if (run := self.remembered(authorization)) is None:
            raise Unauthenticated("Not authorized! Invalid token.")
        return run


def _basic(credentials: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    name, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated("Not authorized! The Basic credentials are not a user name and a password.")
    return name, password
