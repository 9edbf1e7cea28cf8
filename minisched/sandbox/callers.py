"""Who asks: a run, which sees secrets in clear, or a person, who sees masks."""

from __future__ import annotations

from dataclasses import dataclass

from minisched.domain.access import RUN, Principal, Role

BOT_NAME = "ingestion-bot"
ADMIN_NAME = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """`is_bot`: a run, which sees secrets in clear and whose PUT does not overwrite what people wrote."""

    name: str
    is_bot: bool


BOT = Caller(BOT_NAME, is_bot=True)
ADMIN = Caller(ADMIN_NAME, is_bot=False)


def caller_of(principal: Principal) -> Caller:
    """A bot of another OpenMetadata server is none of our runs, and learns no secret."""
    return BOT if principal.role is Role.BOT and principal.via == RUN else Caller(principal.name, is_bot=False)
