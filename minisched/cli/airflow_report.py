"""What an import from Airflow found and did: a table for people, a document for scripts. No secret is in either."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from minisched.cli.airflow_import import REFUSED, Found, Imported, Inventory
from minisched.cli.printing import console, table
from minisched.domain.instant import to_ms

Document = dict[str, Any]

_WOULD = {
    "new": "would be imported",
    "changed": "would be updated",
    "unchanged": "unchanged",
    "outdated": "kept: a later one is deployed",
    REFUSED: "would be refused",
}
_DID = {
    "new": "imported",
    "changed": "updated",
    "unchanged": "unchanged",
    "outdated": "kept: a later one is deployed",
    REFUSED: "refused",
}

_NAMED = 3
_JUDGED_HINT = (
    "Is it of another line than the runtime? Name one of its line with --runtime, or deploy it from OpenMetadata."
)


def print_report(inventory: Inventory, imported: Sequence[Imported], *, dry_run: bool) -> None:
    out = console()
    words = _WOULD if dry_run else _DID
    columns = ("PIPELINE", "TYPE", "SCHEDULE", "IN AIRFLOW", "LAST RUN THERE", "RESULT", "HERE", "#SECRETS")
    out.print(table(columns, [_row(one, words, asked=inventory.asked) for one in imported]))
    _print_list("Read otherwise here:", _differences([one.found for one in imported]))
    _print_list(
        "Enabled on both sides; pause them in Airflow:", [one.found.config.fqn for one in imported if _twice(one)]
    )
    _print_list("To know:", [f"{one.found.config.fqn}: {note}" for one in imported for note in _notes(one)])
    _print_list("Refused:", _refusals(imported))
    _print_list("No pipelines:", [f"{file.path.name}: {file.problem}" for file in inventory.unreadable])
    click.echo(_summary(inventory, imported, words))


def _row(one: Imported, words: dict[str, str], *, asked: bool) -> tuple[object, ...]:
    found = one.found
    return (
        found.config.fqn,
        found.config.document.get("pipelineType"),
        found.airflow_config.get("scheduleInterval") or "on demand",
        _there(found, asked=asked),
        _last_run(found),
        words[one.outcome],
        {None: "", True: "enabled", False: "disabled"}[one.enabled],
        found.secrets,
    )


def _there(found: Found, *, asked: bool) -> str:
    if not asked:
        return ""
    if found.dag is None:
        return "unknown"
    return "paused" if found.dag.paused else "active"


def _twice(one: Imported) -> bool:
    return bool(one.enabled and one.found.dag and not one.found.dag.paused)


def _last_run(found: Found) -> str:
    if found.dag is None or not found.dag.runs:
        return ""
    last = found.dag.runs[0]
    began = f" {last.started_at:%Y-%m-%d %H:%M} UTC" if last.started_at else ""
    return f"{last.state}{began}"


def _differences(found: Sequence[Found]) -> list[str]:
    """One line for all pipelines that share one."""
    having: dict[tuple[str, str], list[str]] = {}
    for pipeline in found:
        for difference in pipeline.differences:
            having.setdefault((difference.field, difference.text), []).append(pipeline.config.fqn)
    return [f"{field}: {text} ({_some(fqns)})" for (field, text), fqns in sorted(having.items())]


def _refusals(imported: Sequence[Imported]) -> list[str]:
    """Likewise, and what to do about those that the models of a runtime refused."""
    having: dict[str, list[str]] = {}
    for one in imported:
        if one.problem:
            having.setdefault(one.problem, []).append(one.found.config.fqn)
    lines = [f"{problem} ({_some(fqns)})" for problem, fqns in having.items()]
    return [*lines, _JUDGED_HINT] if any(" parameter" in problem for problem in having) else lines


def _some(fqns: Sequence[str]) -> str:
    shown = ", ".join(fqns[:_NAMED])
    return shown if len(fqns) <= _NAMED else f"{shown} and {len(fqns) - _NAMED} more"


def _notes(one: Imported) -> list[str]:
    masked = one.found.masked
    known = [f"{masked} secrets are ********* in its file: deploy it again from OpenMetadata."] if masked else []
    return [*known, *one.notes]


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo(f"\n{title}")
        for line in lines:
            click.echo("  " + "".join(char if char.isprintable() else "?" for char in line))


def _summary(inventory: Inventory, imported: Sequence[Imported], words: dict[str, str]) -> str:
    counts = [
        f"{count} {word}" for key, word in words.items() if (count := sum(one.outcome == key for one in imported))
    ]
    if inventory.unreadable:
        counts.append(f"{len(inventory.unreadable)} no pipelines")
    secrets = sum(found.secrets for found in inventory.found)
    clear = f" {secrets} secrets lie in clear in these files: --shred removes them." if secrets else ""
    return f"\n{', '.join(counts)}.{clear}"


def report_document(
    inventory: Inventory, imported: Sequence[Imported], shredded: Sequence[Path], *, dry_run: bool
) -> Document:
    """The report for `--json`; instants in epoch milliseconds."""
    return {
        "dryRun": dry_run,
        "pipelines": [_pipeline(one, asked=inventory.asked) for one in imported],
        "unreadable": [{"file": str(file.path), "problem": file.problem} for file in inventory.unreadable],
        "secretsInClear": sum(found.secrets for found in inventory.found),
        "shredded": [str(path) for path in shredded],
    }


def _pipeline(one: Imported, *, asked: bool) -> Document:
    found = one.found
    return {
        "file": str(found.config.path),
        "name": found.config.document["name"],
        "fullyQualifiedName": found.config.fqn,
        "pipelineType": found.config.document.get("pipelineType"),
        "schedule": found.airflow_config.get("scheduleInterval"),
        "inAirflow": _there(found, asked=asked) or None,
        "lastRuns": [
            {"state": run.state, "startedAt": _ms(run.started_at), "endedAt": _ms(run.ended_at)}
            for run in (found.dag.runs if found.dag else ())
        ],
        "outcome": one.outcome,
        "enabled": one.enabled,
        "differences": [{"field": difference.field, "text": difference.text} for difference in found.differences],
        "secretsInClear": found.secrets,
        "notes": _notes(one),
        "problem": one.problem,
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
