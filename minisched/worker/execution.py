"""One workflow from create to verdict, the same way on every line of the package."""

from __future__ import annotations

import gc
import importlib
import logging
import time
from typing import Any

from .observation import Observation, state_of_steps, threshold_error, worse
from .progress import Progress
from .result import Result
from .run_log import say
from .steps import final_summaries
from .stopping import StopSwitch

_log = logging.getLogger("minisched")


def execute(
    workflow_class: Any, config: dict[str, Any], result: Result, switch: StopSwitch, progress: Progress
) -> None:
    """Run a workflow and fill in the result. Raises what the workflow raises, and Stopped."""
    observation = Observation(switch)
    observation.attach(workflow_class)
    raise_on_error = (config.get("workflowConfig") or {}).get("raiseOnError") is not False
    workflow = None
    try:
        workflow = _create(workflow_class, config, result)
        progress.follow(workflow)
        result.stage = "execute"
        started = time.monotonic()
        try:
            workflow.execute()
        finally:
            result.timings["execute_s"] = _since(started)
        _judge(workflow, observation, result, raise_on_error)
    finally:
        progress.end()
        workflow = workflow or observation.workflow
        result.steps = final_summaries(workflow) if workflow is not None else []
        result.reported = observation.reported is not None and _agree(observation.reported, result, switch)
    _finish(workflow, observation)


def _create(workflow_class: Any, config: dict[str, Any], result: Result) -> Any:
    result.stage = "create"
    gc.enable()
    result.timings["workflow_ns"] = time.time_ns()
    started = time.monotonic()
    try:
        workflow = workflow_class.create(config)
    finally:
        result.timings["create_s"] = _since(started)
    # Upstream collects garbage after every metric of a profile; what create() made need not be looked at each time.
    gc.collect()
    gc.freeze()
    return workflow


def _judge(workflow: Any, observation: Observation, result: Result, raise_on_error: bool) -> None:
    """The true verdict, which is also what OpenMetadata has been told."""
    result.stage = "raise"
    result.verdict = worse(observation.last_state or "success", state_of_steps(workflow))
    if observation.reported is not None and observation.reported != result.verdict:
        _correct(workflow, observation, result)
    error = threshold_error(workflow)
    if error is not None and result.verdict == "failed":
        result.fail_by_steps(type(error).__name__, final_summaries(workflow), str(error))
    if not raise_on_error or result.verdict != "failed":
        result.stage = "done"


def _correct(workflow: Any, observation: Observation, result: Result) -> None:
    """Older lines close their steps after they have reported, so what fails there is not in the report yet."""
    say("the last batch changed the outcome from %s to %s; reporting it again", observation.reported, result.verdict)
    states = getattr(importlib.import_module(_STATES), "PipelineState", None)
    state = getattr(states, result.verdict, None)
    if state is not None:
        workflow.set_ingestion_pipeline_status(state, workflow.build_ingestion_status())


_STATES = "metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline"


def _agree(reported: str, result: Result, switch: StopSwitch) -> bool:
    wanted = switch.verdict if switch.cause is not None else result.verdict
    return reported == wanted or (wanted == "stopped" and reported == "failed")


def _finish(workflow: Any, observation: Observation) -> None:
    """Print the summary where execute() does not (before 1.10), and let go; nothing here changes the verdict."""
    try:
        if not observation.printed:
            _print_summary(workflow)
        workflow.stop()
    except Exception as error:
        _log.warning("closing the workflow: %s: %s", type(error).__name__, error)


def _print_summary(workflow: Any) -> None:
    if hasattr(workflow, "print_status"):
        workflow.print_status()
        return
    handlers = {"ApplicationWorkflow": "metadata.workflow.application_output_handler"}
    name = handlers.get(type(workflow).__name__, "metadata.workflow.workflow_output_handler")
    print_status = getattr(importlib.import_module(name), "print_status", None)
    if print_status is not None:
        print_status(workflow)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
