"""Places where a test can have the process die: unarmed they do nothing, armed they kill at their count."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from minisched import failpoints
from minisched.domain.errors import ConfigurationError

PROGRAM = """
import os
from minisched import failpoints
failpoints.arm(os.environ)
for number in range(5):
    print(number, flush=True)
    failpoints.reach("here")
    failpoints.reach("elsewhere")
"""


def reached(armed: str | None) -> tuple[int, list[str]]:
    """Exit code and output of a process that passes two places five times."""
    environment = {"PATH": "/usr/bin", failpoints.VARIABLE: armed or ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("armed", "code", "output"),
    [
        (None, 0, 5),
        ("nowhere", 0, 5),
        ("here", -signal.SIGKILL, 1),
        ("elsewhere:3", -signal.SIGKILL, 3),
        ("here:6", 0, 5),
    ],
)
def test_a_place_kills_at_its_count(armed: str | None, code: int, output: int) -> None:
    returncode, lines = reached(armed)
    assert (returncode, len(lines)) == (code, output)


def test_nothing_is_armed_without_the_variable() -> None:
    assert failpoints.arm({}) is None
    failpoints.reach("here")


@pytest.mark.parametrize("text", ["here:0", "here:-1", "here:x"])
def test_a_bad_count_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=failpoints.VARIABLE):
        failpoints.arm({failpoints.VARIABLE: text})
