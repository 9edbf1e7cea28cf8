"""The wheel carries the migrations, so that a database can be upgraded where there is no repository."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from uv import find_uv_bin

_REPOSITORY = Path(__file__).parents[2]


def test_the_wheel_holds_the_migrations(tmp_path: Path) -> None:
    built = subprocess.run(
        [find_uv_bin(), "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(_REPOSITORY)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    revisions = {f"minisched/_migrations/versions/{path.name}" for path in _REPOSITORY.glob("migrations/versions/*.py")}
    assert {
        "minisched/_migrations/env.py",
        "minisched/_migrations/script.py.mako",
        "minisched/store/tables.py",
    } <= names
    assert revisions
    assert revisions <= names
    assert not any("__pycache__" in name for name in names)
