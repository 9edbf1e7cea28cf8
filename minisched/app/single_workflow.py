"""One workflow file in a warm child of this machine, without a queue and without a server of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from minisched.app.catalog import served_sandbox
from minisched.app.execution import LauncherFactory, spawn_limits
from minisched.domain.outcome import classify
from minisched.domain.pipeline import Document
from minisched.domain.run import Run, RunKind, StopRequest
from minisched.executor.job import workflow_job
from minisched.executor.run_directory import RunDirectories
from minisched.executor.single_job import run_job
from minisched.observability import configure_logging
from minisched.settings import Settings, prepare_data_dir


def run_workflow(
    settings: Settings,
    config: Document,
    *,
    kind: str | None,
    sandbox: bool,
    runtime: str | None,
    on_log: Callable[[bytes], None],
    stop: threading.Event,
) -> Run:
    """Run one workflow config here and now, as the server would; returns when none of its processes is left.

    `sandbox` sends to the catalog of the data directory, which is served while the run goes on, wherever the config
    says to send. Setting `stop` ends the run. Its files are kept for as long as those of a server's runs, beside them.
    Raises RuntimeUnusable.
    """
    configure_logging(settings.logging.format, "warning")
    prepare_data_dir(settings.data_dir)
    name = runtime or settings.runtime.default
    job_id = str(uuid4())
    directories = RunDirectories(settings.data_dir / "single_runs")
    directories.remove_days_before(datetime.now(UTC) - timedelta(days=settings.executor.retention_days))
    launcher = LauncherFactory(settings).make(name, lambda: None)
    try:
        launcher.start()
        started_at = datetime.now(UTC)
        with (
            _aimed(settings, config, launcher.version, sandbox=sandbox) as aimed,
            contextlib.closing(launcher.connect()) as client,
        ):
            end = run_job(
                client,
                directories,
                job_id=job_id,
                started_at=started_at,
                job=workflow_job(job_id, aimed, kind, settings.runtime.environment),
                limits=spawn_limits(settings, timeout_s=settings.executor.timeout_s),
                on_log=on_log,
                stop=stop,
            )
    finally:
        # A server may be using it, too.
        launcher.close(only_ours=True)
    ended_at = datetime.now(UTC)
    asked = StopRequest(ended_at, "you", "interrupted at the terminal") if stop.is_set() else None
    decided = classify(exit_record=end.exit_record, result=end.result, stop=asked)
    fqn = str(config.get("ingestionPipelineFQN") or (config.get("source") or {}).get("serviceName") or "workflow")
    return Run(
        id=job_id,
        pipeline_id="",
        pipeline_fqn=fqn,
        pipeline_name=fqn,
        pipeline_type=kind or "metadata",
        service_fqn=str((config.get("source") or {}).get("serviceName") or ""),
        kind=RunKind.MANUAL,
        enqueued_at=started_at,
        started_at=started_at,
        ended_at=ended_at,
        state=decided.state,
        reason=decided.reason,
        message=decided.message,
        requested_by="you",
        runtime=name,
        steps=decided.steps,
        evidence={**decided.evidence, "hint": decided.hint},
    )


@contextlib.contextmanager
def _aimed(settings: Settings, config: Document, version: str | None, *, sandbox: bool) -> Iterator[Document]:
    """The config, sent to the sandbox while the block runs when that is wanted."""
    if not sandbox:
        yield config
        return
    with served_sandbox(settings, version) as connection:
        workflow_config = {**(config.get("workflowConfig") or {}), "openMetadataServerConfig": connection}
        yield {**config, "workflowConfig": workflow_config}
