"""`minisched demo`: from nothing to a real ingestion run and what it found, in one command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from minisched.cli import exit_codes
from minisched.cli.demo_run import Demo, Outcome
from minisched.cli.interruption import interrupted_once
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.own_command import own_command
from minisched.cli.printing import OurConsole, console, print_json, seconds
from minisched.cli.run_report import print_end

_STRONG = "bold green"


@click.command(short_help="Show a real ingestion run on a sample database, from nothing.")
@click.option("--keep", is_flag=True, help="Leave the server running, to look around.")
@json_option
@pass_invocation
def demo(invocation: Invocation, keep: bool, as_json: bool) -> int:
    """Show a real ingestion run on a sample database, from nothing.

    Creates a runtime if there is none (some minutes, once), makes a sample database, starts a server with its own
    sandbox catalog, deploys and triggers a metadata pipeline, shows its log as it is written, and what arrived.
    Everything is kept in the directory demo of the data directory; Ctrl-C leaves nothing running.
    """
    with interrupted_once(b"\nminisched: stopping the demo\n"):
        outcome = Demo(invocation.settings, _Narrator(to_stderr=as_json), keep=keep).perform()
    if as_json:
        print_json(outcome.document())
    else:
        _print(console(), outcome, own_command(invocation.environ))
    return exit_codes.of_state(outcome.run["state"])


class _Narrator:
    """Tells a person what is going on: a line per step that was done, and the log of the run as it is written."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = console(stderr=to_stderr)
        self._stream = (sys.stderr if to_stderr else sys.stdout).buffer

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """A spinner, where somebody looks, while it is done."""
        with self._console.status(Text(what)):
            yield

    def done(self, what: str, took_s: float | None = None) -> None:
        line = Text("✓ ", style="green").append(what, style="default")
        if took_s is not None:
            line.append(f"  {seconds(took_s)}", style="dim")
        self._console.print_line(line)

    def log(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()


def _print(out: OurConsole, outcome: Outcome, command: str) -> None:
    out.print()
    out.print(_tree(outcome.arrived))
    out.print()
    print_end(out, outcome.run)
    out.print(_comparison(outcome))
    if outcome.at.kept:
        for line in _how_to_look_around(outcome, command):
            out.print_line(line)


def _how_to_look_around(outcome: Outcome, command: str) -> Iterator[str]:
    """What of the kept server is to be copied and pasted, a thing a line."""
    at, password_file = outcome.at, shlex.quote(str(outcome.password_file))
    yield f"The server goes on at {at.url} (process {at.pid}); `kill {at.pid}` stops it."
    yield f"  user: admin, password: in {outcome.password_file}"
    yield f"  shell: MINISCHED_PASSWORD=$(cat {password_file}) {command} --url {at.url} runs list"
    for what, url in outcome.addresses().items():
        yield f"  {what}: {url}"


def _tree(arrived: dict[str, Any]) -> Tree:
    """Service, database and schema, and below them tables and views with their numbers of columns."""
    counts = f"{len(arrived['tables'])} tables, {len(arrived['views'])} views, {arrived['columns']} columns"
    tree = Tree(Text(f"{arrived['schema']}: {counts}", style="bold"))
    for kind in ("tables", "views"):
        branch = tree.add(Text(kind))
        for entry in arrived[kind]:
            branch.add(Text(entry["name"]).append(f"  {entry['columns']} columns", style="dim"))
    return tree


def _comparison(outcome: Outcome) -> Text:
    """The times to the workflow's class and to its first line beside the import that the run did not wait for."""
    timings = outcome.timings
    text = Text("from the trigger to the workflow ").append(_milliseconds(timings["trigger_to_workflow_ms"]), _STRONG)
    text.append(", to the first line of its log ").append(_milliseconds(timings["trigger_to_first_line_ms"]), _STRONG)
    if timings["import_s"] is not None:
        text.append(f"; the run did not pay the import of the package, {seconds(timings['import_s'])}")
    return text


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
