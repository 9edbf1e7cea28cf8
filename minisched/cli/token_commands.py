"""`minisched token …`: what scripts and programs show instead of a password."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table, when
from minisched.domain.access import PEOPLE, Role
from minisched.domain.errors import InvalidInput
from minisched.domain.instant import to_ms

_ROLES = click.Choice([role.value for role in PEOPLE])
_DURATION = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_NEVER = "never"


@click.group(short_help="Create, list and revoke tokens for scripts and programs.")
def token() -> None:
    """Create, list and revoke tokens for scripts and programs. A token belongs to a user and may no more than that
    user may. Like `minisched user`, these commands work on the database of the settings.
    """


@token.command("create", short_help="Create a token and print it, once.")
@click.argument("name")
@click.option("--user", "owner", default="admin", show_default=True, help="Whose token it is.")
@click.option("--role", type=_ROLES, default=Role.OPERATOR.value, show_default=True, help="What it may do at most.")
@click.option("--expires", default="90d", show_default=True, help="How long it holds: 12h, 90d, 52w, or never.")
@json_option
@pass_invocation
def create_token(invocation: Invocation, name: str, owner: str, role: str, expires: str, as_json: bool) -> None:
    """Create the token NAME and print it: here and now only, the server keeps no more than its hash.

    Use it as `Authorization: Bearer …`, or in MINISCHED_TOKEN for these commands.
    """
    from minisched.app import local_accounts

    valid_for = _duration(expires)
    with local_accounts(invocation.settings, "token create") as accounts:
        made = accounts.add_token(name, user=owner, role=Role(role), valid_for=valid_for)
    if as_json:
        expires_at = made.token.expires_at
        print_json(
            {
                "id": made.token.id,
                "name": name,
                "user": owner,
                "role": role,
                "expiresAt": to_ms(expires_at) if expires_at else None,
                "token": made.text,
            }
        )
        return
    click.echo(made.text)


@token.command("list", short_help="List the tokens.")
@json_option
@pass_invocation
def list_tokens(invocation: Invocation, as_json: bool) -> None:
    """List the tokens that are not revoked: how they begin, whose they are, until when they hold."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "token list") as accounts:
        found = accounts.tokens()
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "name": one.name,
                    "user": one.user,
                    "role": one.role,
                    "beginning": one.beginning,
                    "createdAt": to_ms(one.created_at),
                    "expiresAt": to_ms(one.expires_at) if one.expires_at else None,
                }
                for one in found
            ]
        )
        return
    rows = [
        (one.name, one.user, one.role, f"{one.beginning}…", when(to_ms(one.created_at)), _until(one.expires_at), one.id)
        for one in found
    ]
    console().print(table(("NAME", "USER", "ROLE", "BEGINS", "CREATED", "HOLDS UNTIL", "ID"), rows))


@token.command("revoke", short_help="Revoke a token.")
@click.argument("named")
@pass_invocation
def revoke_token(invocation: Invocation, named: str) -> None:
    """Revoke the token with this name or id; a running server heeds it within a second."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "token revoke") as accounts:
        gone = accounts.revoke(named)
    click.echo(f"the token {gone.name} of {gone.user} is revoked")


def _duration(text: str) -> timedelta | None:
    if text == _NEVER:
        return None
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InvalidInput(f"{text!r} is no duration", field="--expires", hint="Such as 12h, 90d, 52w, or never.")
    return int(found[1]) * _UNITS[found[2]]


def _until(moment: datetime | None) -> str:
    if moment is None:
        return _NEVER
    return when(to_ms(moment)) + (" (expired)" if moment <= datetime.now(UTC) else "")
