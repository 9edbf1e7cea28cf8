"""The four things that a job can ask of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from . import workflows
from .execution import execute
from .progress import Progress
from .redaction import Redactor
from .result import Result
from .stopping import StopSwitch


@dataclass
class Context:
    """What a task works with. `own_dir` is the run's directory for temporary files."""

    job: dict[str, Any]
    own_dir: str
    result: Result
    switch: StopSwitch
    progress: Progress
    redactor: Redactor


def perform(context: Context) -> None:
    """Do what the job asks and fill in the result. Raises whatever went wrong."""
    task = context.job.get("task")
    if task not in _TASKS:
        raise ValueError("unknown task {!r}".format(task))
    _TASKS[task](context)


def _workflow(context: Context) -> None:
    job = context.job
    config = job["config"]
    workflow_class = workflows.workflow_class(job.get("workflow") or "metadata", job.get("workflow_classes") or {})
    execute(workflow_class, config, context.result, context.switch, context.progress)


_TASKS: dict[str, Callable[[Context], None]] = {"workflow": _workflow}
