"""Questions, answers, and nobody to answer."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from minisched import cli
from minisched.cli.exit_codes import ExitCode
from minisched.cli.questions import confirmed


def _ask(monkeypatch: pytest.MonkeyPatch, stdin: str, *, yes: bool = False) -> Result:
    asking = click.Command("version", callback=lambda: click.echo(f"answer {confirmed('Sure?', yes=yes)}"))
    monkeypatch.setattr(cli.CommandLine, "get_command", lambda *_: asking)
    return CliRunner().invoke(cli.command_line, ["version"], input=stdin)


@pytest.mark.parametrize(("stdin", "answer"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_an_answer_may_be_piped_in(monkeypatch: pytest.MonkeyPatch, stdin: str, answer: bool) -> None:
    result = _ask(monkeypatch, stdin)
    assert (result.exit_code, result.stdout) == (ExitCode.OK, f"answer {answer}\n")
    assert "Sure?" in result.stderr


def test_yes_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ask(monkeypatch, "", yes=True).output == "answer True\n"


def test_where_nobody_answers_it_is_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _ask(monkeypatch, "")
    assert result.exit_code == ExitCode.USAGE
    assert "Nobody is there to answer: Sure? Say --yes" in result.stderr
    assert "interrupted" not in result.output


def test_a_closed_input_is_nobody() -> None:
    script = "from minisched.cli.questions import confirmed; confirmed('Sure?', yes=False)"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, script], capture_output=True, text=True, check=False
    )
    assert "UsageError: Nobody is there to answer" in done.stderr


def test_ctrl_c_at_a_question_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    asking = click.Command("version", callback=lambda: confirmed("Sure?", yes=False))
    monkeypatch.setattr(cli.CommandLine, "get_command", lambda *_: asking)
    monkeypatch.setattr("click.termui.visible_prompt_func", interrupt)
    # The runner puts a prompt of its own in place, so without it.
    with pytest.raises(SystemExit) as ended:
        cli.command_line.main(["version"])
    assert ended.value.code == ExitCode.INTERRUPTED


def test_a_prompt_of_any_command_that_nobody_answers_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = click.Command("version", callback=lambda: click.prompt("Name"))
    monkeypatch.setattr(cli.CommandLine, "get_command", lambda *_: asking)
    result = CliRunner().invoke(cli.command_line, ["version"], input="")
    assert result.exit_code == ExitCode.USAGE
    assert "nobody could answer" in result.stderr
