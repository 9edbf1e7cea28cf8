"""When pipelines run, why they did or did not, and what is made up for: `pipeline why`, `next`, `backfill`, and
`minisched schedule`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import click

from minisched.cli.exit_codes import ServerRefused
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.pipeline_lookup import pipeline_key
from minisched.cli.printing import console, print_json, table
from minisched.cli.server import Server
from minisched.domain.errors import InvalidInput, InvalidSchedule
from minisched.domain.zone import load_zone

Document = dict[str, Any]

_MINISCHED = "/api/v1/minisched"
_CHANGES = {"madeUp": "made up for", "lost": "lost", "once": "repeated, fires once", "doubled": "fires twice"}

_pipeline_argument = click.argument("pipeline", metavar="PIPELINE")


@click.command(short_help="Say why a pipeline ran or did not.")
@_pipeline_argument
@click.option("--at", help="When, such as 2026-03-29T02:30, in its zone unless with an offset; default: the last time.")
@json_option
@pass_invocation
def why(invocation: Invocation, pipeline: str, at: str | None, as_json: bool) -> None:
    """Say in a sentence why the pipeline ran, or did not, at its last instant or at a given time."""
    with invocation.server() as server, _refusals_naming_options("at"):
        answer = server.get(f"{_path(server, pipeline)}/why", {"at": at} if at else None)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["sentence"])


@click.command("next", short_help="Show when a pipeline runs next.")
@_pipeline_argument
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many instants.")
@click.option("--zone", help="Show local times of this IANA zone instead of the pipeline's.")
@json_option
@pass_invocation
def next_instants(invocation: Invocation, pipeline: str, count: int, zone: str | None, as_json: bool) -> None:
    """Show the next instants of the pipeline's schedule, in UTC and in its zone, and what clock changes do to them."""
    other = _zone_option(zone) if zone else None
    with invocation.server() as server:
        preview = server.get(f"{_path(server, pipeline)}/schedule", {"count": count})
    if as_json:
        print_json(preview)
        return
    shown = other or ZoneInfo(preview["timezone"])
    rows = [(_utc(row["at"]), _local(row["at"], shown), row.get("remark")) for row in preview["data"]]
    console().print(table(("UTC", shown.key, ""), rows))
    if not preview.get("schedule"):
        click.echo("It has no schedule: it runs when it is triggered.")
    elif not preview["enabled"]:
        click.echo("It is disabled: none of these will fire.")


@click.command(short_help="Run a pipeline for the instants of a past interval.")
@_pipeline_argument
@click.option("--from", "since", required=True, help="From this time on, such as 2026-03-01T00:00, in its zone.")
@click.option("--to", "until", required=True, help="Until before this time.")
@click.option("--dry-run", is_flag=True, help="Only show what would be queued.")
@json_option
@pass_invocation
def backfill(invocation: Invocation, pipeline: str, since: str, until: str, dry_run: bool, as_json: bool) -> None:
    """Queue a run for each instant of the schedule in the interval that has none, oldest first, behind all other runs.

    Asking again makes no second run of an instant.
    """
    with invocation.server() as server, _refusals_naming_options("from", "to"):
        body = {"from": since, "to": until, "dryRun": dry_run}
        done = server.post(f"{_path(server, pipeline)}/backfill", body)
    if as_json:
        print_json(done)
        return
    word = "would be queued" if dry_run else "queued"
    told = [(row, word) for row in done["queued"]] + [(row, "has its run") for row in done["known"]]
    told.sort(key=lambda one: one[0]["scheduledFor"])
    rows = [(_utc(row["scheduledFor"]), state, row.get("runId")) for row, state in told]
    console().print(table(("INSTANT (UTC)", "", "RUN"), rows))
    click.echo(f"{len(done['queued'])} {word}, {len(done['known'])} had their run.")


@click.group(short_help="Simulate the schedules of all pipelines.")
def schedule() -> None:
    """What the schedules of all pipelines come to."""


@schedule.command(short_help="Simulate all schedules over an interval.")
@click.option(
    "--from", "since", required=True, help="From this time on, such as 2026-03-28, UTC unless with an offset."
)
@click.option("--to", "until", required=True, help="Until before this time.")
@click.option(
    "--assume",
    "assumed_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="Seconds of runs of unknown length.",
)
@json_option
@pass_invocation
def simulate(invocation: Invocation, since: str, until: str, assumed_s: float, as_json: bool) -> None:
    """Show how often each enabled pipeline fires in an interval, how many runs would be running at once, and which
    local times clocks skip or repeat."""
    with invocation.server() as server, _refusals_naming_options("from", "to"):
        params = {"from": since, "to": until, "assumedS": assumed_s}
        done = server.get(f"{_MINISCHED}/schedule/simulation", params)
    if as_json:
        print_json(done)
        return
    console().print(
        table(("PIPELINE", "SCHEDULE", "ZONE", "#INSTANTS", "FIRST (UTC)", ""), map(_row, done["pipelines"]))
    )
    click.echo(f"{done['instants']} instants.{_extremes(done)}")


def _row(pipeline: Document) -> tuple[object, ...]:
    first = _utc(pipeline["data"][0]) if pipeline["data"] else ""
    return (
        pipeline["fullyQualifiedName"],
        pipeline["schedule"],
        pipeline["timezone"],
        pipeline["instants"],
        first,
        "; ".join(_change(change) for change in pipeline["clockChanges"]),
    )


def _change(change: Document) -> str:
    """Local times are shown as they are; there is no zone to convert them to."""
    parts = [
        f"{', '.join(local[:16].replace('T', ' ') for local in change[key])} {words}"
        for key, words in _CHANGES.items()
        if key in change
    ]
    return "clocks change: " + ", ".join(parts)


def _extremes(done: Document) -> str:
    busiest, peak = done.get("busiest"), done.get("peak")
    if not busiest or not peak:
        return ""
    return (
        f" Most pipelines fire at {_utc(busiest['at'])}: {busiest['pipelines']}."
        f" Most runs at once: {peak['runs']}, at {_utc(peak['at'])}."
    )


def _zone_option(name: str) -> ZoneInfo:
    try:
        return load_zone(name)
    except InvalidSchedule as error:
        raise InvalidInput(error.message, field="--zone", hint=error.hint) from error


@contextmanager
def _refusals_naming_options(*parameters: str) -> Iterator[None]:
    """Only the server knows the zone that times are in, so it judges them; it names its parameters, we our options."""
    try:
        yield
    except ServerRefused as error:
        parameter, colon, problem = error.message.partition(": ")
        if not colon or parameter not in parameters:
            raise
        for other in parameters:
            problem = problem.replace(f"'{other}'", f"--{other}")
        raise InvalidInput(problem, field=f"--{parameter}") from error


def _path(server: Server, pipeline: str) -> str:
    return f"{_MINISCHED}/pipelines/{quote(pipeline_key(server, pipeline), safe='')}"


def _utc(milliseconds: int) -> str:
    return _local(milliseconds, UTC)


def _local(milliseconds: int, zone: Any) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC).astimezone(zone)
    return f"{moment:%a %Y-%m-%d %H:%M}" + ("" if zone is UTC else f" {moment.tzname()}")
