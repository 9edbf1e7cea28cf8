"""`minisched runtime`: what people and scripts see of runtimes, and the exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from click.testing import CliRunner, Result

from minisched import cli
from minisched import runtimes as runtimes_package
from minisched.cli.invocation import Invocation
from minisched.runtimes import Inspection, RuntimeCatalog
from tests.uv_standin import write_uv_standin

MODULES = {"metadata.workflow.metadata": None, "metadata.workflow.classification": "ModuleNotFoundError: no presidio"}


@pytest.fixture(autouse=True)
def standins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A uv that installs nothing, and an inspection that finds the package all the same."""
    program = write_uv_standin(tmp_path)
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(program))

    def catalog(directory: Path, **options: object) -> RuntimeCatalog:
        answer = Inspection("3.11.7", "2.0.7.0", dict(MODULES), 5.0)
        return RuntimeCatalog(directory, inspect=lambda *_: answer, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(runtimes_package, "RuntimeCatalog", catalog)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def call(data_dir: Path, *arguments: str) -> Result:
    environ = {"MINISCHED_DATA_DIR": str(data_dir), "HOME": str(data_dir)}
    return CliRunner().invoke(cli.command_line, ["runtime", *arguments], obj=Invocation(environ=environ))


def test_create_tells_phases_on_stderr_and_the_outcome_on_stdout(data_dir: Path) -> None:
    result = call(data_dir, "create", "mine", "--version", "2.0", "--extras", "postgres, snowflake")

    assert result.exit_code == 0
    assert "runtime mine: openmetadata-ingestion 2.0.7.0" in result.stdout
    assert "does not     metadata.workflow.classification: ModuleNotFoundError: no presidio" in result.stdout
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["python", "resolve", "check", "done"]
    assert data_dir.stat().st_mode & 0o077 == 0


def test_create_for_scripts(data_dir: Path) -> None:
    told = json.loads(call(data_dir, "create", "--extras", "", "--json").stdout)

    assert (told["name"], told["version"], told["problem"]) == ("default", "2.0.7.0", None)
    assert told["manifest"]["extras"] == []
    assert told["manifest"]["requirement"] == "openmetadata-ingestion>=2.0,<2.1"
    assert Path(told["python"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("create", "auto"), 2, "cannot be the name of a runtime"),
        (("create", "--version", "newest"), 2, "not a version"),
        (("create", "taken"), 1, "Choose another name, or --replace it"),
        (("inspect", "missing"), 3, "There are: taken"),
        (("inspect", "/missing/python"), 3, "no interpreter at"),
        (("remove", "missing"), 3, "no runtime 'missing'"),
    ],
)
def test_refusals_have_an_exit_code_and_say_what_to_do(
    data_dir: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    assert call(data_dir, "create", "taken").exit_code == 0

    result = call(data_dir, *arguments)

    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_failed_creation_names_the_package_and_shows_all_of_uv_when_asked(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said.txt"
    said.write_text("Resolved 42 packages\nerror: Failed to build `pyodbc==5.1`\n  cause: gcc is missing\n")
    monkeypatch.setenv("STANDIN_UV_SAYS", str(said))
    monkeypatch.setenv("STANDIN_UV_CODE", "1")

    quiet, verbose = call(data_dir, "create"), call(data_dir, "create", "-v")

    assert quiet.exit_code == verbose.exit_code == 1
    assert "The package pyodbc==5.1 could not be installed. Failed to build" in quiet.stderr
    assert "Resolved 42 packages" not in quiet.stderr
    assert "Resolved 42 packages" in verbose.stderr
    assert call(data_dir, "list", "--json").stdout.strip() == "[]"


def test_list_shows_what_is_there_and_what_is_broken(data_dir: Path) -> None:
    assert "minisched runtime create default" in call(data_dir, "list").stdout
    call(data_dir, "create", "good")
    call(data_dir, "create", "odd")
    (data_dir / "runtimes" / "odd" / "bin" / "python").unlink()

    lines = call(data_dir, "list").stdout.splitlines()
    told = json.loads(call(data_dir, "list", "--json").stdout)

    assert lines[1].split()[:4] == ["good", "2.0.7.0", "3.11.7", "postgres,mysql"]
    assert lines[1].rstrip().endswith("ready")
    assert lines[2].rstrip().endswith("the Python that it was made with is gone")
    assert [one["name"] for one in told] == ["good", "odd"]


def test_inspect_says_what_works(data_dir: Path) -> None:
    call(data_dir, "create", "mine")

    text = call(data_dir, "inspect").stdout
    told = json.loads(call(data_dir, "inspect", "mine", "--json").stdout)

    assert "works        metadata.workflow.metadata" in text
    assert "does not     metadata.workflow.classification" in text
    assert told["inspection"] == {
        "python_version": "3.11.7",
        "version": "2.0.7.0",
        "modules": MODULES,
        "import_s": 5.0,
    }


def test_remove_forgets_it(data_dir: Path) -> None:
    call(data_dir, "create", "mine")

    assert call(data_dir, "remove", "mine").stdout == "runtime mine is removed\n"
    assert call(data_dir, "list", "--json").stdout.strip() == "[]"


BAR = """
from minisched.cli.runtime_commands import progress_display
from minisched.runtimes import Phase, Progress
with progress_display("runtime [x]") as shown:
    shown(Progress(Phase.DOWNLOAD, "numpy [15 MiB]", 0.5))
"""


def test_on_a_terminal_a_bar_is_drawn_and_taken_away() -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run([sys.executable, "-c", BAR], stderr=theirs, env=environ, check=True, timeout=60)
        os.close(theirs)
        drawn = terminal.read(65536).decode()

    assert "runtime [x]" in drawn
    assert "download: numpy [15 MiB]" in drawn
    assert "50%" in drawn
