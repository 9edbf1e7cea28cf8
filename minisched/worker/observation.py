"""What a workflow tells OpenMetadata about itself: watched, and corrected where it would not be true.

Two reports are known to be false: an interrupted workflow says success, and one whose last batch fails while its steps
are closed has computed its state before that. Both are corrected on their way out.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable

from .stopping import StopSwitch

_SEVERITY = {"success": 0, "partialSuccess": 1, "failed": 2, "stopped": 3}


class Observation:
    """Watches one workflow class; attach it before `create`."""

    def __init__(self, switch: StopSwitch) -> None:
        self._switch = switch
        self._sent: str | None = None
        self.reported: str | None = None  # the terminal state that OpenMetadata has accepted
        self.last_state: str | None = None  # the last terminal state that the workflow wanted to report, corrected
        self.printed = False
        self.workflow: Any = None

    def attach(self, workflow_class: Any) -> None:
        """Wrap what the class reports through. Methods that a line does not have are left out."""
        self._wrap(workflow_class, "set_ingestion_pipeline_status", self._report)
        self._wrap(workflow_class, "terminal_progress_update_type", self._progress_type)
        self._wrap(workflow_class, "print_status", self._print)

    def _wrap(self, workflow_class: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(workflow_class, name, None)
        if original is not None:
            setattr(workflow_class, name, lambda workflow, *args, **kw: around(original, workflow, *args, **kw))

    def _report(self, original: Callable[..., Any], workflow: Any, state: Any, *args: Any, **kw: Any) -> Any:
        self.workflow = workflow
        if getattr(state, "value", state) not in _SEVERITY:
            return original(workflow, state, *args, **kw)
        with self._switch.held():
            wanted = self._true_state(workflow, state)
            self.last_state = str(getattr(wanted, "value", wanted))
            with self._confirmed(workflow):
                return original(workflow, wanted, *args, **kw)

    @contextlib.contextmanager
    def _confirmed(self, workflow: Any) -> Any:
        """Notice whether the server accepts what is sent inside; the workflow itself swallows every failure."""
        client: Any = getattr(workflow, "metadata", None)
        put = getattr(client, "create_or_update_pipeline_status", None)
        if put is None:
            yield
            return

        def noting(*args: Any, **kw: Any) -> Any:
            answer = put(*args, **kw)
            if answer is not None:
                self.reported = self.last_state
            return answer

        client.create_or_update_pipeline_status = noting
        try:
            yield
        finally:
            client.create_or_update_pipeline_status = put

    def _true_state(self, workflow: Any, state: Any) -> Any:
        states = type(state)
        value = str(getattr(state, "value", state))
        if self._switch.cause is not None:
            true = self._switch.verdict
            if not hasattr(states, true):
                true = "failed"  # lines before 1.12 have no word for stopped
        else:
            true = worse(value, state_of_steps(workflow))
        return state if true == value else getattr(states, true, state)

    def _progress_type(self, original: Callable[..., Any], workflow: Any, state: Any) -> Any:
        """The last live update says complete or error; it follows the state that was really reported."""
        return original(workflow, getattr(type(state), self.last_state or "", state))

    def _print(self, original: Callable[..., Any], workflow: Any, *args: Any, **kw: Any) -> Any:
        self.printed = True
        return original(workflow, *args, **kw)


def worse(one: str, other: str) -> str:
    """The more severe of two terminal states."""
    return one if _SEVERITY.get(one, 0) >= _SEVERITY.get(other, 0) else other


def state_of_steps(workflow: Any) -> str:
    """What the workflow's own thresholds say about what its steps counted."""
    if threshold_error(workflow) is not None:
        return "failed"
    try:
        success = workflow.calculate_success()
    except Exception:
        return "success"  # the line has no such thing, or the steps are not there
    return "success" if success is None or success >= 100 else "partialSuccess"


def threshold_error(workflow: Any) -> Exception | None:
    """The error by which the workflow says that too much has failed; result_status() looks at the source only."""
    judge = getattr(workflow, "raise_from_status", None)
    if judge is None:
        return None
    try:
        judge()
    except Exception as error:
        return error
    return None
