"""Tables that show every id and every name whole: those are what a person types next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# What text is folded to in a table that does not fit anyway.
_WIDEST_TEXT = 40
# More than any terminal has: what a cell would take if it could.
_UNLIMITED = 1_000_000


class WholeTable(Table):
    """Folds text between words to fit into the terminal, and gets wider than it rather than cut a word.

    A table without rows is the word "none".
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("none")
            return
        gaps = sum(self.padding[1::2]) * len(self.columns)
        widths = _fitting(self._needs(console, options), options.max_width - gaps)
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        room = max(options.max_width, sum(widths) + gaps)
        yield from _without_ends_of_spaces(super().__rich_console__(console, options.update(width=room)))

    def _needs(self, console: Console, options: ConsoleOptions) -> list[Measurement]:
        """Of each column its longest word and its longest cell."""
        needs = []
        for column in self.columns:
            shown = [*column.cells, *([column.header] if self.show_header else [])]
            measured = [Measurement.get(console, options.update(width=_UNLIMITED), cell) for cell in shown]
            needs.append(Measurement(max(one.minimum for one in measured), max(one.maximum for one in measured)))
        return needs


def _fitting(needs: Sequence[Measurement], room: int) -> list[int]:
    """The widths of columns: the longest are narrowed until all fit, but none below its longest word."""
    if sum(need.maximum for need in needs) <= room:
        return [need.maximum for need in needs]
    if sum(need.minimum for need in needs) > room:
        return _narrowed(needs, _WIDEST_TEXT)
    limit = max(need.maximum for need in needs)
    while sum(_narrowed(needs, limit)) > room:
        limit -= 1
    return _narrowed(needs, limit)


def _narrowed(needs: Sequence[Measurement], limit: int) -> list[int]:
    return [max(need.minimum, min(need.maximum, limit)) for need in needs]


def _without_ends_of_spaces(segments: RenderResult) -> Iterator[Segment]:
    """Spaces behind the last word of a line would make a wide table wrap into empty lines."""
    for line in Segment.split_lines(segment for segment in segments if isinstance(segment, Segment)):
        while line and not line[-1].text.rstrip(" "):
            line.pop()
        if line:
            last = line.pop()
            line.append(Segment(last.text.rstrip(" "), last.style))
        yield from line
        yield Segment.line()
