"""The command line: verbs and options here, one module per verb behind it, imported when it is called.

Exit codes: 0 done; 1 the run failed or was stopped, or the operation was refused; 2 wrong usage, settings or input
file; 3 not found; 4 no server answers; 5 the run succeeded partly; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from minisched.cli import exit_codes
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import URL_VARIABLE, Invocation
from minisched.domain.errors import MinischedError

# name: (module under minisched.cli, attribute, what `--help` says). The text stands here so that help imports nothing.
COMMANDS = {
    "demo": ("demo_command", "demo", "Show a real ingestion run on a sample database, from nothing."),
    "serve": ("serve_command", "serve", "Run the server: REST API, scheduler, executor and sandbox."),
    "run": ("run_command", "run", "Run a workflow file of the connector docs here and now."),
    "pipeline": ("pipeline_commands", "pipeline", "Create, deploy, trigger and watch pipelines."),
    "deployment": ("deployment_commands", "deployment", "Manage pipelines that OpenMetadata deployed here."),
    "runs": ("runs_commands", "runs", "List, show and stop runs; see what waits."),
    "schedule": ("schedule_commands", "schedule", "Simulate the schedules of all pipelines."),
    "import": ("import_commands", "import_", "Import pipelines from Airflow or from files."),
    "export": ("export_commands", "export", "Export pipelines for Airflow or as files."),
    "sandbox": ("sandbox_commands", "sandbox", "Look at what workflows sent to the sandbox catalog."),
    "user": ("user_commands", "user", "Say who may do what: add, list, change and remove users."),
    "token": ("token_commands", "token", "Create, list and revoke tokens for scripts and programs."),
    "audit": ("audit_command", "audit", "List who changed what, and when."),
    "runtime": ("runtime_commands", "runtime", "Create, list, inspect and remove ingestion environments."),
    "config": ("settings_commands", "config", "Check the settings and show where each value comes from."),
    "db": ("db_commands", "db", "Upgrade, inspect and back up the database."),
    "bench": ("bench_command", "bench", "Measure this machine: start latency, throughput, deploys, memory."),
    "version": ("version_command", "version", "Print the version."),
}


class CommandLine(click.Group):
    """Imports a command when it is called, and ends every call with an exit code and at most one line of error."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"minisched.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        call = super().main
        sys.exit(_exit_code(lambda: call(arguments, prog_name or "minisched", **extra), "--debug" in arguments))


def _exit_code(call: Callable[[], Any], debug: bool) -> int:
    """Run a command; whatever it raises becomes a number and a readable line on stderr."""
    try:
        answer = call()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except MinischedError as error:
        return _report(error, str(error), exit_codes.of_error(error), debug)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # the question that nobody answered stands there without an end of its line
            return _report(error, "a question was asked, and nobody could answer it", ExitCode.USAGE, debug)
        return _report(error, "interrupted", ExitCode.INTERRUPTED, debug)
    except KeyboardInterrupt as error:
        return _report(error, "interrupted", ExitCode.INTERRUPTED, debug)
    except BrokenPipeError:
        # Whoever read our output has left; flushing at exit would fail again, aloud.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the border to the person at the shell: never a traceback unasked
        kind = type(error).__name__
        text = f"unexpected {kind}: {error}\n(run `minisched --debug …` for the traceback)"
        return _report(error, text, ExitCode.FAILED, debug)
    return answer if isinstance(answer, int) else ExitCode.OK


def _report(error: BaseException, text: str, code: ExitCode, debug: bool) -> ExitCode:
    if debug:
        traceback.print_exception(error)
    click.secho(f"minisched: {text}", fg="red", err=True)
    return code


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from minisched import __version__

        click.echo(f"minisched {__version__}")
        ctx.exit()


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done · 1 run failed or operation refused · 2 usage, settings or input file · 3 not found · "
    "4 no server answers · 5 partial success · 130 interrupted.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file (YAML), else that of MINISCHED_CONFIG; MINISCHED_… variables win over it.",
)
@click.option("--url", envvar=URL_VARIABLE, help="Address of the server to talk to; default: as the settings say.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with a token to show the server; else MINISCHED_TOKEN, or MINISCHED_USER and MINISCHED_PASSWORD.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
@click.pass_context
def command_line(
    ctx: click.Context, config_path: Path | None, url: str | None, token_file: Path | None, debug: bool
) -> None:
    """Schedule and run OpenMetadata ingestion pipelines on this machine, without Airflow."""
    given = ctx.obj if isinstance(ctx.obj, Invocation) else Invocation()
    ctx.obj = replace(given, config_path=config_path, url=url, token_file=token_file, debug=debug)


__all__ = ["COMMANDS", "CommandLine", "command_line"]
