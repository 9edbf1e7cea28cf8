"""`minisched export`: pipelines as files, for an Airflow or for version control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from minisched.cli.airflow_export import CONFIGS, AirflowDirectory, Exported, refused, report_document
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.pipeline_lookup import all_pipelines
from minisched.cli.printing import console, print_json, table
from minisched.cli.whole_files import write_file
from minisched.cli.yaml_files import file_names, text_of, unused
from minisched.domain.declaration import declare
from minisched.domain.errors import InvalidInput, MinischedError
from minisched.domain.pipeline import Deployment
from minisched.domain.secret_references import refer, variables

Document = dict[str, Any]

# Less what the umask takes away: these files hold no secrets.
_OPEN_MODE = 0o666

_directory_argument = click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.group(short_help="Export pipelines for Airflow or as files.")
def export() -> None:
    """Export pipelines for Airflow or as files."""


@export.command(short_help="Write what is deployed as OpenMetadata's Airflow plugin reads it.")
@_directory_argument
@click.option("--with-secrets", is_flag=True, help="Write secrets in clear: Airflow needs them. Else as *********.")
@click.option(
    "--dags",
    "configs_path",
    metavar="PATH",
    help="Write DAG files too, for an Airflow that sees dag_generated_configs at this absolute path.",
)
@json_option
@pass_invocation
def airflow(
    invocation: Invocation, directory: Path, with_secrets: bool, configs_path: str | None, as_json: bool
) -> int:
    """Write every deployed pipeline to DIR/dag_generated_configs, as OpenMetadata's Airflow plugin reads it.

    Read from the database that the settings name, so run it where the server runs. Only its owner can read DIR.
    """
    from minisched.app.deployed_documents import completed, deployments

    if configs_path is not None and not configs_path.startswith("/"):
        raise click.UsageError("--dags needs an absolute path: DAG files are read from anywhere.")
    target = AirflowDirectory(directory, with_secrets=with_secrets, configs_path=configs_path)
    deployed = deployments(invocation.settings)
    target.prepare()

    def write(deployment: Deployment) -> Exported:
        try:
            document = completed(invocation.settings, deployment, invocation.server_url)
        except MinischedError as error:
            return refused(deployment, str(error))
        return target.write(deployment, document)

    exported = [write(deployment) for deployment in deployed]
    if as_json:
        print_json(report_document(exported, with_secrets=with_secrets))
    else:
        _print_exported(exported, directory, with_secrets=with_secrets)
    return ExitCode.FAILED if any(one.problem for one in exported) else ExitCode.OK


def _print_exported(exported: Sequence[Exported], directory: Path, *, with_secrets: bool) -> None:
    rows = [
        (
            one.deployment.fqn,
            "" if one.problem else one.path.name,
            "yes" if one.deployment.enabled else "no",
            one.secrets,
            one.problem or " ".join(one.notes),
        )
        for one in exported
    ]
    console().print(table(("PIPELINE", "FILE", "ENABLED", "#SECRETS", ""), rows))
    written = sum(not one.problem for one in exported)
    secrets = sum(one.secrets for one in exported)
    if not secrets:
        said = "They hold no secrets."
    elif with_secrets:
        said = f"They hold {secrets} secrets in clear: shred them once Airflow has them."
    else:
        said = f"{secrets} secrets are *********, so Airflow cannot run these files: --with-secrets writes them."
    click.echo(f"\n{written} of {len(exported)} written to {directory / CONFIGS}. {said}")


@export.command("yaml", short_help="Write one YAML file a pipeline, for version control.")
@_directory_argument
@json_option
@pass_invocation
def to_yaml(invocation: Invocation, directory: Path, as_json: bool) -> None:
    """Write each pipeline of the server to a YAML file in DIR, without secrets: they become ${env:NAME}.

    The same pipeline makes the same file; defaults are left out. `minisched import yaml` reads them.
    """
    with invocation.server() as server:
        entities = {
            str(entity["fullyQualifiedName"]): entity for entity in all_pipelines(server, fields="owners,domains")
        }
    _make_open_directory(directory)
    names, needed, written = file_names(entities), dict[str, list[str]](), dict[str, Path]()
    for fqn in sorted(entities):
        declaration = _referring(declare(entities[fqn]), fqn, entities[fqn], needed)
        written[fqn] = directory / names[fqn]
        write_file(written[fqn], text_of(declaration), mode=_OPEN_MODE)
    stale = list(unused(directory, written.values()))
    if as_json:
        files = [{"fullyQualifiedName": fqn, "file": str(path)} for fqn, path in written.items()]
        print_json({"pipelines": files, "variables": needed, "notWritten": [str(path) for path in stale]})
        return
    click.echo(f"{len(written)} pipelines written to {directory}.")
    for fqn, names_of in needed.items():
        click.echo(f"  {fqn} needs {', '.join(names_of)} when it is imported.")
    for path in stale:
        click.echo(f"  {path.name} was there before and belongs to none of them.")


def _referring(declaration: Document, fqn: str, entity: Document, needed: dict[str, list[str]]) -> Document:
    """With references in place of secrets; no variable stands for secrets of two pipelines."""
    referring: Document = refer(declaration, fqn)
    taken = {name for names in needed.values() for name in names}
    if taken & set(variables(referring)):
        referring = refer(declaration, f"{fqn} {entity['id']}")
    if found := variables(referring):
        needed[fqn] = found
    return referring


def _make_open_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot make the directory {directory}: {error.strerror}.") from error
