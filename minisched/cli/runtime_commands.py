"""`minisched runtime …`: make, list, examine and remove the environments that workflows run in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from minisched.cli.exit_codes import ExitCode
from minisched.cli.interruption import interrupted_once
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, seconds, table

if TYPE_CHECKING:
    from minisched.runtimes import Inspection, OnProgress, Progress, Runtime, RuntimeCatalog


@click.group(short_help="Create, list, inspect and remove ingestion environments.")
def runtime() -> None:
    """Create, list, inspect and remove runtimes: environments with openmetadata-ingestion.

    The server never imports that package. It starts an interpreter of a runtime, which does.
    """


def catalog(invocation: Invocation) -> RuntimeCatalog:
    """The runtimes as the settings describe them."""
    from minisched.runtimes import RuntimeCatalog
    from minisched.settings import prepare_data_dir

    settings = invocation.settings
    prepare_data_dir(settings.data_dir)
    return RuntimeCatalog(
        settings.runtimes_directory, default=settings.runtime.default, python_path=settings.runtime.python_path
    )


def _split(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@runtime.command()
@click.argument("name", default="default")
@click.option("--version", help="Such as 2.0.7.0, 2.0.7 or 2.0; default: the newest that is known to work.")
@click.option(
    "--extras",
    callback=_split,
    help="Connectors, with commas; default: postgres,mysql. autoClassification needs pii-processor.",
)
@click.option("--python", metavar="PYTHON", help="Interpreter or its version; default: one that fits the version.")
@click.option("--replace", is_flag=True, help="Replace the runtime of this name, once the new one works.")
@click.option("--verbose", "-v", is_flag=True, help="Show everything that uv says when it fails.")
@json_option
@pass_invocation
def create(invocation: Invocation, /, name: str, verbose: bool, as_json: bool, **order: Any) -> None:
    """Install openmetadata-ingestion into a new runtime NAME, and check that it works.

    A failure or Ctrl-C leaves nothing behind.
    """
    from minisched.runtimes import RuntimeBuildFailed

    with interrupted_once(b"\nremoving what was installed so far ...\n"), progress_display(f"runtime {name}") as shown:
        try:
            made = catalog(invocation).create(name, on_progress=shown, **order)
        except RuntimeBuildFailed as error:
            if verbose:
                click.echo(error.output, err=True)
            raise
    if as_json:
        print_json(as_document(made))
    else:
        print_created(made)


@runtime.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, /, as_json: bool) -> None:
    """List the runtimes of the data directory."""
    found = catalog(invocation).list()
    if as_json:
        print_json([as_document(one) for one in found])
    elif not found:
        click.echo("There is no runtime yet. Make one with: minisched runtime create default")
    else:
        rows = [(one.name, one.version, *_facts(one), one.problem or "ready") for one in found]
        console().print(table(("NAME", "VERSION", "PYTHON", "EXTRAS", "#IMPORT", "CREATED", "STATE"), rows))


@runtime.command()
@click.argument("name", required=False)
@json_option
@pass_invocation
def inspect(invocation: Invocation, /, name: str | None, as_json: bool) -> int:
    """Import the workflow modules of a runtime now, and say what works.

    NAME is a runtime, the path of an interpreter, or auto; default: the runtime of the settings.
    """
    found, inspection = catalog(invocation).inspect(name)
    if as_json:
        print_json(as_document(found) | {"inspection": asdict(inspection)})
    else:
        _print_inspection(found, inspection)
    return ExitCode.FAILED if inspection.problem else ExitCode.OK


@runtime.command()
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, /, name: str) -> None:
    """Delete a runtime, unless something runs in it."""
    catalog(invocation).remove(name)
    click.echo(f"runtime {name} is removed")


def as_document(found: Runtime) -> dict[str, Any]:
    """A runtime for scripts."""
    return {
        "name": found.name,
        "python": str(found.python),
        "version": found.version,
        "problem": found.problem,
        "manifest": asdict(found.manifest) if found.manifest else None,
    }


def print_created(made: Runtime) -> None:
    """What was made, and what of it does not work."""
    manifest = made.manifest
    took = f" in {seconds(manifest.duration_s)}, imports in {seconds(manifest.import_s)}" if manifest else ""
    click.echo(f"runtime {made.name}: openmetadata-ingestion {made.version}{took}")
    _print_failures(manifest.failures if manifest else {})


def _facts(found: Runtime) -> tuple[str, str, str, str]:
    manifest = found.manifest
    if manifest is None:
        return "", "", "", ""
    return manifest.python_version, ",".join(manifest.extras), seconds(manifest.import_s), manifest.created_at


def _print_inspection(found: Runtime, inspection: Inspection) -> None:
    click.echo(f"runtime      {found.name}")
    click.echo(f"interpreter  {found.python} (Python {inspection.python_version})")
    click.echo(f"package      openmetadata-ingestion {inspection.version or 'of unknown version'}")
    click.echo(f"import       {seconds(inspection.import_s)}")
    for module in sorted(name for name, error in inspection.modules.items() if error is None):
        click.echo(f"works        {module}")
    _print_failures(inspection.failures)


def _print_failures(failures: dict[str, str]) -> None:
    for module, error in failures.items():
        click.secho(f"does not     {module}: {error}", fg="yellow")


@contextmanager
def progress_display(title: str) -> Iterator[OnProgress]:
    """A bar on a terminal, a line per phase elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        yield _PhaseLines(title)
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(title, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda step: bar.update(task, completed=step.fraction, description=f"{step.phase}: {step.detail}")


class _PhaseLines:
    """Says when a phase begins, and nothing in between."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._phase: str | None = None

    def __call__(self, step: Progress) -> None:
        if step.phase != self._phase:
            self._phase = step.phase
            click.echo(f"{self._title}: {step.phase}: {step.detail}", err=True)
