"""`minisched db` on a real SQLite file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation


def _call(data_dir: Path, *arguments: str) -> Result:
    invocation = Invocation(environ={"MINISCHED_DATA_DIR": str(data_dir)})
    return CliRunner().invoke(command_line, ["db", *arguments], obj=invocation)


def _json(data_dir: Path, *arguments: str) -> Any:
    return json.loads(_call(data_dir, *arguments, "--json").stdout)


def test_asking_for_the_revision_creates_nothing(tmp_path: Path) -> None:
    assert _json(tmp_path / "data", "current")["current"] is None
    assert not (tmp_path / "data").exists()


def test_a_database_is_made_and_found_upgraded_the_next_time(tmp_path: Path) -> None:
    first = _json(tmp_path / "data", "upgrade")
    assert first["before"] is None
    assert _json(tmp_path / "data", "current") == {"current": first["now"], "head": first["now"]}
    assert _json(tmp_path / "data", "upgrade") == {"before": first["now"], "now": first["now"], "backup": None}
    assert "already" in _call(tmp_path / "data", "upgrade").output


def test_a_backup_is_a_whole_database_and_overwrites_nothing(tmp_path: Path) -> None:
    _call(tmp_path / "data", "upgrade")
    target = tmp_path / "copy.db"
    assert _json(tmp_path / "data", "backup", str(target))["bytes"] == target.stat().st_size
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    refused = _call(tmp_path / "data", "backup", str(target))
    assert refused.exit_code == ExitCode.USAGE
    assert "exists already" in refused.output


def test_a_newer_database_is_shown_and_not_touched(tmp_path: Path) -> None:
    _call(tmp_path, "upgrade")
    with closing(sqlite3.connect(tmp_path / "minisched.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    assert _json(tmp_path, "current")["current"] == "from-the-future"
    refused = _call(tmp_path, "upgrade")
    assert refused.exit_code == ExitCode.USAGE
    assert "from-the-future" in refused.output
