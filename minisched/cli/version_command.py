"""`minisched version`."""

from __future__ import annotations

import platform

import click

from minisched import __version__
from minisched.cli.invocation import json_option
from minisched.cli.printing import print_json


@click.command(short_help="Print the version.")
@json_option
def version(as_json: bool) -> None:
    """Print the version of minisched and of the Python that it runs on."""
    if as_json:
        print_json({"minisched": __version__, "python": platform.python_version()})
    else:
        click.echo(f"minisched {__version__} (Python {platform.python_version()})")
