"""Calling uv: its output line by line, no orphan when we are interrupted, its errors as one paragraph."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import uv

from minisched.runtimes.errors import RuntimeBuildFailed

# Another target than ours, other interpreters than it would find, and our settings, which may hold secrets.
_NOT_FOR_UV = ("VIRTUAL_ENV", "CONDA_", "UV_SYSTEM_PYTHON", "PYTHON", "MINISCHED_")
_END_WITHIN_S = 5.0
_PARAGRAPH = 600
_TAIL_LINES = 3

_PACKAGE_AT_FAULT = (
    re.compile(r"Failed to (?:build|download|prepare|install|read|extract|fetch)\w*:? `((?!https?:)[^`]+)`"),
    re.compile(r"Failed to install: \S+ \(([^)]+)\)"),
    re.compile(r"([A-Za-z0-9][\w.-]*)(?:==\S+)? was not found in the (?:package registry|cache)"),
    re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9][\w.-]*(?:[=<>~!]=?[^\s,]+)?)"),
    re.compile(r"[Bb]ecause only ([A-Za-z0-9][\w.-]*)(?:[<>=]=?\S+)? (?:is|are) available"),
    re.compile(r"(?:Failed to fetch|Could not connect)\S* \S*?/simple/([\w.-]+)/?"),
)
_DECORATION = re.compile(r"^[\s×│├└╰─▶]+|^\s*(?:error|cause|Caused by):\s*")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_NETWORK = re.compile(
    r"error sending request|dns error|Name or service not known|Connection refused|timed out|Failed to fetch|urlopen",
    re.IGNORECASE,
)
_UNKNOWN_EXTRA = re.compile(r"does not have an extra named `([^`]+)`")


def run_uv(
    arguments: Sequence[str],
    *,
    directory: Path,
    on_line: Callable[[str], None],
    pass_fds: Iterable[int] = (),
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Run uv in `directory` and return its lines. Raises RuntimeBuildFailed when it fails.

    When we are interrupted, uv and what it started are ended before the interruption goes on. `pass_fds` stay open in
    uv too: a lock on one of them outlives us if we are killed, until uv has gone as well.
    """
    lines: list[str] = []
    with _started([uv.find_uv_bin(), *arguments, "--color", "never"], directory, pass_fds, environ) as process:
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = _CREDENTIALS.sub("", raw.rstrip("\n"))
                lines.append(line)
                on_line(line)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if code != 0:
        raise failure(lines, code)
    return lines


def _started(
    command: list[str], directory: Path, pass_fds: Iterable[int], environ: Mapping[str, str]
) -> subprocess.Popen[str]:
    clean = {name: value for name, value in environ.items() if not name.startswith(_NOT_FOR_UV)}
    return subprocess.Popen(
        command,
        cwd=directory,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=tuple(pass_fds),
        # Ctrl-C reaches us alone; what to end, and in which order, is then ours to say.
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_WITHIN_S)
    if process.stdout is not None:
        process.stdout.close()


def unknown_extras(lines: Iterable[str]) -> list[str]:
    """The extras that the chosen version does not have; uv only warns of them."""
    return [found[1] for line in lines if (found := _UNKNOWN_EXTRA.search(line))]


def failure(lines: Sequence[str], code: int) -> RuntimeBuildFailed:
    """uv's chain of causes as one readable paragraph, with the package that it is about."""
    chain, quoted, hints = _parts(lines)
    said = " ".join(chain) or " ".join(lines[-_TAIL_LINES:]) or f"uv ended with code {code} and said nothing"
    text = _shortened(said)
    package = next((found[1] for pattern in _PACKAGE_AT_FAULT if (found := pattern.search(text))), None)
    about = f"The package {package} could not be installed. " if package else "The packages could not be installed. "
    tail = f" Its last words: {' / '.join(quoted[-_TAIL_LINES:])}" if quoted else ""
    reason = text.rstrip(".") + "." + _shortened(tail)
    return RuntimeBuildFailed(
        about + reason,
        package=package,
        reason=reason,
        hint=_hint(" ".join([text, *quoted]), hints),
        output="\n".join(lines),
    )


def _parts(lines: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(the chain of causes, what a build printed before it died, uv's hints)."""
    begin = next((n for n, line in enumerate(lines) if re.match(r"\s*(×|error:)", line)), len(lines))
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    current = 0
    for line in lines[begin:]:
        text = _DECORATION.sub("", _DECORATION.sub("", line)).strip()
        if text in ("[stdout]", "[stderr]"):
            current = 1
        elif text.startswith("hint:"):
            current = 2
            parts[2].append(text.removeprefix("hint:").strip())
        elif text:
            parts[current].append(text)
    return parts


def _hint(text: str, hints: Sequence[str]) -> str | None:
    if _NETWORK.search(text):
        return (
            "Is the package index reachable from here? A proxy or another index can be set for uv in the environment."
        )
    return " ".join(hints) or None


def _shortened(text: str) -> str:
    return text if len(text) <= _PARAGRAPH else f"{text[: _PARAGRAPH // 2]} […] {text[-_PARAGRAPH // 2 :]}"
