"""A spare runner goes through the motions of a run, so that the real one starts on pages that are its own already.

After a fork every page is shared, and its first change costs a page fault: some milliseconds in all, which are better
spent while nobody waits. The launcher does the same before its first fork, so that caches are filled once for all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from typing import Any

from . import pipeline_config, run_log, source_type, surroundings
from .execution import execute
from .progress import Progress
from .redaction import Redactor
from .result import Result
from .stopping import StopSwitch

_JOB = {"task": "workflow", "config": {"workflowConfig": {"securityConfig": {"jwtToken": "not a token"}}}}

_PIPELINES = (
    {"pipelineType": "application", "sourceConfig": {"config": {"type": "Application", "appConfig": {}}}},
    {"pipelineType": "metadata", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}},
)
_SERVICE = {"id": "0", "type": "databaseService", "name": "rehearsal", "serviceType": "Mysql"}
_CONNECTION = {"hostPort": "http://rehearsal/api", "securityConfig": {"jwtToken": "not a token"}}


class _Nothing:
    """A workflow that does nothing."""

    @classmethod
    def create(cls, _: dict[str, Any]) -> _Nothing:
        return cls()

    def workflow_steps(self) -> list[Any]:
        return []

    def execute(self) -> None: ...

    def print_status(self) -> None: ...

    def stop(self) -> None: ...


def rehearse() -> None:
    """Nothing is left of it: no file, no thread, no output."""
    job = json.loads(json.dumps(_JOB))
    redactor = Redactor()
    redactor.learn(job)
    run_log.take_over_output(redactor)
    record = logging.LogRecord("minisched", logging.INFO, __file__, 1, "%s", ("text",), None)
    for handler in logging.getLogger().handlers:
        handler.format(record)
    surroundings.set_environment({})
    source_type.known_connectors()
    for pipeline in _PIPELINES:
        with contextlib.suppress(Exception):  # a line without such pipelines has nothing to rehearse
            named = dict(pipeline, name="rehearsal", service=_SERVICE, openMetadataServerConnection=_CONNECTION)
            pipeline_config.build(named, pipeline_config.server_connection(named, None), "0", "", lambda: _SERVICE, {})
    result = Result("rehearsal")
    ours, theirs = socket.socketpair()
    progress = Progress("rehearsal", "", redactor)
    execute(_Nothing, job["config"], result, StopSwitch(ours), progress)
    progress.join()
    result.as_record(redactor)
    ours.close()
    theirs.close()
