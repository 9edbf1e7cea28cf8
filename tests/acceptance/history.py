"""What was asked, what was answered, what was done to processes, and whether what is left fits: the checker.

A test writes down every intention, every answer and every kill while it goes on, and looks at runs meanwhile. In the
end `violations` compares that with the server's tables, the run directories, the processes and what OpenMetadata heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from minisched.domain.run import ALLOWED_TRANSITIONS, RunState
from minisched.worker import protocol
from tests.acceptance.openmetadata_double import OpenMetadataDouble
from tests.acceptance.server_process import TERMINAL, ServerProcess, StartedRun


@dataclass
class Intention:
    """One wish for one run: asked as often as it took, with the same key. `answered` has the runs of the 200s."""

    key: str
    pipeline_id: str
    answered: set[str] = field(default_factory=set)


@dataclass
class History:
    intentions: list[Intention] = field(default_factory=list)
    killed: set[tuple[int, int]] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    seen: dict[str, list[str]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def intend(self, key: str, pipeline_id: str) -> Intention:
        intention = Intention(key, pipeline_id)
        with self.lock:
            self.intentions.append(intention)
        return intention

    def kill(self, pid: int) -> None:
        """Somebody is about to kill this process, whatever it is, if it is still there."""
        if (start_ticks := protocol.start_ticks(pid)) is not None:
            self.killed.add((pid, start_ticks))

    def look(self, runs: list[dict[str, Any]]) -> None:
        """Note the states in which runs are now."""
        with self.lock:
            for run in runs:
                states = self.seen.setdefault(run["id"], [])
                if not states or states[-1] != run["state"]:
                    states.append(run["state"])


def violations(
    history: History, server: ServerProcess, heard: OpenMetadataDouble | None = None, *, lines: int | None = None
) -> list[str]:
    """What contradicts the promises, as sentences; empty is good. Every run has to be terminal by now.

    `lines` is how many numbered lines the log of a run that ended well has.
    """
    runs = {run["id"]: run for run in server.runs()}
    history.look(list(runs.values()))
    found = [*_lost_or_doubled(history, runs), *_scheduled_twice(runs), *_impossible_states(history)]
    for run in runs.values():
        found += _problems_of(run, server, history, heard, lines)
    return found


def _lost_or_doubled(history: History, runs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """R3: what was answered is there; one intention has one run; nothing runs that nobody wanted."""
    wanted: Counter[str] = Counter()
    owner: dict[str, str] = {}
    for intention in history.intentions:
        wanted[intention.pipeline_id] += 1
        if len(intention.answered) > 1:
            yield f"intention {intention.key} was answered with several runs: {sorted(intention.answered)}"
        for run_id in intention.answered:
            if run_id not in runs:
                yield f"run {run_id} was answered with 200 and is gone"
            if owner.setdefault(run_id, intention.key) != intention.key:
                yield f"run {run_id} is the answer to {owner[run_id]} and to {intention.key}"
    there = Counter(run["pipelineId"] for run in runs.values() if run["kind"] == "manual")
    for pipeline_id, number in there.items():
        if number > wanted[pipeline_id]:
            yield f"pipeline {pipeline_id} has {number} runs, but {wanted[pipeline_id]} were wanted"


def _scheduled_twice(runs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """R1."""
    instants = Counter((run["pipelineId"], run["scheduledFor"]) for run in runs.values() if "scheduledFor" in run)
    for (pipeline_id, instant), number in instants.items():
        if number > 1:
            yield f"pipeline {pipeline_id} has {number} runs for the instant {instant}"


def _impossible_states(history: History) -> Iterator[str]:
    """R4: states were seen in an order that exists; steps that nobody saw are fine."""
    for run_id, states in history.seen.items():
        for before, after in pairwise(states):
            if RunState(after) not in _reachable(RunState(before)):
                yield f"run {run_id} was seen {before} and then {after}"


def _reachable(state: RunState) -> set[RunState]:
    found = set(ALLOWED_TRANSITIONS[state])
    for following in ALLOWED_TRANSITIONS[state]:
        found |= _reachable(following)
    return found


def _problems_of(
    run: dict[str, Any],
    server: ServerProcess,
    history: History,
    heard: OpenMetadataDouble | None,
    lines: int | None,
) -> Iterator[str]:
    name = f"run {run['id']} ({run['state']}, {run.get('reason')}: {run.get('message')})"
    if run["state"] not in TERMINAL:
        yield f"{name} has not ended"
        return
    directory = _directory(server, run["id"])
    if directory is not None:
        yield from _left_behind(name, directory)
    killed = _killed_of(directory, history)
    if run.get("reason") not in _right_reasons(directory, killed, stopped=run["id"] in history.stopped):
        yield f"{name} has the wrong end; killed of it: {killed}"
    if heard is not None and set(heard.ends_of(run["id"])) != {run["state"]}:
        yield f"{name} was told to OpenMetadata as {heard.ends_of(run['id'])}"
    if lines is not None and run["state"] == "success":
        log = server.run_log(run["id"]).splitlines()
        told = [line for line in log if line.startswith("line ")]
        if told != [f"line {number}" for number in range(lines)]:
            yield f"{name} has the log {told[:3]}…{told[-3:]}"


def _directory(server: ServerProcess, run_id: str) -> Path | None:
    return next((server.data / "runs").glob(f"*/{run_id}"), None)


def _left_behind(name: str, directory: Path) -> Iterator[str]:
    """R5: terminal means that no process is left."""
    if protocol.read_record(str(directory), protocol.STARTED_FILE) and (living := StartedRun(directory).living()):
        yield f"{name} still has the processes {living}"
    exit_record = protocol.read_record(str(directory), protocol.EXIT_FILE)
    if exit_record is not None and exit_record["pids_left"]:
        yield f"{name} left {exit_record['pids_left']} processes"


def _killed_of(directory: Path | None, history: History) -> set[str]:
    """Which of the run's two processes somebody has killed, before or after they had ended."""
    if directory is None or protocol.read_record(str(directory), protocol.STARTED_FILE) is None:
        return set()
    started = StartedRun(directory)
    processes = {"guard": started.guard, "runner": started.runner}
    return {what for what, process in processes.items() if (process["pid"], process["start_ticks"]) in history.killed}


def _right_reasons(directory: Path | None, killed: set[str], *, stopped: bool) -> set[str]:
    """What explains an end: that it came by itself, a stop that was asked for, or a kill that hit the run."""
    reasons = {"completed"}
    if stopped:
        reasons.add("stop_requested")
    if "runner" in killed:
        reasons.add("signal")
        exit_record = protocol.read_record(str(directory), protocol.EXIT_FILE)
        if exit_record is not None and exit_record["oom_kills"]:
            # The kernel was killing somebody at that very moment; nobody can tell whom.
            reasons.add("out_of_memory")
    if "guard" in killed:
        reasons.add("abandoned")
    return reasons
