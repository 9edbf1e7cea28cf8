"""`minisched import`: pipelines from an Airflow, or from files that are kept under version control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from minisched.cli.airflow_import import REFUSED, Imported, Inventory, Wishes, hand_over, take_stock
from minisched.cli.airflow_report import print_report, report_document
from minisched.cli.durations import duration
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import print_json
from minisched.cli.questions import confirmed
from minisched.cli.server import Server
from minisched.cli.shadow_report import compare, print_shadow, shadow_document
from minisched.cli.shredding import shred
from minisched.cli.yaml_files import declaration_files
from minisched.cli.yaml_import import Pruned, judge, prune, write
from minisched.cli.yaml_report import (
    done_document,
    plan_document,
    print_done,
    print_plan,
    print_problems,
    problems_document,
)
from minisched.domain.pipeline import Document

_LONGEST_SHADOW = timedelta(days=366)


@click.group("import", short_help="Import pipelines from Airflow or from files.")
def import_() -> None:
    """Import pipelines from Airflow or from files."""


@import_.command(short_help="Import the pipelines of OpenMetadata's Airflow plugin.")
@click.option(
    "--configs",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The plugin's directory dag_generated_configs.",
)
@click.option(
    "--database-url",
    metavar="URL",
    envvar="MINISCHED_IMPORT_DATABASE_URL",
    help="Airflow's own database, only read: tells what is paused and how it ran. Better from the environment, as "
    "MINISCHED_IMPORT_DATABASE_URL.",
)
@click.option("--enable", is_flag=True, help="Enable those that are active in Airflow; all others stay as they are.")
@click.option(
    "--runtime", metavar="NAME", help="Runtime of their OpenMetadata's line; default: as the settings choose."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--shadow",
    "period",
    type=duration,
    metavar="DURATION",
    help="Only compare when both fire, from now on for so long: 7d.",
)
@click.option("--shred", "shreds", is_flag=True, help="Overwrite and remove the files once all are imported.")
@click.option("--yes", is_flag=True, help="Shred without asking.")
@json_option
@pass_invocation
def airflow(
    invocation: Invocation,
    configs: Path,
    database_url: str | None,
    enable: bool,
    runtime: str | None,
    dry_run: bool,
    period: timedelta | None,
    shreds: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Import the pipelines that OpenMetadata deployed to an Airflow, as if it had deployed them here.

    They keep their ids and names, so that OpenMetadata finds them when it is pointed to minisched. They are disabled
    until --enable, `minisched deployment enable` or OpenMetadata says otherwise; importing again changes nothing.
    """
    _check_options(dry_run=dry_run, period=period, enable=enable, shreds=shreds, yes=yes, as_json=as_json)
    inventory = take_stock(configs, database_url)
    if period is not None:
        _shadow(inventory, period, as_json)
        return ExitCode.OK
    with invocation.server() as server:
        imported = list(hand_over(server, inventory.found, Wishes(enable, dry_run, runtime)))
    if not as_json:
        print_report(inventory, imported, dry_run=dry_run)
    whole = not inventory.unreadable and all(one.outcome != REFUSED for one in imported)
    shredded, left = _shred(imported, whole=whole, yes=yes) if shreds else ([], 0)
    if as_json:
        print_json(report_document(inventory, imported, shredded, dry_run=dry_run))
    return ExitCode.OK if whole and not left else ExitCode.FAILED


def _check_options(
    *, dry_run: bool, period: timedelta | None, enable: bool, shreds: bool, yes: bool, as_json: bool
) -> None:
    if period is not None and (dry_run or enable or shreds):
        raise click.UsageError("--shadow only compares: leave out --dry-run, --enable and --shred.")
    if period is not None and period > _LONGEST_SHADOW:
        raise click.UsageError("--shadow looks a year ahead at most.")
    if shreds and dry_run:
        raise click.UsageError("--shred needs an import: leave out --dry-run.")
    if shreds and as_json and not yes:
        raise click.UsageError("--shred asks before it removes files: with --json say --yes.")


def _shadow(inventory: Inventory, period: timedelta, as_json: bool) -> None:
    since = datetime.now(tz=UTC).replace(microsecond=0)
    shadowed = compare(inventory, since, period)
    if as_json:
        print_json(shadow_document(shadowed, since, period))
    else:
        print_shadow(shadowed, since, period)


def _shred(imported: Sequence[Imported], *, whole: bool, yes: bool) -> tuple[list[Path], int]:
    """The files that are gone, and how many should be and are not. While one pipeline is not imported all stay."""
    if not whole:
        click.echo("Nothing was shredded, because not everything was imported.", err=True)
        return [], 0
    paths = [one.found.config.path for one in imported]
    question = f"Overwrite and remove {len(paths)} files? Airflow can read none of these pipelines afterwards."
    if not confirmed(question, yes=yes):
        return [], 0
    gone = []
    for path in paths:
        if (problem := shred(path)) is None:
            gone.append(path)
        else:
            click.echo(f"{path} was not shredded: {problem}", err=True)
    click.echo(f"{len(gone)} of {len(paths)} files were shredded.", err=True)
    return gone, len(paths) - len(gone)


@import_.command("yaml", short_help="Create or update pipelines from YAML files.")
@click.argument("path", metavar="DIR|FILE", type=click.Path(path_type=Path))
@click.option("--deploy", "deploys", is_flag=True, help="Deploy what was written, and what is not deployed yet.")
@click.option("--prune", "prunes", is_flag=True, help="Delete for good every pipeline that has no file in DIR.")
@click.option("--yes", is_flag=True, help="Prune without asking.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done; a secret that differs is not seen.")
@json_option
@pass_invocation
def from_yaml(
    invocation: Invocation, path: Path, deploys: bool, prunes: bool, yes: bool, dry_run: bool, as_json: bool
) -> int:
    """Create or update a pipeline from each file, as `minisched export yaml` writes them.

    ${env:NAME} is taken from the environment. Nothing is written unless every file is sound. Pipelines that have no
    file are left alone without --prune.
    """
    if prunes and path.is_file():
        raise click.UsageError("--prune needs the directory of all files: one file says nothing about the rest.")
    if prunes and as_json and not (yes or dry_run):
        raise click.UsageError("--prune asks before it deletes: with --json say --yes.")
    paths = declaration_files(path)
    with invocation.server() as server:
        judgement = judge(server, paths, invocation.environ)
        if judgement.problems:
            _tell(as_json, problems_document(judgement, dry_run=dry_run), lambda: print_problems(judgement))
            return ExitCode.USAGE
        if dry_run:
            _tell(as_json, plan_document(judgement, prunes=prunes), lambda: print_plan(judgement, prunes=prunes))
            return ExitCode.OK
        doomed = judgement.undeclared if prunes and _may_prune(judgement.undeclared, yes=yes) else ()
        written = list(write(server, judgement.declared, deploys=deploys))
        whole = not any(one.problem for one in written)
        pruned = list(_prune(server, doomed, whole=whole))
    _tell(as_json, done_document(written, pruned), lambda: print_done(written, pruned))
    return ExitCode.OK if whole and not any(one.problem for one in pruned) else ExitCode.FAILED


def _may_prune(undeclared: Sequence[Document], *, yes: bool) -> bool:
    """Asked before anything is written. Raises UsageError when nobody can answer."""
    if not undeclared:
        return False
    names = ", ".join(str(entity["fullyQualifiedName"]) for entity in undeclared)
    agreed = confirmed(f"Delete {len(undeclared)} pipelines that have no file, for good: {names}?", yes=yes)
    if not agreed:
        click.echo("Nothing will be deleted.", err=True)
    return agreed


def _prune(server: Server, doomed: Sequence[Document], *, whole: bool) -> Iterator[Pruned]:
    """While a file is not what the server has, nothing is deleted: it may be the same pipeline under another name."""
    if doomed and not whole:
        click.echo("Nothing was deleted, because not everything was written.", err=True)
        return
    yield from prune(server, doomed)


def _tell(as_json: bool, document: Document, show: Callable[[], None]) -> None:
    if as_json:
        print_json(document)
    else:
        show()
