"""How we were started, as far as it can be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from minisched.cli.own_command import own_command

UNDER_UV = {"UV_RUN_RECURSION_DEPTH": "1"}


def test_the_command_is_the_one_that_works_where_we_were_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = tmp_path / "project" / "below"
    inside.mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "project" / ".venv"))
    monkeypatch.chdir(inside)
    assert own_command(UNDER_UV) == "uv run minisched"
    assert own_command({}) == "minisched"
    monkeypatch.chdir(tmp_path)
    assert own_command(UNDER_UV) == "minisched"
