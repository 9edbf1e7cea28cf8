"""Exit codes of the command line: which error and which run state end in which number."""

from __future__ import annotations

from enum import IntEnum

from minisched.domain.errors import ConfigurationError, InvalidInput, MinischedError, NotFound
from minisched.domain.run import RunState


class ExitCode(IntEnum):
    """The whole table; `minisched --help` shows it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    PARTIAL_SUCCESS = 5
    INTERRUPTED = 130


class ServerUnreachable(MinischedError):
    """No minisched server answers there."""


class ServerRefused(MinischedError):
    """The server understood and refused."""


class NotHere(MinischedError):
    """What was asked for happens in another orchestrator."""


_OF_ERROR: tuple[tuple[type[MinischedError], ExitCode], ...] = (
    (ServerUnreachable, ExitCode.UNREACHABLE),
    (NotFound, ExitCode.NOT_FOUND),
    (InvalidInput, ExitCode.USAGE),
    (ConfigurationError, ExitCode.USAGE),
)

_OF_STATE = {RunState.SUCCESS: ExitCode.OK, RunState.PARTIAL_SUCCESS: ExitCode.PARTIAL_SUCCESS}


def of_error(error: MinischedError) -> ExitCode:
    """What the process ends with after this error; FAILED for all that the table does not name."""
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), ExitCode.FAILED)


def of_state(state: str) -> ExitCode:
    """What a command that waited for a run ends with; a run that is not over yet counts as OK."""
    run_state = RunState(state)
    if run_state in (RunState.QUEUED, RunState.RUNNING):
        return ExitCode.OK
    return _OF_STATE.get(run_state, ExitCode.FAILED)
