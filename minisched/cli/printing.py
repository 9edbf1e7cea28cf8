"""Output: tables and trees for people, one JSON document for scripts. Text of others is never taken for markup."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from minisched.cli.whole_table import WholeTable

# Where nobody looks, nothing has to fit: in pipes and files a row is a line, however long.
_WIDTH_WITHOUT_TERMINAL = 1_000_000

_STATE_STYLES = {
    "success": "green",
    "partialSuccess": "yellow",
    "failed": "red",
    "stopped": "magenta",
    "running": "cyan",
    "queued": "blue",
}


class OurConsole(Console):
    """Leaves it to the terminal to break lines that are wider than itself, which copies them whole."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **{"crop": False, **options})

    def print_line(self, line: str | Text) -> None:
        """One line that may be copied and pasted: never broken, whatever its length."""
        super().print(Text(line) if isinstance(line, str) else line, soft_wrap=True)


def console(*, stderr: bool = False) -> OurConsole:
    """A console on stdout or stderr as they are now."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return OurConsole(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_json(document: Any) -> None:
    """The document on stdout, in UTF-8, with a newline."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> WholeTable:
    """A table; columns whose name starts with # are numbers and stand to the right. Without any name, no heading."""
    drawn = WholeTable(header_style="bold", box=None, pad_edge=False, show_header=any(columns))
    for column in columns:
        drawn.add_column(column.removeprefix("#"), justify="right" if column.startswith("#") else "left")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(_plain(cell)) for cell in row))
    return drawn


def _plain(cell: object) -> str:
    """On one line: a row with line breaks in it would be several to whoever reads line by line."""
    return "" if cell is None else " ".join(str(cell).splitlines())


def state_text(state: str | None) -> Text:
    """A run state in its colour."""
    return Text(state or "-", style=_STATE_STYLES.get(state or "", ""))


def when(milliseconds: int | None) -> str:
    """Epoch milliseconds as local time to the second; a dash for none."""
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(start_ms: int | None, end_ms: int | None) -> str:
    """How long something took: milliseconds below a second, else seconds, minutes or hours."""
    if start_ms is None or end_ms is None:
        return "-"
    return seconds((end_ms - start_ms) / 1000)


def seconds(value: float) -> str:
    """A duration for people: 12 ms, 3.4 s, 2 min 5 s, 1 h 2 min."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
