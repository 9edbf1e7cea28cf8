"""The workflow that bench runs: it does nothing but say when it was reached.

It is put in the place of the application workflow by settings, so launcher, guard and runner are the real ones, and the
launcher carries the real package when there is a runtime; else a stand-in with the one module that makes a launcher
ready.
"""

from __future__ import annotations

import re
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

_STAND_IN = {
    "metadata/__init__.py": "",
    "metadata/workflow/__init__.py": "",
    "metadata/workflow/application.py": "class ApplicationWorkflow:\n    pass\n",
}


def write_modules(directory: Path, *, stand_in: bool) -> None:
    """Write what the launcher has to find on its import path."""
    files = {f"{MODULE}.py": _WORKFLOW} | (_STAND_IN if stand_in else {})
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reached_ns(log: bytes) -> int | None:
    """When the workflow's first line ran, in epoch nanoseconds, from the log of a run; None if it never did."""
    found = _REACHED.search(log.decode(errors="replace"))
    return int(found[1]) if found else None
