"""Watching a run of the server: who stops watching learns that it goes on, and how to watch it again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from minisched.cli.exit_codes import ServerUnreachable
from minisched.cli.own_command import own_command
from minisched.cli.run_log import follow_log
from minisched.cli.server import Server


def watch_run(server: Server, pipeline: str, run_id: str, write: Callable[[bytes], None]) -> None:
    """Follow the log of a run to its end; `pipeline` is what the person called it.

    Raises NotFound, ServerUnreachable and KeyboardInterrupt, the last two after saying how to go on. All of that is on
    stderr: stdout is the log's.
    """
    click.echo(f"run {run_id}", err=True)
    with _told_how_to_go_on(pipeline, run_id):
        follow_log(server, run_id, write)


@contextmanager
def _told_how_to_go_on(pipeline: str, run_id: str) -> Iterator[None]:
    again = shlex.join(["pipeline", "logs", pipeline, "--follow", "--run", run_id])
    command = f"{own_command(os.environ)} {again}"
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nrun {run_id} goes on; follow it again: {command}", err=True)
        raise
    except ServerUnreachable as error:
        # It outlives its server, unless the settings say that it is stopped with it.
        hint = f"Run {run_id} goes on unless it was stopped with the server; follow it again: {command}"
        raise ServerUnreachable(error.message, field=error.field, hint=hint) from error
