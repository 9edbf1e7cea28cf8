"""`minisched user …`: who may do what. Works on the database of the settings, whether a server runs or not."""

from __future__ import annotations

import secrets
import sys

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table, when
from minisched.domain.access import PEOPLE, Role
from minisched.domain.errors import InvalidInput
from minisched.domain.instant import to_ms

_ROLES = click.Choice([role.value for role in PEOPLE])
_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, up to the end of the line."
)


@click.group(short_help="Say who may do what: add, list, change and remove users.")
def user() -> None:
    """Say who may do what. A viewer reads; an operator also triggers, kills, enables and disables; an admin may do
    everything, and whoever may deploy can run code on this machine.

    These commands work on the database of the settings: for whoever may read the data directory, and also when the
    password of the last admin was lost. A running server heeds a change within a second.
    """


@user.command("add", short_help="Add a user.")
@click.argument("name")
@click.option("--role", type=_ROLES, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@_PASSWORD_STDIN
@json_option
@pass_invocation
def add_user(invocation: Invocation, name: str, role: str, password_stdin: bool, as_json: bool) -> None:
    """Add the user NAME. The password is asked for on a terminal; elsewhere one is made up and printed."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "user add") as accounts:
        password, made_up = _password(password_stdin)
        accounts.add(name, Role(role), password)
    if as_json:
        print_json({"name": name, "role": role} | ({"password": password} if made_up else {}))
        return
    click.echo(f"{name} is {role} now" + (f"; password: {password}" if made_up else ""))


@user.command("list", short_help="List the users.")
@json_option
@pass_invocation
def list_users(invocation: Invocation, as_json: bool) -> None:
    """List the users."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "user list") as accounts:
        found = accounts.users()
    if as_json:
        print_json([{"name": one.name, "role": one.role, "createdAt": to_ms(one.created_at)} for one in found])
        return
    rows = [(one.name, one.role, when(to_ms(one.created_at))) for one in found]
    console().print(table(("NAME", "ROLE", "CREATED"), rows))


@user.command("role", short_help="Give a user another role.")
@click.argument("name")
@click.argument("role", type=_ROLES)
@pass_invocation
def set_role(invocation: Invocation, name: str, role: str) -> None:
    """Give the user NAME another ROLE; the last admin stays one. Tokens of the user may no more than the user."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "user role") as accounts:
        accounts.set_role(name, Role(role))
    click.echo(f"{name} is {role} now")


@user.command("passwd", short_help="Give a user another password.")
@click.argument("name")
@_PASSWORD_STDIN
@pass_invocation
def set_password(invocation: Invocation, name: str, password_stdin: bool) -> None:
    """Give the user NAME another password. Tokens of the user stay valid; revoke those that should not."""
    from minisched.app import forget_admin_password, local_accounts

    with local_accounts(invocation.settings, "user passwd") as accounts:
        password, made_up = _password(password_stdin)
        accounts.set_password(name, password)
    forget_admin_password(invocation.settings, name)
    click.echo(f"the password of {name} was changed" + (f" to {password}" if made_up else ""))


@user.command("remove", short_help="Remove a user with all tokens.")
@click.argument("name")
@pass_invocation
def remove_user(invocation: Invocation, name: str) -> None:
    """Remove the user NAME with all tokens; the last admin stays."""
    from minisched.app import local_accounts

    with local_accounts(invocation.settings, "user remove") as accounts:
        accounts.remove(name)
    click.echo(f"{name} is removed, with all tokens")


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether we have made it up. Raises InvalidInput."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\n")
        if not password:
            raise InvalidInput("there is no password on standard input", field="--password-stdin")
        return password, False
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt="Once more"), False
    return secrets.token_urlsafe(18), True
