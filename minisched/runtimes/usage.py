"""Who is using a runtime right now."""

from __future__ import annotations

from pathlib import Path

import psutil


def processes_in(directory: Path) -> list[int]:
    """Pids of the processes whose program is the interpreter of this environment: launchers, guards and runs."""
    root = f"{directory}/"
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (command := process.info["cmdline"]) and command[0].startswith(root)
    ]
