"""`minisched pipeline`: the life of a pipeline, by name, FQN or id."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click
import httpx

from minisched.cli import exit_codes
from minisched.cli.exit_codes import ExitCode, NotHere
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.move_command import move
from minisched.cli.orchestrator_answers import notes_of
from minisched.cli.pipeline_lookup import all_pipelines, find_pipeline, service_reference
from minisched.cli.printing import console, print_json, state_text, table, when
from minisched.cli.run_following import watch_run
from minisched.cli.run_log import read_log
from minisched.cli.run_report import print_end, runs_table
from minisched.cli.schedule_commands import backfill, next_instants, why
from minisched.cli.server import PIPELINES, PLACEMENTS, RUNS, Server
from minisched.cli.workflow_file import read_mapping
from minisched.domain.errors import Conflict, RunNotFound

# The platform of an orchestrator whose runs the server has itself.
LOCAL = "local"

# What a create-or-update says that it did.
CHANGE_HEADER = "X-OpenMetadata-Change"
_DONE_BY_CHANGE = {"entityCreated": "created", "entityUpdated": "updated", "entityNoChange": "unchanged"}

Document = dict[str, Any]
Command = Callable[..., Any]
_pipeline_argument = click.argument("pipeline", metavar="PIPELINE")


@click.group(short_help="Create, deploy, trigger and watch pipelines.")
def pipeline() -> None:
    """Create, deploy, trigger and watch pipelines.

    PIPELINE is a name, a fully qualified name or an id.
    """


@pipeline.command(short_help="Create a pipeline from a JSON or YAML file.")
@click.argument("file", metavar="FILE|-")
@click.option("--update", is_flag=True, help="Update the pipeline when it exists.")
@click.option("--deploy", "deploys", is_flag=True, help="Deploy it too.")
@json_option
@pass_invocation
def create(invocation: Invocation, file: str, update: bool, deploys: bool, as_json: bool) -> None:
    """Create a pipeline from FILE (- for stdin): OpenMetadata's CreateIngestionPipeline as JSON or YAML.

    The service may be given by its fully qualified name instead of its id; $NAME and ${NAME} values are taken from the
    environment.
    """
    body = read_mapping(file, invocation.environ)
    with invocation.server() as server:
        if "service" in body:
            body["service"] = service_reference(server, body["service"])
        response = _created(server, body, update=update)
        entity, notes = response.json(), None
        done = _DONE_BY_CHANGE.get(response.headers.get(CHANGE_HEADER, "entityCreated"), "updated")
        if deploys:
            notes = _deploy(server, entity, done)
            entity = server.get(f"{PIPELINES}/{entity['id']}")
    _print_entity(entity, f"{done}, {'deployed' if entity.get('deployed') else 'not deployed yet'}", as_json, notes)


def _created(server: Server, body: Document, *, update: bool) -> httpx.Response:
    try:
        return server.call("PUT" if update else "POST", PIPELINES, json=body)
    except exit_codes.ServerRefused as error:
        if "already exists" not in error.message:
            raise
        raise Conflict(error.message, hint="Say --update to change it.") from error


def _deploy(server: Server, entity: Document, done: str) -> str | None:
    """What the orchestrator does otherwise than asked. A refusal says what has become of the pipeline."""
    try:
        return notes_of(server.post(f"{PIPELINES}/deploy/{entity['id']}"))
    except exit_codes.ServerRefused as error:
        raise exit_codes.ServerRefused(error.message, hint=f"It is {done}, and not deployed as it is now.") from error


@pipeline.command("list", short_help="List pipelines.")
@click.option("--service", help="Only those of this service.")
@click.option("--type", "pipeline_type", help="Only this pipelineType, or several with commas.")
@click.option("--deleted", is_flag=True, help="Only those that are hidden: deleted, and not for good.")
@json_option
@pass_invocation
def list_pipelines(
    invocation: Invocation, service: str | None, pipeline_type: str | None, deleted: bool, as_json: bool
) -> None:
    """List pipelines with their schedule and how their last run ended."""
    filters = {"service": service, "pipelineType": pipeline_type, "include": "deleted" if deleted else None}
    with invocation.server() as server:
        listed = list(all_pipelines(server, **filters, fields="pipelineStatuses,owners"))
    if as_json:
        print_json(listed)
        return
    console().print(table(("PIPELINE", "TYPE", "SCHEDULE", "DEPLOYED", "ENABLED", "LAST RUN", ""), map(_row, listed)))


def _row(entity: Document) -> tuple[object, ...]:
    last = _last_status(entity)
    return (
        entity["fullyQualifiedName"],
        entity["pipelineType"],
        (entity.get("airflowConfig") or {}).get("scheduleInterval") or "on demand",
        "yes" if entity.get("deployed") else "no",
        "yes" if entity.get("enabled", True) else "no",
        state_text(last.get("pipelineState")),
        when(last.get("startDate") or last.get("timestamp")) if last else "",
    )


def _last_status(entity: Document) -> Document:
    """The newest status, whichever of OpenMetadata's two shapes it comes in (contract §0.20)."""
    statuses = entity.get("pipelineStatuses") or {}
    newest = statuses[0] if isinstance(statuses, list) else statuses
    return dict(newest)


@pipeline.command(short_help="Show one pipeline.")
@_pipeline_argument
@json_option
@pass_invocation
def show(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Show a pipeline as OpenMetadata would return it, secrets masked, and its last runs."""
    with invocation.server() as server:
        entity = find_pipeline(server, pipeline, fields="owners,pipelineStatuses", deleted_too=True)
        if as_json:
            print_json(entity)
            return
        runs = _runs_of(server, entity, limit=5)
    out = console()
    out.print(table(("", ""), _facts(entity)))
    out.print(json.dumps(entity.get("sourceConfig"), indent=2, ensure_ascii=False))
    if runs:
        out.print(runs_table(runs))


def _facts(entity: Document) -> list[tuple[str, object]]:
    service = entity.get("service") or {}
    schedule = entity.get("airflowConfig") or {}
    owners = ", ".join(str(owner.get("name") or owner["id"]) for owner in entity.get("owners") or [])
    return [
        ("pipeline", entity["fullyQualifiedName"]),
        ("id", entity["id"]),
        ("type", entity["pipelineType"]),
        ("service", f"{service.get('fullyQualifiedName') or service.get('id')} ({service.get('type')})"),
        ("owners", owners or "-"),
        ("schedule", f"{schedule.get('scheduleInterval') or 'on demand'} {schedule.get('pipelineTimezone') or ''}"),
        ("deployed", "yes" if entity.get("deployed") else "no"),
        ("enabled", "yes" if entity.get("enabled", True) else "no"),
        ("version", f"{entity.get('version')}, {when(entity.get('updatedAt'))} by {entity.get('updatedBy')}"),
    ]


@pipeline.command(short_help="Hand a pipeline to the orchestrator.")
@_pipeline_argument
@json_option
@pass_invocation
def deploy(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Hand the pipeline, as it is now, to the orchestrator: from then on its schedule counts."""
    with invocation.server() as server:
        entity = find_pipeline(server, pipeline)
        answer = server.post(f"{PIPELINES}/deploy/{entity['id']}")
    _print_answer(answer, f"{entity['fullyQualifiedName']}: deployed", as_json, notes_of(answer))


@pipeline.command(short_help="Run a pipeline now.")
@_pipeline_argument
@click.option("--follow", "-f", is_flag=True, help="Show the log and wait; the exit code is that of the run.")
@json_option
@pass_invocation
def trigger(invocation: Invocation, pipeline: str, follow: bool, as_json: bool) -> int:
    """Run the pipeline now, enabled or not. Ctrl-C while following leaves the run running."""
    with invocation.server() as server:
        entity = find_pipeline(server, pipeline)
        answer = server.post(f"{PIPELINES}/trigger/{entity['id']}")
        run_id = answer.get("runId")
        if not follow or not run_id:
            _print_answer(answer, f"{entity['fullyQualifiedName']}: triggered, run {run_id}", as_json)
            return ExitCode.OK
        if answer.get("platform") != LOCAL:
            raise NotHere(
                f"run {run_id} was triggered in {answer.get('platform')}, where it cannot be followed.",
                hint=f"Its log, as far as it is: minisched pipeline logs {pipeline}",
            )
        return _follow_to_end(server, pipeline, run_id, as_json)


def _follow_to_end(server: Server, name: str, run_id: str, as_json: bool) -> int:
    watch_run(server, name, run_id, _log_writer(to_stderr=as_json))
    ended = server.get(f"{RUNS}/{run_id}")
    if as_json:
        print_json(ended)
    else:
        print_end(console(), ended)
    return exit_codes.of_state(ended["state"])


def _log_writer(*, to_stderr: bool) -> Callable[[bytes], None]:
    stream = (sys.stderr if to_stderr else sys.stdout).buffer

    def write(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return write


@pipeline.command(short_help="Stop the runs of a pipeline.")
@_pipeline_argument
@json_option
@pass_invocation
def stop(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Stop all queued and running runs of the pipeline; returns when their processes are gone."""
    _act(invocation, pipeline, "kill", "stopped", as_json)


def _act(invocation: Invocation, name: str, verb: str, done: str, as_json: bool) -> None:
    with invocation.server() as server:
        entity = find_pipeline(server, name, deleted_too=True)
        answer = server.post(f"{PIPELINES}/{verb}/{entity['id']}")
    _print_answer(answer, f"{entity['fullyQualifiedName']}: {done}", as_json)


@pipeline.command(short_help="Let the schedule fire.")
@_pipeline_argument
@json_option
@pass_invocation
def enable(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Let the schedule of the pipeline fire."""
    _set_enabled(invocation, pipeline, True, as_json)


@pipeline.command(short_help="Keep the schedule from firing.")
@_pipeline_argument
@json_option
@pass_invocation
def disable(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Keep the schedule of the pipeline from firing; runs that are running go on."""
    _set_enabled(invocation, pipeline, False, as_json)


def _set_enabled(invocation: Invocation, name: str, wanted: bool, as_json: bool) -> None:
    """The API can only toggle; asking first makes the command say what it means."""
    with invocation.server() as server:
        entity = find_pipeline(server, name)
        if entity.get("enabled", True) is not wanted:
            entity = server.post(f"{PIPELINES}/toggleIngestion/{entity['id']}")
    _print_entity(entity, "enabled" if entity.get("enabled", True) else "disabled", as_json)


@pipeline.command(short_help="Delete a pipeline.")
@_pipeline_argument
@click.option("--hard", is_flag=True, help="For good: the orchestrator forgets it too, its runs are stopped.")
@json_option
@pass_invocation
def delete(invocation: Invocation, pipeline: str, hard: bool, as_json: bool) -> None:
    """Delete a pipeline. Without --hard it is only hidden and its schedule goes on, as in OpenMetadata.

    What is hidden comes back with `minisched pipeline restore`, and goes for good with --hard.
    """
    with invocation.server() as server:
        entity = find_pipeline(server, pipeline, deleted_too=hard)
        deleted = server.delete(f"{PIPELINES}/{entity['id']}", {"hardDelete": str(hard).lower()})
    hidden = "hidden; its schedule goes on until it is deleted with --hard"
    _print_entity(deleted or entity, "deleted for good" if hard else hidden, as_json)


@pipeline.command(short_help="Bring a hidden pipeline back.")
@_pipeline_argument
@json_option
@pass_invocation
def restore(invocation: Invocation, pipeline: str, as_json: bool) -> None:
    """Bring back a pipeline that was deleted, but not for good: `minisched pipeline list --deleted` shows them."""
    with invocation.server() as server:
        entity = find_pipeline(server, pipeline, deleted_too=True)
        restored = server.put(f"{PIPELINES}/restore", {"id": entity["id"]})
    _print_entity(restored, "restored", as_json)


@pipeline.command(short_help="Print the log of a run.")
@_pipeline_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option("--run", "run_id", help="Which run; default: the latest.")
@json_option
@pass_invocation
def logs(invocation: Invocation, pipeline: str, follow: bool, run_id: str | None, as_json: bool) -> None:
    """Print the log of the latest run of the pipeline, or of the given one.

    Of a pipeline that another orchestrator runs, what there is of the latest log.
    """
    with invocation.server() as server:
        run_id = run_id or _latest_run(server, pipeline)
        if run_id is None:
            _print_log_from_elsewhere(server, pipeline, as_json)
        elif as_json:
            parts: list[bytes] = []
            _write_log(server, pipeline, run_id, parts.append, follow=follow)
            print_json({"runId": run_id, "log": b"".join(parts).decode(errors="replace")})
        else:
            _write_log(server, pipeline, run_id, _log_writer(to_stderr=False), follow=follow)


def _write_log(server: Server, name: str, run_id: str, write: Callable[[bytes], None], *, follow: bool) -> None:
    if follow:
        watch_run(server, name, run_id, write)
    else:
        read_log(server, run_id, write)


def _latest_run(server: Server, name: str) -> str | None:
    """None when it is run elsewhere, if at all."""
    entity = find_pipeline(server, name)
    here = not entity.get("deployed") or server.get(f"{PLACEMENTS}/{entity['id']}/placement")["client"] == LOCAL
    runs = _runs_of(server, entity, limit=1) if here else []
    if runs:
        return str(runs[0]["id"])
    if here:
        raise RunNotFound(
            f"{entity['fullyQualifiedName']} has not run yet.", hint=f"Run it with `minisched pipeline trigger {name}`."
        )
    return None


def _print_log_from_elsewhere(server: Server, name: str, as_json: bool) -> None:
    entity = find_pipeline(server, name)
    log = server.call("GET", f"{PIPELINES}/logs/{entity['id']}/last/download").content
    if as_json:
        print_json({"runId": None, "log": log.decode(errors="replace")})
    else:
        _log_writer(to_stderr=False)(log)


@pipeline.command(short_help="List the runs of a pipeline.")
@_pipeline_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@json_option
@pass_invocation
def runs(invocation: Invocation, pipeline: str, limit: int, as_json: bool) -> None:
    """List the runs of the pipeline, newest first."""
    with invocation.server() as server:
        found = _runs_of(server, find_pipeline(server, pipeline, deleted_too=True), limit=limit)
    if as_json:
        print_json(found)
    else:
        console().print(runs_table(found))


def _runs_of(server: Server, entity: Document, *, limit: int) -> list[Document]:
    listed: list[Document] = server.get(RUNS, {"pipeline": entity["id"], "limit": limit})["data"]
    return listed


def _print_entity(entity: Document, done: str, as_json: bool, notes: str | None = None) -> None:
    _print_answer(entity, f"{entity['fullyQualifiedName']}: {done} ({entity['id']})", as_json, notes)


def _print_answer(answer: Document | None, text: str, as_json: bool, notes: str | None = None) -> None:
    if as_json:
        print_json(answer)
        return
    click.echo(text)
    if notes:
        click.echo(f"  {notes}")


for command in (move, why, next_instants, backfill):
    pipeline.add_command(command)
