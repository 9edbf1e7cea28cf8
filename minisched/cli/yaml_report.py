"""What an import of YAML files did, would do, or why it did nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from minisched.cli.printing import console, table
from minisched.cli.yaml_import import DELETED, REFUSED, UNCHANGED, Judgement, Pruned, Written

Document = dict[str, Any]
_Row = tuple[object, ...]


def print_problems(judgement: Judgement) -> None:
    click.echo("Nothing was written. Correct first:")
    for problem in judgement.problems:
        click.echo(f"  {problem.path}: {problem.text}")


def print_plan(judgement: Judgement, *, prunes: bool) -> None:
    rows: list[_Row] = [(one.name, one.path, _would(one.expected()), "") for one in judgement.declared]
    if prunes:
        rows += [(entity["fullyQualifiedName"], "", _would(DELETED), "") for entity in judgement.undeclared]
    _print(rows)


def print_done(written: Sequence[Written], pruned: Sequence[Pruned]) -> None:
    _print([*map(_row, written), *((one.name, "", _became(one), one.problem or "") for one in pruned)])


def _print(rows: Iterable[_Row]) -> None:
    console().print(table(("PIPELINE", "FILE", "RESULT", ""), rows))


def _would(outcome: str) -> str:
    return outcome if outcome == UNCHANGED else f"would be {outcome}"


def _row(one: Written) -> _Row:
    outcome = f"{one.outcome}, deployed" if one.deployed else one.outcome
    return one.declared.name, one.declared.path, outcome, one.problem or one.notes or ""


def _became(one: Pruned) -> str:
    return REFUSED if one.problem else DELETED


def problems_document(judgement: Judgement, *, dry_run: bool) -> Document:
    """For `--json`, when nothing was written."""
    problems = [{"file": str(problem.path), "problem": problem.text} for problem in judgement.problems]
    return {"dryRun": dry_run, "pipelines": [], "problems": problems}


def plan_document(judgement: Judgement, *, prunes: bool) -> Document:
    """For `--json --dry-run`. A pipeline that has no file has null in its place."""
    return {"dryRun": True, "pipelines": list(_planned(judgement, prunes=prunes)), "problems": []}


def _planned(judgement: Judgement, *, prunes: bool) -> Iterator[Document]:
    for one in judgement.declared:
        yield {"name": one.name, "file": str(one.path), "outcome": one.expected(), "deployed": False}
    for entity in judgement.undeclared if prunes else ():
        yield {"name": entity["fullyQualifiedName"], "file": None, "outcome": DELETED, "deployed": False}


def done_document(written: Sequence[Written], pruned: Sequence[Pruned]) -> Document:
    """For `--json`."""
    return {"dryRun": False, "pipelines": [*map(_done, written), *map(_gone, pruned)], "problems": []}


def _done(one: Written) -> Document:
    return {
        "name": one.declared.name,
        "file": str(one.declared.path),
        "outcome": one.outcome,
        "deployed": one.deployed,
        "notes": one.notes,
        "problem": one.problem,
    }


def _gone(one: Pruned) -> Document:
    return {
        "name": one.name,
        "file": None,
        "outcome": _became(one),
        "deployed": False,
        "notes": None,
        "problem": one.problem,
    }
