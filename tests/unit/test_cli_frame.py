"""The frame of the command line: help, exit codes, one line per error and never a traceback."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import httpx
import pytest
from click.testing import CliRunner

from minisched import cli
from minisched.cli import exit_codes
from minisched.cli.exit_codes import ExitCode, ServerRefused, ServerUnreachable
from minisched.cli.invocation import Invocation
from minisched.cli.server import Server
from minisched.domain.errors import ConfigurationError, Conflict, InvalidInput, MinischedError, NotFound, RunNotFound
from minisched.domain.run import RunState

HEAVY = ("httpx", "rich", "yaml", "psutil", "pydantic", "sqlalchemy", "litestar")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MinischedError("x"), 1),
        (Conflict("x"), 1),
        (ServerRefused("x"), 1),
        (InvalidInput("x"), 2),
        (ConfigurationError("x"), 2),
        (NotFound("x"), 3),
        (RunNotFound("x"), 3),
        (ServerUnreachable("x"), 4),
    ],
)
def test_an_error_ends_in_its_exit_code(error: MinischedError, code: int) -> None:
    assert exit_codes.of_error(error) == code


@pytest.mark.parametrize(
    ("state", "code"),
    [("success", 0), ("partialSuccess", 5), ("failed", 1), ("stopped", 1), ("queued", 0), ("running", 0)],
)
def test_a_run_ends_in_the_exit_code_of_its_state(state: str, code: int) -> None:
    assert exit_codes.of_state(state) == code


def test_every_run_state_has_an_exit_code() -> None:
    assert {exit_codes.of_state(state) for state in RunState} == {0, 1, 5}


def _raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def _call(monkeypatch: pytest.MonkeyPatch, error: BaseException, *options: str) -> tuple[int, str]:
    """Run a command that raises; the exit code and all that was printed."""
    failing = click.Command("version", callback=_raising(error))
    monkeypatch.setattr(cli.CommandLine, "get_command", lambda *_: failing)
    result = CliRunner().invoke(cli.command_line, [*options, "version"])
    return result.exit_code, result.output


def test_an_error_is_one_line_with_its_field_and_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    error = InvalidInput("must be a cron string.", field="airflowConfig.scheduleInterval", hint="Try 0 * * * *.")
    code, output = _call(monkeypatch, error)
    assert code == ExitCode.USAGE
    assert output == "minisched: airflowConfig.scheduleInterval: must be a cron string. Try 0 * * * *.\n"


@pytest.mark.parametrize("error", [ValueError("odd"), OSError(28, "No space left on device"), RuntimeError()])
def test_an_unexpected_error_shows_no_traceback_unless_asked(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    code, output = _call(monkeypatch, error)
    assert code == ExitCode.FAILED
    assert "Traceback" not in output
    assert type(error).__name__ in output
    code, output = _call(monkeypatch, error, "--debug")
    assert code == ExitCode.FAILED
    assert "Traceback" in output


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_ends_in_130(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    code, output = _call(monkeypatch, error)
    assert (code, output.strip()) == (130, "minisched: interrupted")


@pytest.mark.parametrize(
    "arguments",
    [["no-such-verb"], ["pipeline", "no-such-verb"], ["pipeline", "show"], ["runs", "list", "--limit", "x"]],
)
def test_wrong_usage_ends_in_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.command_line, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "Traceback" not in result.output


def test_help_names_every_command_and_every_exit_code() -> None:
    text = CliRunner().invoke(cli.command_line, ["--help"]).output
    assert all(f"  {name} " in text for name in cli.COMMANDS)
    codes = text[text.index("Exit codes:") :]
    assert {int(number) for number in re.findall(r"\d+", codes)} == set(ExitCode)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_text_of_the_overview_is_that_of_the_command(name: str) -> None:
    command = cli.command_line.get_command(click.Context(cli.command_line), name)
    assert command is not None
    assert command.short_help == cli.COMMANDS[name][2]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    assert CliRunner().invoke(cli.command_line, [name, "--help"]).exit_code == 0


def test_help_imports_nothing_heavy() -> None:
    script = f"import sys, minisched.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Sends SIGINT to itself as soon as the module is looked for, and holds it up, as slow disks do.
_INTERRUPTED_WHILE_IMPORTING = """
import os, runpy, signal, sys, time
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["minisched", "version"]
{before}
runpy.run_module("minisched", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["minisched.cli", "click", "minisched.domain.errors"])
def test_an_interruption_while_importing_is_silent(module: str) -> None:
    script = _INTERRUPTED_WHILE_IMPORTING.format(module=module, before="")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "")


def test_an_interruption_while_a_command_is_imported_is_one_line() -> None:
    script = _INTERRUPTED_WHILE_IMPORTING.format(module="minisched.cli.version_command", before="")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (ExitCode.INTERRUPTED, "", "minisched: interrupted")


def test_whoever_ignores_interruptions_is_not_interrupted_while_importing() -> None:
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    script = _INTERRUPTED_WHILE_IMPORTING.format(module="click", before=ignoring)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:10], done.stderr) == (0, "minisched ", "")


def test_version_is_printed_for_people_and_scripts() -> None:
    assert CliRunner().invoke(cli.command_line, ["--version"]).output.startswith("minisched ")
    assert '"minisched":' in CliRunner().invoke(cli.command_line, ["version", "--json"]).output


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused", request=request)


def test_a_server_that_is_not_there_ends_in_4_with_what_to_do() -> None:
    invocation = Invocation(transport=httpx.MockTransport(_refuse))
    result = CliRunner().invoke(cli.command_line, ["--url", "http://127.0.0.1:1", "runs", "list"], obj=invocation)
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "http://127.0.0.1:1" in result.output
    assert "minisched serve" in result.output


@contextmanager
def _listening(answer: bytes) -> Iterator[int]:
    """Somebody on a port who answers whatever is said with these bytes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak HTTPS. Try --url http://127.0.0.1:"),
        ("http", b"", "does not answer in HTTP: Server disconnected"),
        ("http", b"\x15\x03\x03\x00\x02\x02\x46", "If it has a certificate, try --url https://127.0.0.1:"),
        ("http", b"SSH-2.0-sshd\r\n", "does not answer in HTTP: "),
    ],
)
def test_who_listens_there_instead_of_a_server_is_said(scheme: str, answer: bytes, said: str) -> None:
    with _listening(answer) as port:
        result = CliRunner().invoke(cli.command_line, ["--url", f"{scheme}://127.0.0.1:{port}", "runs", "list"])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert said in result.output
    assert "no minisched server answers" not in result.output
    assert len(result.output.splitlines()) == 1


def test_a_certificate_that_is_not_trusted_is_not_a_server_that_is_missing() -> None:
    def distrust(request: httpx.Request) -> httpx.Response:
        refusal = ssl.SSLCertVerificationError()
        refusal.verify_message = "self-signed certificate"
        raise httpx.ConnectError("[SSL: …]", request=request) from refusal

    with Server("https://there", httpx.MockTransport(distrust)) as server, pytest.raises(ServerUnreachable) as raised:
        server.get("/x")
    assert str(raised.value) == "the certificate of https://there is not trusted: self-signed certificate."


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_web_page_is_not_a_server_and_not_shown(status: int) -> None:
    page = "<!DOCTYPE html>\n<html><body>Welcome</body></html>"
    transport = httpx.MockTransport(lambda _: httpx.Response(status, html=page))
    invocation = Invocation(transport=transport)
    result = CliRunner().invoke(cli.command_line, ["--url", "http://127.0.0.1:1", "runs", "list"], obj=invocation)
    assert result.exit_code == ExitCode.UNREACHABLE
    assert f"http://127.0.0.1:1: a web page does, with status {status}." in result.output
    assert "Welcome" not in result.output


@pytest.mark.parametrize("url", ["", "127.0.0.1:8580", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises((InvalidInput, ServerUnreachable)):
        Server(url)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (404, '{"code":404,"message":"run instance for x not found"}', NotFound, "run instance for x not found"),
        (400, '{"code":400,"message":"sourceConfig: is required"}', ServerRefused, "sourceConfig: is required"),
        (400, '{"error":"plugin words"}', ServerRefused, "plugin words"),
        (502, "<html>bad gateway</html>", ServerRefused, "502: <html>bad gateway</html>"),
        (500, "", ServerRefused, "the server answered 500"),
        (200, "<html>welcome</html>", ServerRefused, "not JSON"),
    ],
)
def test_what_the_server_says_is_what_is_shown(status: int, body: str, error: type[MinischedError], text: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    with Server("http://127.0.0.1:8580", transport) as server, pytest.raises(error, match=text):
        server.get("/x")


def test_an_empty_answer_is_none() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(204))
    with Server("http://127.0.0.1:8580", transport) as server:
        assert server.get("/x") is None
