"""`minisched runs`: every run that the server knows, by id."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.pipeline_lookup import pipeline_key
from minisched.cli.printing import console, print_json
from minisched.cli.run_report import end_line, print_end, queue_table, run_facts, runs_table
from minisched.cli.server import QUEUE, RUNS
from minisched.domain.run import RunState

# Longer than the longest usual grace period; the server answers as soon as the run has ended.
_STOPPED_WITHIN_S = 100


@click.group(short_help="List, show and stop runs; see what waits.")
def runs() -> None:
    """List, show and stop runs; see what waits, and why."""


@runs.command("list", short_help="List runs, newest first.")
@click.option("--pipeline", help="Only those of this pipeline (name, FQN or id).")
@click.option(
    "--state", type=click.Choice([state.value for state in RunState]), multiple=True, help="Only in this state."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def list_runs(invocation: Invocation, pipeline: str | None, state: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    params: dict[str, Any] = {"limit": limit}
    with invocation.server() as server:
        if pipeline:
            params["pipeline"] = pipeline_key(server, pipeline)
        if state:
            params["state"] = ",".join(state)
        found = server.get(RUNS, params)["data"]
    if as_json:
        print_json(found)
    else:
        console().print(runs_table(found))


@runs.command("queue", short_help="List what waits, and why.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def list_queue(invocation: Invocation, limit: int, as_json: bool) -> None:
    """List queued runs in the order in which they may start, each with the reason why it waits."""
    with invocation.server() as server:
        queue = server.get(QUEUE, {"limit": limit})
    if as_json:
        print_json(queue)
        return
    out = console()
    out.print(queue_table(queue["data"]))
    out.print(Text(f"{queue['running']} of {queue['slots']} slots are taken."))


@runs.command(short_help="Show one run.")
@click.argument("run_id", metavar="RUN")
@json_option
@pass_invocation
def show(invocation: Invocation, run_id: str, as_json: bool) -> None:
    """Show a run: state, times, steps and what went wrong."""
    with invocation.server() as server:
        run = server.get(f"{RUNS}/{run_id}")
    if as_json:
        print_json(run)
        return
    out = console()
    out.print(run_facts(run))
    print_end(out, run)


@runs.command(short_help="Stop one run.")
@click.argument("run_id", metavar="RUN")
@json_option
@pass_invocation
def stop(invocation: Invocation, run_id: str, as_json: bool) -> None:
    """Stop a queued or running run; returns when its processes are gone. A run that has ended stays as it is."""
    with invocation.server() as server:
        stopped = server.post(f"{RUNS}/{run_id}/stop?wait_s={_STOPPED_WITHIN_S}")
    if as_json:
        print_json(stopped)
    else:
        console().print(Text(f"{run_id}: ").append_text(end_line(stopped)))
