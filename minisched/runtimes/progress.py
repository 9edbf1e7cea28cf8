"""How far the creation of a runtime is: phases read from what uv prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """In the order of their coming; a phase for which nothing is to do is skipped."""

    PYTHON = "python"
    RESOLVE = "resolve"
    DOWNLOAD = "download"
    BUILD = "build"
    INSTALL = "install"
    COMPILE = "compile"
    CHECK = "check"
    DONE = "done"


# Where each phase begins on the way from 0 to 1, from the durations of a first creation on a small machine.
BEGINS_AT = {
    Phase.PYTHON: 0.0,
    Phase.RESOLVE: 0.02,
    Phase.DOWNLOAD: 0.12,
    Phase.BUILD: 0.12,
    Phase.INSTALL: 0.5,
    Phase.COMPILE: 0.55,
    Phase.CHECK: 0.85,
    Phase.DONE: 1.0,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """One step: `fraction` of the whole never falls, `detail` is a few words for people."""

    phase: Phase
    detail: str
    fraction: float


OnProgress = Callable[[Progress], None]

_RESOLVED = re.compile(r"Resolved (\d+) packages?")
_STARTED = re.compile(r"(Downloading|Building) (\S+)(?: \(([^)]+)\))?")
_FINISHED = re.compile(r"(Downloaded|Built) (\S+)")
_PREPARED = re.compile(r"Prepared (\d+) packages?")
_INSTALLED = re.compile(r"Installed (\d+) packages?")
_COMPILED = re.compile(r"Bytecode compiled (\d+) files?")


@dataclass
class ProgressReader:
    """Feeds on uv's lines and calls `tell` when something has become known."""

    tell: OnProgress
    _fraction: float = 0.0
    _waiting: dict[str, Phase] = field(default_factory=dict)
    _announced: int = 0

    def begin(self, phase: Phase, detail: str) -> None:
        self._to(phase, detail, BEGINS_AT[phase])

    def read(self, line: str) -> None:
        """Lines that mean nothing to us pass without a word."""
        text = line.strip()
        if found := _RESOLVED.match(text):
            self._to(Phase.DOWNLOAD, f"{found[1]} packages needed", BEGINS_AT[Phase.DOWNLOAD])
        elif found := _STARTED.match(text):
            self._start(Phase.DOWNLOAD if found[1] == "Downloading" else Phase.BUILD, found[2], found[3])
        elif found := _FINISHED.match(text):
            self._finish(found[2])
        elif found := _PREPARED.match(text):
            self._to(Phase.INSTALL, f"{found[1]} packages fetched", BEGINS_AT[Phase.INSTALL])
        elif found := _INSTALLED.match(text):
            self._to(Phase.COMPILE, f"{found[1]} packages installed, compiling", BEGINS_AT[Phase.COMPILE])
        elif found := _COMPILED.match(text):
            self._to(Phase.CHECK, f"{found[1]} files compiled", BEGINS_AT[Phase.CHECK])

    def _start(self, phase: Phase, package: str, size: str | None) -> None:
        self._waiting[package] = phase
        self._announced += 1
        self._to(phase, f"{package} ({size})" if size else package, self._fetched())

    def _finish(self, package: str) -> None:
        phase = self._waiting.pop(package, Phase.DOWNLOAD)
        left = ", ".join(self._waiting) or package
        self._to(phase, left, self._fetched())

    def _fetched(self) -> float:
        """uv names only what is large or built, and not how much is to come: never say that all is there."""
        begin, end = BEGINS_AT[Phase.DOWNLOAD], BEGINS_AT[Phase.INSTALL]
        return begin + (end - begin) * (self._announced - len(self._waiting)) / (self._announced + 3)

    def _to(self, phase: Phase, detail: str, fraction: float) -> None:
        self._fraction = max(self._fraction, fraction)
        self.tell(Progress(phase, detail, self._fraction))
