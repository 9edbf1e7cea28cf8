"""`minisched db`: the schema and the backup of the database that the settings name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import print_json


@click.group(short_help="Upgrade, inspect and back up the database.")
def db() -> None:
    """Upgrade, inspect and back up the database that the settings name."""


def _url(invocation: Invocation) -> str:
    return invocation.settings.database_url.get_secret_value()


def _is_file(url: str) -> bool:
    return url.startswith("sqlite")


@db.command(short_help="Bring the schema to this version.")
@json_option
@pass_invocation
def upgrade(invocation: Invocation, as_json: bool) -> None:
    """Bring the database to the schema of this version.

    An SQLite file is copied first (`serve` does the same by itself); of a database server make a backup before.
    """
    from minisched.settings import prepare_data_dir
    from minisched.store import migrations

    prepare_data_dir(invocation.settings.data_dir)
    url = _url(invocation)
    before = migrations.current(url)
    copy = migrations.prepare(url).backup if _is_file(url) else None
    now = migrations.upgrade(url)
    if as_json:
        print_json({"before": before, "now": now, "backup": str(copy) if copy else None})
    elif before == now:
        click.echo(f"the database is at revision {now} already")
    else:
        click.echo(f"upgraded from {before or 'nothing'} to {now}" + (f"; backup: {copy}" if copy else ""))


@db.command(short_help="Print the revision of the schema.")
@json_option
@pass_invocation
def current(invocation: Invocation, as_json: bool) -> None:
    """Print the revision of the database, and the one that this version needs."""
    from minisched.store import migrations

    url = _url(invocation)
    revision, head = (None if _is_absent_file(invocation) else migrations.current(url)), migrations.head()
    if as_json:
        print_json({"current": revision, "head": head})
    else:
        click.echo(f"{revision or 'empty'} (this version needs {head})")


def _is_absent_file(invocation: Invocation) -> bool:
    """Asking must not create an empty database."""
    settings = invocation.settings
    return settings.database.url is None and not (settings.data_dir / "minisched.db").exists()


@db.command(short_help="Copy an SQLite database while it is used.")
@click.argument("target", required=False, type=click.Path(dir_okay=False, path_type=Path))
@json_option
@pass_invocation
def backup(invocation: Invocation, target: Path | None, as_json: bool) -> None:
    """Copy the SQLite database into TARGET, consistently, also while a server uses it.

    Without TARGET the copy gets a name with the time, beside the data. The key of its secrets is not in it.
    """
    from minisched.store import migrations

    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = target or invocation.settings.data_dir / f"minisched.db.{moment}.backup"
    copy = migrations.backup(_url(invocation), target)
    if as_json:
        print_json({"backup": str(copy), "bytes": copy.stat().st_size})
    else:
        click.echo(f"{copy} ({copy.stat().st_size:,} bytes)")
