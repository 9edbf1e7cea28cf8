"""What gets into a run's log, whoever writes it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.worker import run_log, surroundings
from minisched.worker.redaction import Redactor
from minisched.worker.result import Result

_REFUSED = "Extra inputs are not permitted [type=extra_forbidden, input_value='HUNTER2', input_type=str]"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[run_log.CleanStream, Path]]:
    path = tmp_path / "log"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    stream = run_log.CleanStream(fd, Redactor())
    yield stream, path
    stream.close()
    os.close(fd)


def formatted(error: ValueError) -> str:
    """The error as the run's log has it, with a traceback."""
    try:
        raise error
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    return run_log._Format(run_log._FORMAT).format(record)


def test_refused_inputs_are_hidden_from_prints(log: tuple[run_log.CleanStream, Path]) -> None:
    stream, path = log

    print("so:", _REFUSED, file=stream)

    assert path.read_text() == "so: {}\n".format(_REFUSED.replace("'HUNTER2'", "*********"))


def test_short_tracebacks_are_kept() -> None:
    text = formatted(ValueError("short"))

    assert "Traceback" in text
    assert text.endswith("ValueError: short")


def test_of_a_long_traceback_the_middle_is_left_out() -> None:
    text = formatted(ValueError("\n".join(f"line {number}: {_REFUSED}" for number in range(5000))))

    assert len(text) < 25_000
    assert "Traceback" in text
    assert "line 0:" in text
    assert "line 4999:" in text
    assert "lines left out ..." in text
    assert "HUNTER2" not in text


def test_a_long_error_is_cut_only_after_its_inputs_are_hidden() -> None:
    result = Result("x")

    result.fail("ValueError", "a" * 3900 + " input_value='{}\n HUNTER2', input_type=str]".format("b" * 100))

    assert result.error is not None
    assert "HUNTER2" not in result.error["message"]
    assert "b" not in result.error["message"]


def test_the_working_directory_in_the_environment_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/some/directory")
    monkeypatch.setenv("DB_PWD", "hunter2")

    inherited = surroundings.inherited_variables()

    assert "PWD" not in inherited
    assert inherited["DB_PWD"] == "hunter2"
