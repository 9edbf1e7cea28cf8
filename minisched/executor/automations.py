"""Automations (test connection and the like) in a warm child with limits, beside the queue of runs (contract §1.16)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from uuid import uuid4

import structlog

from minisched.domain.errors import InvalidInput, MinischedError, OrchestratorUnavailable
from minisched.domain.outcome import classify
from minisched.domain.pipeline import Document
from minisched.domain.run import RunState
from minisched.executor.launcher_client import LauncherClient, SpawnLimits
from minisched.executor.run_directory import RunDirectories
from minisched.executor.single_job import JobEnd, run_job
from minisched.ports import ClientResponse, Clock

_log = structlog.get_logger(__name__)

# Each holds a thread of the server and the memory of a child.
_MOST_AT_ONCE = 8


class AutomationChildren:
    """Implements `ports.AutomationRunner`; each call has a launcher connection and a child of its own.

    `report_failure` tells OpenMetadata why an automation came to nothing; it raises a MinischedError when it cannot.
    """

    def __init__(
        self,
        *,
        connect: Callable[[str], LauncherClient],
        directories: RunDirectories,
        limits: Callable[[], SpawnLimits],
        complete: Callable[[Document], Document],
        clock: Clock,
        report_failure: Callable[[Document, str], None],
    ) -> None:
        self._connect = connect
        self._directories = directories
        self._limits = limits
        self._complete = complete
        self._clock = clock
        self._report_failure = report_failure
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def run(self, workflow: Document, *, runtime: str) -> ClientResponse:
        """Run it to its end. Code 200 when its outcome, whichever it is, is in OpenMetadata; 500 when it is not.

        Raises OrchestratorUnavailable when it was not started.
        """
        name = workflow.get("name")
        if not name:
            raise InvalidInput("must not be empty", field="name")
        if not self._places.acquire(blocking=False):
            raise OrchestratorUnavailable(f"{_MOST_AT_ONCE} automations are running already.", hint="Try again later.")
        try:
            return self._ended(str(name), self._complete(workflow), runtime)
        finally:
            self._places.release()

    def _ended(self, name: str, workflow: Document, runtime: str) -> ClientResponse:
        end = self._execute(workflow, runtime)
        decided = classify(exit_record=end.exit_record, result=end.result, stop=None)
        if decided.state is not RunState.SUCCESS and not _has_told(end.result):
            message = f"The automation {name} did not end: {decided.message}"
            _log.warning("automation.failed", automation=name, reason=decided.message)
            try:
                self._report_failure(workflow, message)
            except MinischedError as error:
                return ClientResponse(500, f"{message} OpenMetadata could not be told: {error}")
        return ClientResponse(200, json.dumps({"message": f"Workflow [{name}] has been triggered."}))

    def _execute(self, workflow: Document, runtime: str) -> JobEnd:
        job_id = str(uuid4())
        client = self._connect(runtime)
        try:
            return run_job(
                client,
                self._directories,
                job_id=job_id,
                started_at=self._clock.now(),
                job={"task": "automation", "run_id": job_id, "config": workflow},
                limits=self._limits(),
            )
        finally:
            client.close()
            self._directories.remove(job_id)


def _has_told(result: Document | None) -> bool:
    """Whether the automation itself wrote that it failed, and OpenMetadata took it."""
    return result is not None and result.get("stage") == "done" and bool(result.get("reported"))
