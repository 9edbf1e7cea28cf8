"""A child of the launcher that judges pipelines by the runtime's own models, one after the other.

It serves one socket: a request is `{}` with the job's descriptor (a memfd with the JSON of a validate job), the answer
`{"problems": [lines], "dropped": [paths]}`, or `{"error": name}` for a mistake of ours. It talks to nobody else, keeps
nothing of what it has seen, and leaves when the socket is closed, when it was idle for long, after some thousand
pipelines, and, by a signal that no code can delay, when one takes too long.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
from typing import Any

from . import kernel, protocol, surroundings, validation
from .result import Result
from .runner import read_job

LIMIT_S = 2
_IDLE_S = 300.0
_MOST_PIPELINES = 5000
_LONGEST_LINE = 300
_ROOM = 60_000  # of protocol.MAX_MESSAGE_BYTES


def serve(fd: int, launcher: int) -> None:
    """Answer until nobody asks any more; returns when it is time to leave."""
    surroundings.become_spare(launcher, fd)
    kernel.name_process("minisched-judge")
    _be_silent()
    gc.enable()
    connection = socket.socket(fileno=fd)
    for _ in range(_MOST_PIPELINES):
        if not select.select([connection], [], [], _IDLE_S)[0]:
            return
        try:
            _, (job_fd,) = protocol.receive(connection)
            protocol.send(connection, _within_limit(job_fd))
        except (EOFError, OSError):
            return


def _be_silent() -> None:
    """Nothing that a model prints about a pipeline may get into the launcher's log."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def _within_limit(job_fd: int) -> dict[str, Any]:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIMIT_S)
    try:
        return _judgement(job_fd)
    finally:
        signal.alarm(0)


def _judgement(job_fd: int) -> dict[str, Any]:
    result = Result("validation")
    try:
        job = read_job(job_fd)
        validation.validate(job["pipeline"], job, result)
    except (Exception, SystemExit) as error:
        return {"error": type(error).__name__}
    return _fitting({"problems": result.problems, "dropped": result.dropped_fields})


def _fitting(answer: dict[str, list[str]]) -> dict[str, Any]:
    """As much of it as a message holds."""
    fitting = {name: [line[:_LONGEST_LINE] for line in lines] for name, lines in answer.items()}
    while len(json.dumps(fitting)) > _ROOM:
        max(fitting.values(), key=len).pop()
    return fitting
