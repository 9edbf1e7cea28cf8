"""`minisched pipeline move`: pipelines from one orchestrator to another, one or many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import click
from rich.text import Text

from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.pipeline_lookup import find_pipeline
from minisched.cli.printing import console, print_json, table
from minisched.cli.server import Server
from minisched.domain.errors import InvalidInput, MinischedError, NotFound

Document = dict[str, Any]

_MINISCHED = "/api/v1/minisched"
# A move to Airflow waits until Airflow has parsed the pipeline.
_MOVE_TIMEOUT_S = 900.0
_REFUSED = "refused"
_VERDICTS = {
    "moved": Text("moved", "green"),
    "would_move": Text("would move", "cyan"),
    "there_already": Text("is there already"),
    "unfinished": Text("moved, not forgotten there yet", "yellow"),
    _REFUSED: Text("refused", "red"),
}


@click.command(short_help="Move pipelines to another orchestrator.")
@click.argument("pipeline", metavar="PIPELINE", required=False)
@click.option("--to", type=click.Choice(["airflow", "local"]), help="Where: an Airflow, or this machine.")
@click.option("--undo", is_flag=True, help="Move back to where it came from.")
@click.option("--all", "everything", is_flag=True, help="All deployed pipelines instead of one.")
@click.option("--service", help="With --all: only those of this service.")
@click.option("--type", "pipeline_type", help="With --all: only this pipelineType, or several with commas.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@click.option("--force", is_flag=True, help="End runs that are not over instead of refusing to move.")
@json_option
@pass_invocation
def move(
    invocation: Invocation,
    pipeline: str | None,
    to: str | None,
    undo: bool,
    everything: bool,
    service: str | None,
    pipeline_type: str | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Deploy PIPELINE in another orchestrator, enabled or disabled as it is, and have it forgotten where it was.

    At no time does its schedule fire in both; what fails leaves it where it was. A pipeline with runs that are not over
    is not moved. With --all every pipeline gets a verdict, and the exit code is 1 when one was refused.
    """
    if (to is None) is not undo:
        raise InvalidInput("say either --to airflow, --to local or --undo.")
    if (pipeline is None) is not everything:
        raise InvalidInput("name one pipeline, or say --all.")
    if (service or pipeline_type) and not everything:
        raise InvalidInput("--service and --type choose among --all.")
    body = {"to": to, "undo": undo, "force": force, "dryRun": dry_run}
    body = {key: value for key, value in body.items() if value}
    with invocation.server() as server:
        if pipeline is not None:
            return _print_one(_move(server, _key(server, pipeline), body), as_json)
        verdicts = [_verdict(server, placement, body) for placement in _chosen(server, service, pipeline_type, undo)]
    return _print_all(verdicts, as_json)


def _chosen(server: Server, service: str | None, pipeline_type: str | None, undo: bool) -> Iterable[Document]:
    types = set(pipeline_type.split(",")) if pipeline_type else None
    for placement in server.get(f"{_MINISCHED}/placements")["data"]:
        if service not in (None, placement["service"]) or (types and placement["pipelineType"] not in types):
            continue
        if not undo or placement.get("cameFrom"):
            yield placement


def _key(server: Server, name: str) -> str:
    """What OpenMetadata has deployed here has no entity here: its name, or its FQN, is all that can be looked up."""
    try:
        return str(find_pipeline(server, name)["id"])
    except NotFound:
        for placement in server.get(f"{_MINISCHED}/placements")["data"]:
            if name in (placement["id"], placement["name"], placement["fullyQualifiedName"]):
                return str(placement["id"])
        raise


def _move(server: Server, key: str, body: Document) -> Document:
    path = f"{_MINISCHED}/pipelines/{quote(key, safe='')}/move"
    done: Document = server.call("POST", path, json=body, timeout=_MOVE_TIMEOUT_S).json()
    return done


def _verdict(server: Server, placement: Document, body: Document) -> Document:
    try:
        return _move(server, placement["id"], body)
    except MinischedError as error:
        return {
            "pipelineId": placement["id"],
            "fullyQualifiedName": placement["fullyQualifiedName"],
            "from": placement["client"],
            "to": body.get("to", placement.get("cameFrom")),
            "verdict": _REFUSED,
            "notes": [str(error)],
        }


def _print_one(done: Document, as_json: bool) -> int:
    if as_json:
        print_json(done)
        return ExitCode.OK
    click.echo(f"{done['fullyQualifiedName']}: {_VERDICTS[done['verdict']].plain} ({done['from']} → {done['to']})")
    for note in done["notes"]:
        click.echo(note)
    return ExitCode.OK


def _print_all(verdicts: list[Document], as_json: bool) -> int:
    if as_json:
        print_json(verdicts)
    else:
        rows = [
            (one["fullyQualifiedName"], one["from"], one["to"], _VERDICTS[one["verdict"]], " ".join(one["notes"]))
            for one in verdicts
        ]
        console().print(table(("PIPELINE", "FROM", "TO", "VERDICT", ""), rows))
    return ExitCode.FAILED if any(one["verdict"] == _REFUSED for one in verdicts) else ExitCode.OK
