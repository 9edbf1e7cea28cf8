"""Tables as they reach a terminal, a pipe or a file."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from minisched.cli.printing import console, table

ID = "0f5f4c1e-3a0b-4d5e-9d59-4d1a44a9f111"
NAME = "a_service_with_a_name.a_pipeline_with_a_long_name"
_STYLE = re.compile(r"\x1b\[[\d;]*m")
SENTENCE = "All 4 slots are taken, and so they are by runs that take very long."


def _shown(drawn: Any, monkeypatch: pytest.MonkeyPatch, *, terminal_width: int | None) -> list[str]:
    """The lines that our console writes; to a pipe without a width."""
    stream = io.StringIO()
    if terminal_width is not None:
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(terminal_width))
        monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", stream)
    console().print(drawn)
    return _STYLE.sub("", stream.getvalue()).splitlines()


@pytest.mark.parametrize("width", [20, 60, 80, 100, 130])
def test_ids_and_names_are_whole_in_every_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    drawn = table(("RUN", "PIPELINE", "WHY"), [(ID, NAME, SENTENCE)])
    text = "\n".join(_shown(drawn, monkeypatch, terminal_width=width))
    assert ID in text
    assert NAME in text
    assert "…" not in text
    assert set(SENTENCE.split()) <= set(text.split())


def test_text_is_folded_to_keep_a_table_within_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _shown(table(("RUN", "WHY"), [(ID, SENTENCE)]), monkeypatch, terminal_width=70)
    assert len(lines) > 2
    assert max(map(len, lines)) <= 70


def test_in_a_pipe_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(ID, NAME * 10, SENTENCE * 10), (ID, "two\nlines", "")]
    lines = _shown(table(("RUN", "PIPELINE", "WHY"), rows), monkeypatch, terminal_width=None)
    assert len(lines) == 3
    assert NAME * 10 in lines[1]
    assert SENTENCE * 10 in lines[1]
    assert lines[2].split() == [ID, "two", "lines"]
    assert all(line == line.rstrip() for line in lines)


def test_numbers_stand_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _shown(table(("NAME", "#N"), [("a", 1), ("b", 100)]), monkeypatch, terminal_width=80)
    assert [line.rindex(number) for line, number in zip(lines[1:], ("1", "100"), strict=True)] == [8, 6]


def test_an_empty_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shown(table(("RUN", "STATE"), []), monkeypatch, terminal_width=80) == ["none"]


def test_a_table_without_headings_begins_with_its_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shown(table(("", ""), [("id", ID)]), monkeypatch, terminal_width=80) == [f"id  {ID}"]


def test_a_line_to_be_pasted_is_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stdout", stream)
    console().print_line(f"  shell: {SENTENCE}")
    assert stream.getvalue() == f"  shell: {SENTENCE}\n"
