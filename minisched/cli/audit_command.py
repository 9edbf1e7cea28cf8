"""`minisched audit`: who changed what, and when."""

from __future__ import annotations

from typing import Any

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table, when
from minisched.cli.server import AUDIT


@click.command(short_help="List who changed what, and when.")
@click.option("--user", help="Only what this user did.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def audit(invocation: Invocation, user: str | None, limit: int, as_json: bool) -> None:
    """List what was changed, newest first: by whom, how they showed who they are, from where."""
    params: dict[str, Any] = {"limit": limit} | ({"user": user} if user else {})
    with invocation.server() as server:
        found = server.get(AUDIT, params)["data"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            when(entry["at"]),
            entry["user"],
            entry["via"],
            entry["operation"],
            entry.get("touched") or entry["request"],
            entry["peer"],
        )
        for entry in found
    ]
    console().print(table(("WHEN", "USER", "VIA", "DID", "TO", "FROM"), rows))
