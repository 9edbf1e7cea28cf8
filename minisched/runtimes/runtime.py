"""A runtime: an interpreter with openmetadata-ingestion, and the manifest of those that we made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
INTERPRETER = Path("bin", "python")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a runtime since it was made; `manifest.json` in its directory.

    `created_at` is ISO 8601 in UTC, durations are seconds, `modules` as in Inspection, `interpreter` relative to the
    directory, so that the whole may be moved.
    """

    name: str
    version: str
    requirement: str
    extras: tuple[str, ...]
    python_version: str
    uv_version: str
    created_at: str
    duration_s: float
    import_s: float
    modules: dict[str, str | None] = field(default_factory=dict)
    interpreter: str = str(INTERPRETER)

    @property
    def failures(self) -> dict[str, str]:
        """Modules that cannot be imported, and why."""
        return {name: error for name, error in self.modules.items() if error is not None}

    def write(self, directory: Path) -> None:
        (directory / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest in this directory, or None when there is none that we understand."""
    try:
        document: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        known = {name: document[name] for name in Manifest.__dataclass_fields__ if name in document}
        return Manifest(**known | {"extras": tuple(document["extras"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter that can run workflows.

    `name` is that of its directory, or the path of the interpreter where somebody else made it (then there is no
    manifest). A launcher of another `fingerprint` runs other packages than these. `problem` says why it is broken.
    """

    name: str
    python: Path
    version: str | None
    fingerprint: str
    manifest: Manifest | None = None
    problem: str | None = None


def fingerprint_of(*parts: object) -> str:
    """Short, safe in file names, different when any part is."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:12]
