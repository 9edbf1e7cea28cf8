"""A runtime that has the stand-in instead of the ingestion package: as good as a real one to look at, ready at once."""

from __future__ import annotations

import sys
from pathlib import Path

STANDIN = Path(__file__).parent / "standin"
VERSION = "2.0.7.0"


def make_standin_runtime(directory: Path) -> Path:
    """Make a virtual environment of this interpreter there; returns its interpreter."""
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = directory / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(base)
    (directory / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    packages = directory / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    facts = packages / f"openmetadata_ingestion-{VERSION}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: openmetadata-ingestion\nVersion: {VERSION}\n")
    (packages / "standin.pth").write_text(f"{STANDIN}\n")
    return python
