"""What the end of a run means: one pure function of the facts that were left behind (design D5).

The facts, all JSON objects as `worker/protocol.py` names them: the guard's exit record, the runner's result, the last
live counters, and what somebody asked for. What the workflow says is evidence; this decides.
"""

from __future__ import annotations

import signal
from typing import Any

from minisched.domain.pipeline import Document
from minisched.domain.run import Outcome, RunReason, RunState, StopRequest

HINTS: dict[RunReason, str] = {
    RunReason.COMPLETED: "",
    RunReason.ERROR: "The run's log has the details.",
    RunReason.TIMED_OUT: "Raise airflowConfig.workflowTimeout or executor.timeout_s, or see what it waits for.",
    RunReason.STOP_REQUESTED: "",
    RunReason.MEMORY_LIMIT: "Raise executor.memory_limit_mb, or narrow the filters of the pipeline.",
    RunReason.OUT_OF_MEMORY: "Give the machine more memory, fewer slots, or set executor.memory_limit_mb.",
    RunReason.SIGNAL: "Something outside minisched ended the process; see the system's log.",
    RunReason.DISK_FULL: "Free space on the disk of the data directory, then trigger the pipeline again.",
    RunReason.ABANDONED: "Trigger the pipeline again; if it happens often, see the launcher's log.",
    RunReason.SPAWN_FAILED: "See the launcher's log; `minisched runtime inspect` checks the runtime.",
    RunReason.IMPORT_FAILED: "`minisched runtime inspect` says what cannot be imported; create the runtime again.",
}

_VERDICTS = {
    "success": RunState.SUCCESS,
    "partialSuccess": RunState.PARTIAL_SUCCESS,
    "failed": RunState.FAILED,
    "stopped": RunState.STOPPED,
}


def outcome(
    state: RunState,
    reason: RunReason,
    message: str,
    *,
    hint: str | None = None,
    steps: list[Document] | None = None,
    evidence: Document | None = None,
) -> Outcome:
    """An Outcome with the hint that belongs to its reason unless a better one is given."""
    return Outcome(state, reason, message, hint or HINTS[reason] or None, steps or [], evidence or {})


def stopped_in_queue(stop: StopRequest) -> Outcome:
    """The end of a run that was stopped before any process existed."""
    return outcome(RunState.STOPPED, RunReason.STOP_REQUESTED, f"Stopped by {stop.by} while it was queued: {stop.why}")


def classify(
    *,
    exit_record: Document | None,
    result: Document | None,
    stop: StopRequest | None,
    last_counters: list[Document] | None = None,
    pids_left: int = 0,
) -> Outcome:
    """The outcome of a run whose processes are gone.

    `exit_record` and `result` are None when they were never written or are not whole; `pids_left` is what the
    supervisor still found after its own sweep when there is no exit record.
    """
    steps = list((result or {}).get("steps") or last_counters or [])
    evidence = _evidence(exit_record, result, pids_left)
    state, reason, message, hint = _decide(exit_record, result, stop)
    return outcome(state, reason, message, hint=hint, steps=steps, evidence=evidence)


def _evidence(exit_record: Document | None, result: Document | None, pids_left: int) -> Document:
    evidence: dict[str, Any] = {"exit": exit_record or {"pids_left": pids_left}}
    if result is not None:
        evidence["result"] = {key: value for key, value in result.items() if key != "steps"}
    return evidence


_Decision = tuple[RunState, RunReason, str, str | None]


def _decide(exit_record: Document | None, result: Document | None, stop: StopRequest | None) -> _Decision:
    finished = _finished(result)
    if exit_record is None:
        if finished is not None:
            return finished
        if stop is not None:
            return _stopped(stop)
        text = "The processes of the run are gone and left no exit record."
        return RunState.FAILED, RunReason.ABANDONED, text, None
    match exit_record.get("ended_by"):
        case "time_limit":
            return RunState.FAILED, RunReason.TIMED_OUT, "The run was ended at its time limit.", None
        case "memory_limit":
            return RunState.FAILED, RunReason.MEMORY_LIMIT, "The run was ended at its memory limit.", None
        case "stop" if finished is None or finished[0] in (RunState.STOPPED, RunState.FAILED):
            return _stopped(stop)
        case _:
            return finished or _died(exit_record, result, stop)


def _finished(result: Document | None) -> _Decision | None:
    """What a whole result says, or None when the workflow did not come to its end."""
    if result is None or result.get("verdict") not in _VERDICTS:
        return None
    state = _VERDICTS[str(result["verdict"])]
    error = result.get("error") or {}
    match state:
        case RunState.SUCCESS:
            return state, RunReason.COMPLETED, "The workflow ended well.", None
        case RunState.PARTIAL_SUCCESS:
            return state, RunReason.COMPLETED, "The workflow ended with some failures below its threshold.", None
        case RunState.STOPPED:
            return state, RunReason.SIGNAL, "The workflow was ended by a SIGTERM that minisched did not send.", None
        case _:
            message = str(error.get("message") or "The workflow failed.")
            return state, _error_reason(result, error), message, error.get("hint")


def _error_reason(result: Document, error: Document) -> RunReason:
    if error.get("errno") == 28 or "No space left on device" in str(error.get("message")):
        return RunReason.DISK_FULL
    if result.get("stage") == "prepare" and error.get("type") in ("ImportError", "ModuleNotFoundError"):
        return RunReason.IMPORT_FAILED
    return RunReason.ERROR


def _stopped(stop: StopRequest | None) -> _Decision:
    if stop is None:
        return RunState.STOPPED, RunReason.SIGNAL, "The run was ended by a SIGTERM that minisched did not send.", None
    return RunState.STOPPED, RunReason.STOP_REQUESTED, f"Stopped by {stop.by}: {stop.why}", None


def _died(exit_record: Document, result: Document | None, stop: StopRequest | None) -> _Decision:
    if stop is not None:
        return _stopped(stop)
    number = exit_record.get("signal")
    if number == signal.SIGKILL and (exit_record.get("oom_kills") or 0) > 0:
        return (
            RunState.FAILED,
            RunReason.OUT_OF_MEMORY,
            "The kernel killed the run: the machine was out of memory.",
            None,
        )
    if number is not None:
        text = f"The run was killed by signal {number} ({_signal_name(int(number))}) that minisched did not send."
        return RunState.FAILED, RunReason.SIGNAL, text, None
    code = exit_record.get("exit_code")
    stage = f" in stage {result['stage']}" if result and result.get("stage") else ""
    return (
        RunState.FAILED,
        RunReason.ERROR,
        f"The process left with exit code {code}{stage} and without a result.",
        None,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
