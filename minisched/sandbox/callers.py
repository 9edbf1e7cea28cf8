"""Who asks: a run, which sees secrets in clear, or a person, who sees masks."""

from __future__ import annotations

from dataclasses import dataclass

from minisched.domain.access import RUN, Permission, Principal, Role

BOT_NAME = "ingestion-bot"
ADMIN_NAME = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """`is_bot`: a run, which sees secrets in clear and whose PUT does not overwrite what people wrote. `may_change`:
    may delete services together with their pipelines."""

    name: str
    is_bot: bool
    may_change: bool


BOT = Caller(BOT_NAME, is_bot=True, may_change=False)
ADMIN = Caller(ADMIN_NAME, is_bot=False, may_change=True)


def caller_of(principal: Principal) -> Caller:
    """A bot of another OpenMetadata server is none of our runs, and learns no secret."""
    if principal.role is Role.BOT and principal.via == RUN:
        return BOT
    return Caller(principal.name, is_bot=False, may_change=principal.may(Permission.CHANGE))
