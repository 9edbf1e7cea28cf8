"""Looking at an interpreter from outside: which ingestion package it has, and what of it can be imported."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minisched.domain.errors import RuntimeUnusable

WORKER = Path(__file__).parent.parent / "worker"

# Without one of these not even a metadata pipeline runs.
_ESSENTIAL = ("metadata.workflow.metadata", "metadata.ingestion.api.workflow")
_OF_ANOTHER_LINE = "No module named 'metadata."
_PROBE_WITHIN_S = 30.0
_INSPECT_WITHIN_S = 600.0
_TAIL = 600

# Imports nothing of the package: `import metadata` alone takes seconds. Python 3.8 syntax.
_PROBE = """
import json, os, platform, sys
from importlib import metadata
try:
    found = metadata.distribution("openmetadata-ingestion")
    version = found.version
    record = found.locate_file("openmetadata_ingestion-%s.dist-info" % version)
    stamp = os.stat(str(record)).st_mtime_ns if os.path.isdir(str(record)) else 0
except metadata.PackageNotFoundError:
    version, stamp = None, 0
present = version is not None or any(os.path.isdir(os.path.join(p, "metadata", "ingestion")) for p in sys.path)
print(json.dumps({"version": version, "present": present, "stamp": stamp, "python": platform.python_version()}))
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """A quick look. `stamp` changes with a new installation; `present` without `version` is a source tree."""

    python_version: str
    version: str | None
    present: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """A real import. `modules` holds None, or why it cannot be imported, by name; `import_s` is seconds."""

    python_version: str
    version: str | None
    modules: dict[str, str | None]
    import_s: float

    @property
    def failures(self) -> dict[str, str]:
        return {name: error for name, error in self.modules.items() if error is not None}

    @property
    def problem(self) -> str | None:
        """Why nothing can run there; None when at least metadata pipelines can."""
        if any(name in self.modules and self.modules[name] is None for name in _ESSENTIAL):
            return None
        reasons = [f"{name}: {error}" for name, error in self.failures.items()]
        # That a line does not have the modules of another says nothing.
        telling = [reason for reason in reasons if _OF_ANOTHER_LINE not in reason]
        return next(iter(telling or reasons), "it has no workflow modules")


def probe_interpreter(python: Path) -> Probe:
    """Ask an interpreter for the installed package, without importing it. Raises RuntimeUnusable."""
    answer = _ask([str(python), "-c", _PROBE], within_s=_PROBE_WITHIN_S)
    return Probe(answer["python"], answer["version"], bool(answer["present"]), int(answer["stamp"]))


def inspect_interpreter(python: Path, python_path: Sequence[Path] = ()) -> Inspection:
    """Import the workflow modules in a process of that interpreter. Raises RuntimeUnusable."""
    paths = [part for path in python_path for part in ("--path", str(path))]
    answer = _ask([str(python), str(WORKER), "inspect", *paths], within_s=_INSPECT_WITHIN_S)
    return Inspection(answer["python"], answer["version"], dict(answer["modules"]), float(answer["import_s"]))


def runtime_environment() -> dict[str, str]:
    """What an interpreter of a runtime may see of our environment: our settings may hold secrets, and our Python's
    variables would lead it to our packages."""
    ours = ("MINISCHED_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _ask(command: list[str], *, within_s: float) -> dict[str, Any]:
    """The JSON object on the last line of what the command prints."""
    try:
        done = subprocess.run(
            command,
            cwd="/",
            env=runtime_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise RuntimeUnusable(f"The interpreter {command[0]} cannot be started: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise RuntimeUnusable(f"The interpreter {command[0]} did not answer within {within_s:g} s.") from None
    answer = _last_object(done.stdout)
    if done.returncode != 0 or answer is None:
        said = " ".join(done.stderr.split())[-_TAIL:] or "nothing"
        raise RuntimeUnusable(f"The interpreter {command[0]} ended with code {done.returncode} and said: {said}")
    return answer


def _last_object(text: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(text.strip().rpartition("\n")[2])
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
