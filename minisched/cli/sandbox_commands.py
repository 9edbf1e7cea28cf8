"""`minisched sandbox`: what workflows sent to the sandbox catalog of a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.pipeline_lookup import SERVICE_PATHS
from minisched.cli.printing import console, print_json
from minisched.cli.server import SANDBOX
from minisched.cli.workflow_file import read_mapping
from minisched.domain.errors import InvalidInput

Document = dict[str, Any]


@click.group(short_help="Look at what workflows sent to the sandbox catalog.")
def sandbox() -> None:
    """Look at what workflows sent to the sandbox catalog, and give it the services that they read."""


@sandbox.command(short_help="Create or change a service.")
@click.argument("file", metavar="FILE|-")
@json_option
@pass_invocation
def service(invocation: Invocation, file: str, as_json: bool) -> None:
    """Create a service from FILE (- for stdin), or change it: OpenMetadata's create request as JSON or YAML, and its
    `type`, such as databaseService.

    Values that are exactly $NAME or ${NAME} are taken from the environment.
    """
    body = read_mapping(file, invocation.environ)
    kind = body.pop("type", None)
    if kind not in SERVICE_PATHS:
        raise InvalidInput("is not a type of service.", field="type", hint=f"One of {', '.join(SERVICE_PATHS)}.")
    with invocation.server() as server:
        made = server.put(SERVICE_PATHS[kind], body)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made['fullyQualifiedName']}: stored ({made['id']})")


@sandbox.command(short_help="Draw what was ingested.")
@click.option("--columns", is_flag=True, help="Each column with its type, instead of their number.")
@json_option
@pass_invocation
def tree(invocation: Invocation, columns: bool, as_json: bool) -> None:
    """Draw what was ingested: services, and below them databases, schemas, tables and the like."""
    with invocation.server() as server:
        found: Document = server.get(f"{SANDBOX}/tree")
    if as_json:
        print_json(found)
        return
    counts = ", ".join(f"{count} {kind}" for kind, count in found["counts"].items()) or "nothing yet"
    drawn = Tree(Text(f"sandbox: {counts}"))
    for service in found["services"]:
        _grow(drawn, service, columns=columns)
    console().print(drawn)


def _grow(branch: Tree, node: Document, *, columns: bool) -> None:
    below = branch.add(_label(node))
    for column in node.get("columns") or [] if columns else []:
        below.add(Text(column["name"]).append(f"  {column.get('dataType') or ''}", style="dim"))
    for child in node["children"]:
        _grow(below, child, columns=columns)


def _label(node: Document) -> Text:
    """`orders  Regular, 5 columns, 120 rows, 2 tests`."""
    is_service = node["type"].endswith("Service")  # what is below one repeats its type
    facts = [str(node[key]) for key in ("serviceType" if is_service else "tableType",) if node.get(key)]
    for key, what in (("columns", "columns"), ("tests", "tests")):
        if node.get(key):
            facts.append(f"{len(node[key])} {what}")
    for key, what in (("rowCount", "rows"), ("upstream", "upstream"), ("downstream", "downstream")):
        if node.get(key) is not None:
            facts.append(f"{node[key]:g} {what}")
    return Text(node["name"]).append(f"  {', '.join(facts) or node['type']}", style="dim")


@sandbox.command(short_help="Print every document as a line of JSON.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@json_option
@pass_invocation
def export(invocation: Invocation, file: Path | None, as_json: bool) -> None:
    """Write every document, one line of JSON each with secrets masked, to FILE or to stdout.

    With --json they are one JSON array instead.
    """
    with invocation.server() as server:
        data = server.call("GET", f"{SANDBOX}/export").content
    if as_json:
        data = b"[" + b",\n".join(data.splitlines()) + b"]\n"
    if file is None:
        click.echo(data, nl=False)
    else:
        file.write_bytes(data)
        click.echo(f"{file}: {len(data):,} bytes", err=True)
