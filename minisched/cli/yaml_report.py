"""What an import of YAML files did, would do, or why it did nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from minisched.cli.printing import console, table
from minisched.cli.yaml_import import Declared, Problem, Written

Document = dict[str, Any]


def print_yaml(
    declared: Sequence[Declared], problems: Sequence[Problem], written: Sequence[Written], *, dry_run: bool
) -> None:
    if problems:
        click.echo("Nothing was written. Correct first:")
        for problem in problems:
            click.echo(f"  {problem.path}: {problem.text}")
        return
    rows = _planned(declared) if dry_run else map(_row, written)
    console().print(table(("PIPELINE", "FILE", "RESULT", ""), rows))


def _planned(declared: Sequence[Declared]) -> list[tuple[object, ...]]:
    return [(one.name, one.path, _would(one.expected()), "") for one in declared]


def _would(outcome: str) -> str:
    return outcome if outcome == "unchanged" else f"would be {outcome}"


def _row(one: Written) -> tuple[object, ...]:
    outcome = f"{one.outcome}, deployed" if one.deployed else one.outcome
    return one.declared.name, one.declared.path, outcome, one.problem or one.notes or ""


def yaml_document(
    declared: Sequence[Declared], problems: Sequence[Problem], written: Sequence[Written], *, dry_run: bool
) -> Document:
    """For `--json`; `pipelines` is empty when a problem kept everything from being written."""
    planned = [
        {"name": one.name, "file": str(one.path), "outcome": one.expected(), "deployed": False} for one in declared
    ]
    done = [
        {
            "name": one.declared.name,
            "file": str(one.declared.path),
            "outcome": one.outcome,
            "deployed": one.deployed,
            "notes": one.notes,
            "problem": one.problem,
        }
        for one in written
    ]
    return {
        "dryRun": dry_run,
        "pipelines": [] if problems else planned if dry_run else done,
        "problems": [{"file": str(problem.path), "problem": problem.text} for problem in problems],
    }
