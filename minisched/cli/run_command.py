"""`minisched run`: a workflow file in a warm child of this machine, without a pipeline and without a server."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from uuid import uuid4

import click
import psutil

from minisched.cli import exit_codes
from minisched.cli.invocation import Invocation, json_option, pass_invocation
from minisched.cli.printing import console, print_json
from minisched.cli.run_report import print_end, run_document
from minisched.cli.workflow_file import kind_of, read_workflow
from minisched.domain.pipeline import PIPELINE_TYPES


@click.command(short_help="Run a workflow file of the connector docs here and now.")
@click.argument("workflow_file", metavar="WORKFLOW.yaml")
@click.option(
    "--sandbox", is_flag=True, help="Send to the sandbox catalog of the data directory, wherever the file says to send."
)
@click.option("--runtime", metavar="NAME|PATH", help="Runtime, or interpreter, that has openmetadata-ingestion.")
@click.option("--kind", type=click.Choice(PIPELINE_TYPES), help="Kind of workflow; default: as the file tells.")
@click.option("--timeout-s", type=click.FloatRange(min=0, min_open=True), help="End the run after so many seconds.")
@json_option
@pass_invocation
def run(
    invocation: Invocation,
    workflow_file: str,
    sandbox: bool,
    runtime: str | None,
    kind: str | None,
    timeout_s: float | None,
    as_json: bool,
) -> int:
    """Run WORKFLOW.yaml (- for stdin) as the server would: warm, in a process of its own, with limits.

    The log goes to stdout as it is written, then a table of the steps; with --json the log goes to stderr and the run
    to stdout. A value that is exactly $NAME or ${NAME} is taken from the environment when it is set there. Ctrl-C
    stops the run; a second Ctrl-C kills it. The exit code is 0 for success, 5 for partial success, else 1.
    """
    from minisched import app, process_secrecy

    process_secrecy.hide_memory()
    config = read_workflow(workflow_file, invocation.environ)
    limits = {} if timeout_s is None else {"MINISCHED_EXECUTOR__TIMEOUT_S": str(timeout_s)}
    settings = invocation.settings_with(limits)
    with _stop_on_interrupt() as stop:
        try:
            ended = app.run_workflow(
                settings,
                config,
                kind=kind or kind_of(config),
                sandbox=sandbox,
                runtime=runtime,
                on_log=_writer(to_stderr=as_json),
                stop=stop,
            )
        except KeyboardInterrupt:
            _kill_children()
            raise
    document = run_document(ended)
    if as_json:
        print_json(document)
    else:
        print_end(console(), document)
    if stop.is_set() and exit_codes.of_state(ended.state) is not exit_codes.ExitCode.OK:
        return exit_codes.ExitCode.INTERRUPTED
    return exit_codes.of_state(ended.state)


def _kill_children() -> None:
    """Every process that we started, and all below: our launcher, the guard of the run, the run, what it started."""
    from minisched.executor.processes import sweep

    no_run_of_another_launcher = str(uuid4())
    sweep(no_run_of_another_launcher, {child.pid for child in psutil.Process().children()})


def _writer(*, to_stderr: bool) -> Callable[[bytes], None]:
    """Passes log bytes on as they are, at once."""
    stream = (sys.stderr if to_stderr else sys.stdout).buffer

    def write(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return write


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C, SIGTERM or hang-up sets; the second interrupts whatever is waited for.

    Those after it are ignored: nothing that takes longer than the killing is left to be interrupted.
    """
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def note(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            for number in signals:
                signal.signal(number, signal.SIG_IGN)
            raise KeyboardInterrupt
        stop.set()
        # Not through sys.stderr: the handler may have interrupted a write to it.
        os.write(sys.stderr.fileno(), b"\nminisched: stopping the run; press Ctrl-C again to kill it\n")

    former = {number: signal.signal(number, note) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
