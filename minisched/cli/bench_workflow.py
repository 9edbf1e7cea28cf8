"""The workflow that bench runs: it does nothing but say when it was reached.

It is put in the place of the application workflow by settings, so launcher, guard and runner are the real ones, and the
launcher carries the real package when there is a runtime; else a stand-in for it, an environment with the modules that
a launcher looks for.
"""

from __future__ import annotations

import re
import sys
import venv
from pathlib import Path

MODULE = "minisched_bench_workflow"
_MARK = "minisched bench reached its workflow at"
_REACHED = re.compile(rf"{_MARK} (\d+) ns")

_WORKFLOW = f'''"""A workflow that does nothing."""

import time


class Workflow:
    @classmethod
    def create(cls, config):
        print("{_MARK}", time.time_ns(), "ns", flush=True)
        return cls()

    def execute(self):
        pass

    def stop(self):
        pass

    def print_status(self):
        pass
'''

_DISTRIBUTION = """Metadata-Version: 2.1
Name: openmetadata-ingestion
Version: 0.0.0
"""
_STAND_IN = {
    "openmetadata_ingestion-0.0.0.dist-info/METADATA": _DISTRIBUTION,
    "metadata/__init__.py": "",
    "metadata/workflow/__init__.py": "",
    "metadata/workflow/metadata.py": "class MetadataWorkflow:\n    pass\n",
    "metadata/workflow/application.py": "class ApplicationWorkflow:\n    pass\n",
}


def write_workflow(directory: Path) -> Path:
    """Write the module of the workflow into a directory that is to be on the import path, which is returned."""
    _write(directory, {f"{MODULE}.py": _WORKFLOW})
    return directory


def make_stand_in(directory: Path) -> Path:
    """Make an environment that looks like one with the package; returns its interpreter."""
    venv.create(directory, symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _write(directory / "lib" / version / "site-packages", _STAND_IN)
    return directory / "bin" / "python"


def _write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reached_ns(log: bytes) -> int | None:
    """When the workflow's first line ran, in epoch nanoseconds, from the log of a run; None if it never did."""
    found = _REACHED.search(log.decode(errors="replace"))
    return int(found[1]) if found else None
