"""What a person types to call us, for commands that are printed to be pasted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

# Set by `uv run` for whatever it runs.
_UNDER_UV_RUN = "UV_RUN_RECURSION_DEPTH"


def own_command(environ: Mapping[str, str]) -> str:
    """`uv run minisched` when that is how we were started, in our own project; else `minisched`."""
    project = Path(sys.prefix).parent
    here = Path.cwd()
    if environ.get(_UNDER_UV_RUN) and project in (here, *here.parents):
        return "uv run minisched"
    return "minisched"
