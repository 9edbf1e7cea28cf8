"""A run as people read it: its line in a list, its steps, its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from minisched.cli.printing import duration, state_text, table, when

if TYPE_CHECKING:
    from minisched.domain.run import Run

Document = Mapping[str, Any]


def run_document(run: Run) -> dict[str, Any]:
    """A run of ours as the server would show it, and what it left behind."""
    from minisched.api.representation import shown
    from minisched.api.run_summary import run_summary

    document: dict[str, Any] = shown({**run_summary(run), "steps": run.steps, "evidence": run.evidence})
    return document


def runs_table(runs: Iterable[Document]) -> Table:
    rows = [
        (
            run["id"],
            run.get("pipelineFqn") or run.get("pipelineName"),
            state_text(run["state"]),
            run.get("reason") or _why_it_waits(run),
            run.get("kind"),
            when(run.get("startedAt")),
            duration(run.get("startedAt"), run.get("endedAt")),
        )
        for run in runs
    ]
    return table(("RUN", "PIPELINE", "STATE", "REASON", "KIND", "STARTED", "#TOOK"), rows)


def _why_it_waits(run: Document) -> str | None:
    waiting = run.get("waiting")
    return f"#{waiting['position']} in the queue: {waiting['text']}" if waiting else None


def queue_table(runs: Iterable[Document]) -> Table:
    """Queued runs in the order in which they may start."""
    rows = [
        (
            run["waiting"]["position"],
            run["id"],
            run.get("pipelineFqn") or run.get("pipelineName"),
            run.get("kind"),
            when(run.get("enqueuedAt")),
            run["waiting"]["text"],
        )
        for run in runs
    ]
    return table(("#PLACE", "RUN", "PIPELINE", "KIND", "QUEUED", "WHY IT WAITS"), rows)


def run_facts(run: Document) -> Table:
    facts = (
        ("run", run["id"]),
        ("pipeline", run.get("pipelineFqn")),
        ("kind", f"{run.get('kind')}, attempt {run.get('attempt', 1)}, by {run.get('requestedBy')}"),
        ("queued", when(run.get("enqueuedAt"))),
        ("waits", _why_it_waits(run) or "-"),
        ("retry of", run.get("retryOf") or "-"),
        ("started", when(run.get("startedAt"))),
        ("ended", when(run.get("endedAt"))),
        ("runtime", run.get("runtime")),
    )
    return table(("", ""), facts)


def steps_table(steps: Sequence[Document]) -> Table:
    """One line per step of the workflow, as it counted itself (contract §4.3 StepSummary)."""
    counted = ("records", "updated_records", "warnings", "errors", "filtered")
    rows = [(step.get("name"), *(step.get(count) or 0 for count in counted)) for step in steps]
    return table(("STEP", "#RECORDS", "#UPDATED", "#WARNINGS", "#ERRORS", "#FILTERED"), rows)


def failures(steps: Sequence[Document], *, at_most: int = 5) -> list[str]:
    """What the steps say went wrong, one line each."""
    found = [
        f"{step.get('name')}: {failure.get('name')}: {str(failure.get('error')).strip().splitlines()[0]}"
        for step in steps
        for failure in step.get("failures") or []
        if failure.get("error")
    ]
    return found[:at_most] + ([f"… and {len(found) - at_most} more"] if len(found) > at_most else [])


def end_line(run: Document) -> Text:
    """`failed (timed_out) in 2.1 s: message`, and on a line of its own what to do."""
    line = Text().append_text(state_text(run["state"]))
    if run.get("reason") and run["reason"] != "completed":
        line.append(f" ({run['reason']})")
    if run.get("startedAt") and run.get("endedAt"):
        line.append(f" in {duration(run['startedAt'], run['endedAt'])}")
    if run.get("message"):
        line.append(f": {run['message']}")
    if run.get("hint"):
        line.append(f"\n  {run['hint']}", style="bold")
    return line


def print_end(console: Console, run: Document) -> None:
    """Steps, failures and the last word on a run."""
    parts: list[Table | Text] = []
    if run.get("steps"):
        parts.append(steps_table(run["steps"]))
    parts.extend(Text(line, style="red") for line in failures(run.get("steps") or []))
    parts.append(end_line(run))
    console.print(Group(*parts))
