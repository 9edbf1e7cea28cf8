"""A control group (cgroup v2) for each run: the kernel holds its memory limit, and tells for certain who is in it.

The group is made while the run's processes wait as a spare, because moving a process may take milliseconds. Memory
that a fork has from the launcher stays the launcher's, so the limit is for what the run takes itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import Any, Callable

from . import cgroupfs, protocol
from .delegation import NotDelegated, claim

_NAME = "minisched-run-{pid}-{start_ticks}"
_NAMED = re.compile(r"minisched-run-(\d+)-(\d+)$")
_TRIAL_MB = 64

BY_GROUP = "cgroup"
BY_WATCHING = "watching"


class NoGroup:
    """What a run has when there are no control groups, or none could be made for it, which is what `problem` says."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def limit_memory(self, megabytes: int) -> bool:  # noqa: ARG002
        """False: somebody has to watch."""
        return False

    def processes(self) -> set[int]:
        """All in the group, those that lost their parents included."""
        return set()

    def kill(self) -> None:
        """SIGKILL to all at once, also to what is being forked."""

    def was_over_limit(self) -> bool:
        """True when the kernel has killed in the group because the group's own limit was reached."""
        return False

    def oom_kills(self) -> int | None:
        """How often the kernel has killed in the group for want of memory, for whatever limit; None: not known."""
        return None

    def as_record(self) -> dict[str, Any]:
        """For the exit record."""
        return {}

    def remove(self) -> bool:
        """True when there is no group any more."""
        return True


class RunGroup(NoGroup):
    """The group of one run. Nothing here raises: what the kernel refuses leaves the run as it is without a group."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self._limit_kb: int | None = None

    def limit_memory(self, megabytes: int) -> bool:
        """From now on the kernel kills the whole run when it needs more; False, and `problem`, when it cannot."""
        try:
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with contextlib.suppress(FileNotFoundError):  # no swap in this kernel; before 4.19
                    cgroupfs.write(self.path, name, value)
            cgroupfs.write(self.path, "memory.max", str(megabytes * 1024 * 1024))
        except OSError as error:
            self.problem = "no memory limit by control group: {}".format(error.strerror)
            return False
        self._limit_kb = megabytes * 1024
        return True

    def processes(self) -> set[int]:
        found: set[int] = set()
        for directory, _, _ in os.walk(self.path):  # a run may make groups of its own
            with contextlib.suppress(OSError):
                found |= cgroupfs.processes(directory)
        return found - {0}

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # since Linux 5.14
            cgroupfs.write(self.path, "cgroup.kill", "1")

    def was_over_limit(self) -> bool:
        # A kill counts in the group of who was killed, a limit that was reached in the group that has the limit.
        local = cgroupfs.numbers(self.path, "memory.events.local") or self._events()
        return self._limit_kb is not None and local.get("oom", 0) > 0 and self._events().get("oom_kill", 0) > 0

    def oom_kills(self) -> int | None:
        return self._events().get("oom_kill")

    def as_record(self) -> dict[str, Any]:
        if self._limit_kb is None:
            return {}
        record: dict[str, Any] = {"memory_limit_by": BY_GROUP, "memory_events": self._events()}
        if self.was_over_limit():
            # It needed more than it got; what it got may be a page less than the limit.
            record["memory_kb"] = max(self._peak_kb(), self._limit_kb)
        return record

    def remove(self) -> bool:
        for directory, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):
                cgroupfs.remove(directory)
        return not os.path.isdir(self.path)

    def end(self) -> bool:
        """Kill whoever is in it, and remove it if nobody is left; True when it is gone."""
        if not self.remove():
            self.kill()
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        return self.remove()

    def _events(self) -> dict[str, int]:
        return cgroupfs.numbers(self.path, "memory.events")

    def _peak_kb(self) -> int:
        with contextlib.suppress(OSError, ValueError):  # since Linux 5.19
            return int(cgroupfs.read(self.path, "memory.peak")) // 1024
        return 0


class NoRunGroups:
    """The launcher's view where nothing is delegated: runs are watched, and `problem` says why."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def facts(self) -> dict[str, Any]:
        """For `hello` and `pong`: who holds memory limits, and why it is not the kernel."""
        return {"by": BY_WATCHING, "because": self.problem}

    def of_spare(self, guard: dict[str, Any], runner_pid: int) -> NoGroup:  # noqa: ARG002
        """The group of a guard's run, with the runner in it and the guard outside."""
        return NoGroup()

    def tidy(self) -> bool:
        """Remove what runs have left whose guard is dead, processes included; False: call again."""
        return True


class RunGroups(NoRunGroups):
    """The groups of all runs below a delegated directory."""

    def __init__(self, base: str) -> None:
        super().__init__("")
        self._base = base

    def facts(self) -> dict[str, Any]:
        return {"by": BY_GROUP, "at": self._base}

    def of_spare(self, guard: dict[str, Any], runner_pid: int) -> NoGroup:
        group = RunGroup(os.path.join(self._base, _NAME.format(**guard)))
        try:
            cgroupfs.make(group.path)
            cgroupfs.write(group.path, cgroupfs.PROCESSES, str(runner_pid))
        except OSError as error:
            group.remove()
            return NoGroup("no control group for a run: {}".format(error.strerror))
        return group

    def try_out(self) -> None:
        """Raises NotDelegated when a group with a limit cannot be had after all."""
        trial = RunGroup(os.path.join(self._base, _NAME.format(**protocol.identity(os.getpid()))))
        try:
            cgroupfs.make(trial.path)
        except OSError as error:
            raise NotDelegated("{}: {}".format(self._base, error.strerror)) from error
        try:
            if not trial.limit_memory(_TRIAL_MB):
                raise NotDelegated(trial.problem or "")
        finally:
            trial.remove()

    def tidy(self) -> bool:
        done = True
        for name in self._names():
            named = _NAMED.match(name)
            if named and not _lives(int(named.group(1)), int(named.group(2))):
                done = RunGroup(os.path.join(self._base, name)).end() and done
        return done

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._base)
        except OSError:
            return []


def _lives(pid: int, start_ticks: int) -> bool:
    """Whoever is killed for being forgotten must be forgotten for certain: /proc may hide processes from us."""
    now = protocol.start_ticks(pid)
    if now is not None:
        return now == start_ticks
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def found(say: Callable[[str], None]) -> NoRunGroups:
    """What this launcher has; says so, once."""
    try:
        groups = RunGroups(claim())
        groups.try_out()
    except NotDelegated as error:
        say("memory limits are held by watching: {}".format(error))
        return NoRunGroups(str(error))
    groups.tidy()
    say("memory limits are held by the kernel: {}".format(groups.facts()["at"]))
    return groups
