"""Run directories: those that nothing remembers go by whole days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from minisched.executor.run_directory import RunDirectories

NOON = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def test_days_that_are_over_go_with_all_their_runs(tmp_path: Path) -> None:
    directories = RunDirectories(tmp_path)
    old, last, new = (directories.create(str(uuid4()), NOON - timedelta(days=days)) for days in (9, 7, 0))
    (old / "run.log").write_text("x")
    directories.remove_days_before(NOON - timedelta(days=7))
    assert [path.exists() for path in (old, last, new)] == [False, True, True]
    assert not old.parent.exists()


def test_nothing_has_to_be_there(tmp_path: Path) -> None:
    directory = tmp_path / "none"
    RunDirectories(directory).remove_days_before(NOON)
    assert not directory.exists()
