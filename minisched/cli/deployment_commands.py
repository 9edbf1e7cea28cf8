"""`minisched deployment`: pipelines that an OpenMetadata server has deployed here, or that were imported from Airflow.

They have no entity here; the commands of `minisched pipeline` are for those that have.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table, when
from minisched.cli.server import DEPLOYMENTS

Document = dict[str, Any]

_deployment_argument = click.argument("deployment", metavar="PIPELINE")


@click.group(short_help="Manage pipelines that OpenMetadata deployed here.")
def deployment() -> None:
    """List, trigger, enable, disable, stop and delete pipelines that OpenMetadata deployed here, or that were imported.

    Those that have an entity here are listed too, and changed by `minisched pipeline`.

    PIPELINE is a name, a fully qualified name or an id. Runs and logs: `minisched runs list --pipeline PIPELINE`.
    """


@deployment.command("list", short_help="List what is deployed.")
@json_option
@pass_invocation
def list_deployments(invocation: Invocation, as_json: bool) -> None:
    """List every deployed pipeline, whoever deployed it."""
    with invocation.server() as server:
        listed = server.get(DEPLOYMENTS)["data"]
    if as_json:
        print_json(listed)
        return
    console().print(table(("PIPELINE", "TYPE", "SCHEDULE", "ENABLED", "DEPLOYED", "RUNTIME"), map(_row, listed)))


def _row(listed: Document) -> tuple[object, ...]:
    return (
        listed["fullyQualifiedName"],
        listed["pipelineType"],
        listed.get("schedule") or "on demand",
        "yes" if listed["enabled"] else "no",
        when(listed["deployedAt"]),
        listed.get("runtime"),
    )


@deployment.command(short_help="Run it now.")
@_deployment_argument
@json_option
@pass_invocation
def trigger(invocation: Invocation, deployment: str, as_json: bool) -> None:
    """Run the pipeline now, enabled or not."""
    _act(invocation, deployment, "trigger", "triggered", as_json)


@deployment.command(short_help="Let its schedule fire.")
@_deployment_argument
@json_option
@pass_invocation
def enable(invocation: Invocation, deployment: str, as_json: bool) -> None:
    """Let the schedule of the pipeline fire."""
    _act(invocation, deployment, "enable", "enabled", as_json)


@deployment.command(short_help="Keep its schedule from firing.")
@_deployment_argument
@json_option
@pass_invocation
def disable(invocation: Invocation, deployment: str, as_json: bool) -> None:
    """Keep the schedule of the pipeline from firing; runs that are running go on."""
    _act(invocation, deployment, "disable", "disabled", as_json)


@deployment.command(short_help="Stop its runs.")
@_deployment_argument
@json_option
@pass_invocation
def stop(invocation: Invocation, deployment: str, as_json: bool) -> None:
    """Stop all queued and running runs of the pipeline; returns when their processes are gone."""
    _act(invocation, deployment, "kill", "stopped", as_json)


@deployment.command(short_help="Forget it.")
@_deployment_argument
@json_option
@pass_invocation
def delete(invocation: Invocation, deployment: str, as_json: bool) -> None:
    """Stop the runs of the pipeline and forget it; OpenMetadata keeps its own record of it."""
    with invocation.server() as server:
        answer = server.delete(_path(deployment))
    _print(answer, deployment, "deleted", as_json)


def _act(invocation: Invocation, name: str, verb: str, done: str, as_json: bool) -> None:
    with invocation.server() as server:
        answer = server.post(f"{_path(name)}/{verb}")
    _print(answer, name, done, as_json)


def _path(name: str) -> str:
    return f"{DEPLOYMENTS}/{quote(name, safe='')}"


def _print(answer: Document, name: str, done: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        run = f", run {answer['runId']}" if answer.get("runId") else ""
        click.echo(f"{name}: {done}{run}")
