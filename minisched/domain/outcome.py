"""What the end of a run means: one pure function of the facts that were left behind (design D5).

The facts, all JSON objects as `worker/protocol.py` names them: the guard's exit record, the runner's result, the last
live counters, and what somebody asked for. What the workflow says is evidence; this decides.
"""

from __future__ import annotations

import re
import signal
from typing import Any

from minisched.domain.pipeline import Document
from minisched.domain.run import Outcome, RunReason, RunState, StopRequest

HINTS: dict[RunReason, str] = {
    RunReason.COMPLETED: "",
    RunReason.ERROR: "The run's log has the details.",
    RunReason.TIMED_OUT: "Raise airflowConfig.workflowTimeout or executor.timeout_s, or see what it waits for.",
    RunReason.STOP_REQUESTED: "Trigger the pipeline again when it shall run.",
    RunReason.MEMORY_LIMIT: "Raise executor.memory_limit_mb, or narrow the filters of the pipeline.",
    RunReason.OUT_OF_MEMORY: "Give the machine more memory, fewer slots, or set executor.memory_limit_mb.",
    RunReason.SIGNAL: "Something outside minisched ended the process; see the system's log.",
    RunReason.DISK_FULL: "Free space on the disk of the data directory, then trigger the pipeline again.",
    RunReason.ABANDONED: "Trigger the pipeline again; if it happens often, see the launcher's log.",
    RunReason.SPAWN_FAILED: "See the launcher's log; `minisched runtime inspect` checks the runtime.",
    RunReason.INVALID_CONFIG: "Correct the pipeline or its service connection, and deploy again.",
    RunReason.IMPORT_FAILED: "`minisched runtime inspect` says what cannot be imported; create the runtime again.",
}

# What a runner leaves with when neither a file nor its guard took its result (worker/protocol.py).
EXIT_NO_RESULT = 74
# Errors of the ingestion package, and of ours, which say that the configuration is wrong and not the world.
_CONFIG_ERRORS = frozenset(
    {
        "CannotRun",
        "ParsingConfigurationError",
        "ValidationError",
        "InvalidWorkflowException",
        "UnsupportedKind",
        "UnknownSourceType",
    }
)
# How Python words a full disk or an exhausted quota of this machine; a source's own words for it look different.
_DISK_FULL = re.compile(r"\[Errno (28|122)\]")

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
    disk_problem: tuple[bool, str] | None = None,
) -> Outcome:
    """The outcome of a run whose processes are gone.

    `exit_record` and `result` are None when they were never written or are not whole; `pids_left` is what the
    supervisor still found after its own sweep when there is no exit record, `disk_problem` whether the disk takes no
    more, and why the record may be missing.
    """
    result = result or (exit_record or {}).get("result")
    steps = list((result or {}).get("steps") or last_counters or [])
    evidence = _evidence(exit_record, result, pids_left)
    state, reason, message, hint = _decide(exit_record, result, stop, disk_problem)
    return outcome(state, reason, message, hint=hint, steps=steps, evidence=evidence)


def _evidence(exit_record: Document | None, result: Document | None, pids_left: int) -> Document:
    facts = {key: value for key, value in (exit_record or {"pids_left": pids_left}).items() if key != "result"}
    evidence: dict[str, Any] = {"exit": facts}
    if result is not None:
        evidence["result"] = {key: value for key, value in result.items() if key != "steps"}
    return evidence


_Decision = tuple[RunState, RunReason, str, str | None]


def _decide(
    exit_record: Document | None, result: Document | None, stop: StopRequest | None, disk: tuple[bool, str] | None
) -> _Decision:
    finished = _finished(result)
    if exit_record is None:
        return finished or _vanished(stop, disk)
    if finished is not None and finished[0] in (RunState.SUCCESS, RunState.PARTIAL_SUCCESS):
        return finished  # whatever came then came too late: the work was done, and OpenMetadata was told so
    match exit_record.get("ended_by"):
        case "time_limit":
            return RunState.FAILED, RunReason.TIMED_OUT, _over_time(exit_record), None
        case "memory_limit":
            return RunState.FAILED, RunReason.MEMORY_LIMIT, _over_memory(exit_record), None
        case "stop":
            return _stopped(stop)
        case _:
            return finished or _died(exit_record, result, stop)


def _vanished(stop: StopRequest | None, disk: tuple[bool, str] | None) -> _Decision:
    if stop is not None:
        return _stopped(stop)
    text = "The processes of the run are gone and left no exit record"
    if disk is None:
        return RunState.FAILED, RunReason.ABANDONED, f"{text}.", None
    takes_no_more, why = disk
    return RunState.FAILED, RunReason.DISK_FULL if takes_no_more else RunReason.ABANDONED, f"{text}: {why}.", None


def _over_time(exit_record: Document) -> str:
    limit_s = exit_record.get("timeout_s")
    return f"The run was ended at its time limit{f' of {limit_s:g} s' if limit_s else ''}."


def _over_memory(exit_record: Document) -> str:
    used_kb, limit_kb = exit_record.get("memory_kb"), exit_record.get("memory_limit_kb")
    if not used_kb or not limit_kb:
        return "The run was ended at its memory limit."
    return f"The run was ended at its memory limit of {limit_kb // 1024} MB: it used {used_kb // 1024} MB."


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
            text = "The workflow ended with some failures below its threshold."
            return state, RunReason.COMPLETED, text, "Its steps list what failed."
        case RunState.STOPPED:
            return state, RunReason.SIGNAL, "The workflow was ended by a SIGTERM that minisched did not send.", None
        case _:
            message = str(error.get("message") or "The workflow failed.")
            return state, _error_reason(result, error), message, error.get("hint")


def _error_reason(result: Document, error: Document) -> RunReason:
    if _DISK_FULL.search(str(error.get("message"))):
        return RunReason.DISK_FULL
    if result.get("stage") == "prepare" and error.get("type") in ("ImportError", "ModuleNotFoundError"):
        return RunReason.IMPORT_FAILED
    if result.get("stage") in ("prepare", "create") and error.get("type") in _CONFIG_ERRORS:
        return RunReason.INVALID_CONFIG
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
    if code == EXIT_NO_RESULT:
        return RunState.FAILED, RunReason.DISK_FULL, "The disk did not take the result of the run.", None
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
