"""`minisched config …`: whether the settings are right, which are in effect and why."""

from __future__ import annotations

from dataclasses import asdict

import click

from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json, table
from minisched.domain.errors import ConfigurationError


@click.group(short_help="Check the settings and show where each value comes from.")
def config() -> None:
    """Check the settings, show where each value comes from, print an example file."""


@config.command()
@json_option
@pass_invocation
def check(invocation: Invocation, /, as_json: bool) -> None:
    """Check the settings file, the MINISCHED_… variables and the files that they name; exit code 2 when something is
    wrong with them."""
    from minisched.settings import missing_files, settings_file

    if problems := missing_files(invocation.settings):
        raise ConfigurationError("\n".join(problems))
    warnings = invocation.settings.warnings()
    file = settings_file(invocation.config_path, invocation.environ)
    if as_json:
        print_json({"file": str(file) if file else None, "warnings": warnings})
        return
    for warning in warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    click.echo(f"The settings are fine ({file or 'no settings file'}).")


@config.command()
@json_option
@pass_invocation
def show(invocation: Invocation, /, as_json: bool) -> None:
    """Show every setting with its value in effect and where that came from; secrets are masked."""
    from minisched.settings import setting_values

    values = setting_values(invocation.settings)
    if as_json:
        print_json([asdict(value) for value in values])
        return
    rows = [(value.name, "-" if value.value is None else value.value, value.source) for value in values]
    console().print(table(("SETTING", "VALUE", "SOURCE"), rows))


@config.command()
@click.option("--format", "form", type=click.Choice(["yaml", "markdown"]), default="yaml", help="What to print.")
def example(form: str) -> None:
    """Print a settings file with every setting at its default, or a table of them."""
    from minisched.settings import example_yaml, settings_table_markdown

    click.echo(example_yaml() if form == "yaml" else settings_table_markdown(), nl=False)
