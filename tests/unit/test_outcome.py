"""What the end of a run means, as a table: facts left behind, and what we say of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain.outcome import EXIT_NO_RESULT, HINTS, classify, stopped_in_queue
from minisched.domain.run import TERMINAL_STATES, RunReason, RunState, StopRequest
from minisched.worker import protocol

STOP = StopRequest(datetime(2026, 1, 1, tzinfo=UTC), "ada", "wrong source")


def exit_record(**changes: Any) -> dict[str, Any]:
    return {"exit_code": 0, "signal": None, "ended_by": "itself", "oom_kills": 0, "pids_left": 0, **changes}


def result(verdict: str, **changes: Any) -> dict[str, Any]:
    return {"verdict": verdict, "stage": "done", "error": None, "steps": [], **changes}


FAILED = result("failed", stage="create", error={"type": "X", "message": "wrong password", "hint": "look"})
NO_SPACE = result("failed", error={"type": "OSError", "message": "[Errno 28] No space left on device"})
NO_SPACE_THERE = result(
    "failed", error={"type": "DiskFull", "message": "could not extend file: No space left on device"}
)
WRONG_CONFIG = result("failed", stage="create", error={"type": "ValidationError", "message": "hostPort: required"})
LATE_VALIDATION = result("failed", stage="execute", error={"type": "ValidationError", "message": "a record"})
CANNOT_IMPORT = result("failed", stage="prepare", error={"type": "ModuleNotFoundError", "message": "no metadata"})

TABLE = [
    # exit record, result, stop -> state, reason
    (exit_record(), result("success"), None, RunState.SUCCESS, RunReason.COMPLETED),
    (exit_record(), result("partialSuccess"), None, RunState.PARTIAL_SUCCESS, RunReason.COMPLETED),
    (exit_record(exit_code=1), FAILED, None, RunState.FAILED, RunReason.ERROR),
    (exit_record(exit_code=1), NO_SPACE, None, RunState.FAILED, RunReason.DISK_FULL),
    (exit_record(exit_code=1), NO_SPACE_THERE, None, RunState.FAILED, RunReason.ERROR),
    (exit_record(exit_code=1), CANNOT_IMPORT, None, RunState.FAILED, RunReason.IMPORT_FAILED),
    (exit_record(exit_code=1), WRONG_CONFIG, None, RunState.FAILED, RunReason.INVALID_CONFIG),
    (exit_record(exit_code=1), LATE_VALIDATION, None, RunState.FAILED, RunReason.ERROR),
    # It left with 0 and said nothing: that is no success.
    (exit_record(), None, None, RunState.FAILED, RunReason.ERROR),
    (exit_record(exit_code=3), None, None, RunState.FAILED, RunReason.ERROR),
    # The result file could not be written: the guard's record has the verdict, or nobody has.
    (exit_record(exit_code=0, result=result("success")), None, None, RunState.SUCCESS, RunReason.COMPLETED),
    (exit_record(exit_code=1, result=NO_SPACE), None, None, RunState.FAILED, RunReason.DISK_FULL),
    (exit_record(exit_code=protocol.EXIT_NO_RESULT), None, None, RunState.FAILED, RunReason.DISK_FULL),
    (exit_record(exit_code=None, signal=11), None, None, RunState.FAILED, RunReason.SIGNAL),
    (exit_record(exit_code=None, signal=9), None, None, RunState.FAILED, RunReason.SIGNAL),
    (exit_record(exit_code=None, signal=9, oom_kills=1), None, None, RunState.FAILED, RunReason.OUT_OF_MEMORY),
    # It ended well and died on its way out: the work was done, and it said so to OpenMetadata.
    (exit_record(exit_code=None, signal=11), result("success"), None, RunState.SUCCESS, RunReason.COMPLETED),
    (exit_record(ended_by="time_limit"), result("stopped"), None, RunState.FAILED, RunReason.TIMED_OUT),
    (exit_record(ended_by="time_limit", signal=9), None, None, RunState.FAILED, RunReason.TIMED_OUT),
    (exit_record(ended_by="memory_limit", signal=9), None, None, RunState.FAILED, RunReason.MEMORY_LIMIT),
    (exit_record(ended_by="stop"), result("stopped"), STOP, RunState.STOPPED, RunReason.STOP_REQUESTED),
    (exit_record(ended_by="stop", signal=9), None, STOP, RunState.STOPPED, RunReason.STOP_REQUESTED),
    # The stop, or the limit, came when the work was done already.
    (exit_record(ended_by="time_limit"), result("success"), None, RunState.SUCCESS, RunReason.COMPLETED),
    (
        exit_record(ended_by="memory_limit"),
        result("partialSuccess"),
        None,
        RunState.PARTIAL_SUCCESS,
        RunReason.COMPLETED,
    ),
    (exit_record(ended_by="stop"), result("success"), STOP, RunState.SUCCESS, RunReason.COMPLETED),
    (exit_record(ended_by="itself"), result("success"), STOP, RunState.SUCCESS, RunReason.COMPLETED),
    # A SIGTERM from outside: the workflow told OpenMetadata «stopped», and nobody here asked for it.
    (exit_record(exit_code=2), result("stopped"), None, RunState.STOPPED, RunReason.SIGNAL),
    (None, None, None, RunState.FAILED, RunReason.ABANDONED),
    (None, None, STOP, RunState.STOPPED, RunReason.STOP_REQUESTED),
    (None, result("success"), None, RunState.SUCCESS, RunReason.COMPLETED),
]


@pytest.mark.parametrize(("exit_record", "result", "stop", "state", "reason"), TABLE)
def test_the_end_of_a_run_means(
    exit_record: Any, result: Any, stop: StopRequest | None, state: RunState, reason: RunReason
) -> None:
    decided = classify(exit_record=exit_record, result=result, stop=stop)
    assert (decided.state, decided.reason) == (state, reason)


def test_the_table_has_every_reason() -> None:
    """But for one that the supervisor gives before there are any facts."""
    assert {row[-1] for row in TABLE} == set(RunReason) - {RunReason.SPAWN_FAILED}


@pytest.mark.parametrize(("exit_record", "result", "stop", "state", "reason"), TABLE)
def test_every_end_has_a_sentence_and_what_is_not_success_a_hint(
    exit_record: Any, result: Any, stop: StopRequest | None, state: RunState, reason: RunReason
) -> None:
    decided = classify(exit_record=exit_record, result=result, stop=stop)
    assert decided.message
    assert decided.hint or decided.state is RunState.SUCCESS


def test_a_failure_carries_the_words_of_the_workflow_and_its_hint() -> None:
    decided = classify(exit_record=exit_record(exit_code=1), result=FAILED, stop=None)
    assert (decided.message, decided.hint) == ("wrong password", "look")


def test_a_stop_says_who_and_why() -> None:
    assert "ada" in stopped_in_queue(STOP).message
    assert "wrong source" in classify(exit_record=exit_record(ended_by="stop"), result=None, stop=STOP).message


def test_the_last_counters_stand_in_for_steps_that_were_never_written() -> None:
    counters = [{"name": "Mysql", "records": 7}]
    killed = exit_record(exit_code=None, signal=9)
    assert classify(exit_record=killed, result=None, stop=None, last_counters=counters).steps == counters


def test_every_reason_but_completion_has_a_hint() -> None:
    assert set(HINTS) == set(RunReason)
    assert {reason for reason, hint in HINTS.items() if not hint} == {RunReason.COMPLETED}
    assert classify(exit_record=exit_record(), result=result("partialSuccess"), stop=None).hint


@pytest.mark.parametrize(
    ("problem", "reason"), [((True, "the disk is full"), RunReason.DISK_FULL), ((False, "gone"), RunReason.ABANDONED)]
)
def test_a_missing_record_is_explained_by_the_disk(problem: tuple[bool, str], reason: RunReason) -> None:
    decided = classify(exit_record=None, result=None, stop=None, disk_problem=problem)
    assert decided.reason is reason
    assert decided.message.endswith(f": {problem[1]}.")


def test_limits_say_how_much_was_too_much() -> None:
    over_memory = exit_record(ended_by="memory_limit", memory_kb=612 * 1024, memory_limit_kb=500 * 1024)
    assert "limit of 500 MB: it used 612 MB" in classify(exit_record=over_memory, result=None, stop=None).message
    over_time = exit_record(ended_by="time_limit", timeout_s=3600.0)
    assert "limit of 3600 s" in classify(exit_record=over_time, result=None, stop=None).message


def test_a_result_in_the_record_is_not_told_twice() -> None:
    decided = classify(exit_record=exit_record(exit_code=1, result=FAILED), result=None, stop=None)
    assert "result" not in decided.evidence["exit"]
    assert decided.evidence["result"]["stage"] == "create"


def test_the_exit_code_without_a_result_is_that_of_the_runner() -> None:
    assert EXIT_NO_RESULT == protocol.EXIT_NO_RESULT


_RECORDS = st.none() | st.fixed_dictionaries(
    {
        "exit_code": st.none() | st.integers(0, 255),
        "signal": st.none() | st.integers(1, 64),
        "ended_by": st.sampled_from(["itself", "stop", "time_limit", "memory_limit"]),
        "oom_kills": st.integers(0, 2),
    }
)
_RESULTS = st.none() | st.fixed_dictionaries(
    {
        "verdict": st.sampled_from(["success", "partialSuccess", "failed", "stopped", "nonsense"]),
        "stage": st.sampled_from(["prepare", "create", "execute", "raise", "done"]),
        "error": st.none()
        | st.fixed_dictionaries({"message": st.sampled_from(["", "boom", "No space left on device"])}),
    }
)


@given(record=_RECORDS, said=_RESULTS, stop=st.sampled_from([None, STOP]))
def test_any_facts_give_one_terminal_state_and_success_only_if_the_workflow_said_so(
    record: Any, said: Any, stop: StopRequest | None
) -> None:
    decided = classify(exit_record=record, result=said, stop=stop)
    assert decided.state in TERMINAL_STATES
    assert decided.message
    if decided.state is RunState.SUCCESS:
        assert said is not None
        assert said["verdict"] == "success"
