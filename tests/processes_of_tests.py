"""Processes that a test is responsible for: found by what they carry, so that none can hide behind a new session."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def processes_about(path: Path) -> list[psutil.Process]:
    """Living processes with this path in their command line or environment, this one and its parents left out."""
    mark = str(path)
    ours = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in ours and _carries(process, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    """Programs show their environment to their own user; processes that hide their memory show only their command."""
    words: list[str] = []
    with contextlib.suppress(psutil.Error):
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words += process.cmdline()
        words += process.environ().values()
    return any(mark in word for word in words)
