"""Automations (test connection and the like) in a warm child with limits, beside the queue of runs (contract §1.16)."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from minisched.domain.errors import InvalidInput, OrchestratorUnavailable
from minisched.domain.outcome import classify
from minisched.domain.pipeline import Document
from minisched.domain.run import RunState
from minisched.executor.launcher_client import LauncherClient, SpawnLimits
from minisched.executor.run_directory import RunDirectories
from minisched.executor.single_job import run_job
from minisched.ports import ClientResponse, Clock


class AutomationChildren:
    """Implements `ports.AutomationRunner`; each call has a launcher connection and a child of its own."""

    def __init__(
        self,
        *,
        connect: Callable[[], LauncherClient],
        directories: RunDirectories,
        limits: Callable[[], SpawnLimits],
        complete: Callable[[Document], Document],
        clock: Clock,
    ) -> None:
        self._connect = connect
        self._directories = directories
        self._limits = limits
        self._complete = complete
        self._clock = clock

    def run(self, workflow: Document) -> ClientResponse:
        """Run it to its end. Raises OrchestratorUnavailable when the child died or met a limit."""
        name = workflow.get("name")
        if not name:
            raise InvalidInput("must not be empty", field="name")
        job_id = str(uuid4())
        job = {"task": "automation", "run_id": job_id, "config": self._complete(workflow)}
        client = self._connect()
        try:
            end = run_job(
                client,
                self._directories,
                job_id=job_id,
                started_at=self._clock.now(),
                job=job,
                limits=self._limits(),
            )
        finally:
            client.close()
            self._directories.remove(job_id)
        decided = classify(exit_record=end.exit_record, result=end.result, stop=None)
        if decided.state is not RunState.SUCCESS:
            raise OrchestratorUnavailable(f"The automation {name} did not end: {decided.message}", hint=decided.hint)
        return ClientResponse(200, f'{{"message": "Workflow [{name}] has been triggered."}}')
