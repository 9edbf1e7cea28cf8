"""`minisched serve`: the server in the foreground, with its most used settings as options."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import click

from minisched.cli.invocation import Invocation, pass_invocation

# Each option is the setting of this variable, and wins over it.
_VARIABLE_OF_OPTION = {
    "host": "MINISCHED_SERVER__HOST",
    "port": "MINISCHED_SERVER__PORT",
    "data_dir": "MINISCHED_DATA_DIR",
    "database_url": "MINISCHED_DATABASE__URL",
    "runtime": "MINISCHED_RUNTIME__DEFAULT",
    "slots": "MINISCHED_EXECUTOR__SLOTS",
    "standby": "MINISCHED_SERVER__STANDBY",
    "log_format": "MINISCHED_LOGGING__FORMAT",
    "log_level": "MINISCHED_LOGGING__LEVEL",
}


@click.command(short_help="Run the server: REST API, scheduler, executor and sandbox.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes a free one.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Where everything is kept.")
@click.option("--database-url", help="PostgreSQL or MySQL/MariaDB instead of the SQLite file in the data directory.")
@click.option("--runtime", help="Default runtime: a name, the path of an interpreter, or auto.")
@click.option("--slots", type=click.IntRange(1, 256), help="Runs at the same time.")
@click.option(
    "--standby",
    is_flag=True,
    default=None,
    help="Wait while another server holds the database, and take over when it is gone.",
)
@click.option(
    "--log-format", type=click.Choice(["auto", "json", "console"]), help="What the server's own log looks like."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level that is logged."
)
@click.option(
    "--stop-with-stdin",
    is_flag=True,
    help="Stop when standard input ends: for a program that starts a server of its own and may die.",
)
@pass_invocation
def serve(invocation: Invocation, /, stop_with_stdin: bool, **options: object) -> int:
    """Run the server until it is told to stop (Ctrl-C or SIGTERM). SIGHUP has it read its settings again.

    Options win over MINISCHED_… variables, which win over the settings file.
    """
    from minisched import app, process_secrecy

    process_secrecy.hide_memory()
    chosen = {_VARIABLE_OF_OPTION[name]: str(value) for name, value in options.items() if value is not None}
    settings = invocation.settings_with(chosen)
    if stop_with_stdin:
        threading.Thread(target=_stop_when_stdin_ends, name="stdin", daemon=True).start()
    return app.serve(settings, lambda: invocation.settings_with(chosen))


def _stop_when_stdin_ends() -> None:
    """The kernel closes the pipe however its writer died, so no server outlives the program it belongs to."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
