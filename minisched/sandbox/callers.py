"""Who asks: a run with the sandbox's own token, or anybody else."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

BOT_NAME = "ingestion-bot"
ADMIN_NAME = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """`is_bot`: a run, which sees secrets in clear and whose PUT does not overwrite what people wrote."""

    name: str
    is_bot: bool


BOT = Caller(BOT_NAME, is_bot=True)
ADMIN = Caller(ADMIN_NAME, is_bot=False)


def caller_of(authorization: str | None, bot_token: str) -> Caller:
    """The caller that an Authorization header names; whoever has not the token is `admin` and sees masks."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and bot_token and _equal(token.strip(), bot_token):
        return BOT
    return ADMIN


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(_digest(given), _digest(expected))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
