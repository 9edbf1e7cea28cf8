"""Whether this process may make control groups (cgroup v2) for its runs, and where.

It may below the directory it was started in if that was delegated to it: by systemd (Delegate= in the unit), by a
container with a writable cgroup file system, or by hand. The kernel hands controllers down only to groups that have
no processes themselves, so the server and what belongs to it move into a group of their own below that directory, once.
"""

from __future__ import annotations

import contextlib
import os

from . import cgroupfs, processes

# DelegateSubgroup= in a unit may name it, too: a restarted server then finds itself there.
SERVICE_GROUP = "minisched-server"
_UNITS = (".service", ".scope", ".slice")
_MARKS = ("user.delegate", "trusted.delegate")
_ROUNDS = 20


class NotDelegated(Exception):
    """Runs get no control groups; says why."""


def claim(proc: str = "/proc/self") -> str:
    """The directory below which a run gets a group with a memory limit. Raises NotDelegated.

    May be called again, by the same process or by what it has started.
    """
    try:
        own, top = own_directory(proc)
        base = own
        if os.path.basename(own) == SERVICE_GROUP and own != top:
            base = os.path.dirname(own)
        _check(base, top)
        if base == own:
            _step_aside(base, everybody=base == top)
        if "memory" not in cgroupfs.read(base, "cgroup.subtree_control").split():
            cgroupfs.write(base, "cgroup.subtree_control", "+memory")
    except OSError as error:
        raise NotDelegated("{}: {}".format(error.filename or "control groups", error.strerror)) from error
    return base


def own_directory(proc: str) -> tuple[str, str]:
    """(the directory of this process' group, the highest that is mounted). Raises NotDelegated, OSError."""
    own = [line[3:] for line in cgroupfs.read(proc, "cgroup").splitlines() if line.startswith("0::")]
    if not own:
        raise NotDelegated("the kernel has no cgroup v2")
    for line in cgroupfs.read(proc, "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] != "cgroup2":
            continue
        root, top = (_unescaped(word) for word in before.split()[3:5])
        inside = os.path.relpath(own[0], root)
        if inside == "." or not inside.startswith(".."):
            return os.path.normpath(os.path.join(top, inside)), top
    raise NotDelegated("no cgroup v2 file system is mounted that has this process")


def _unescaped(word: str) -> str:
    """The kernel writes blanks and the like as three octal digits."""
    return word.encode().decode("unicode_escape").encode("latin-1").decode()


def _check(base: str, top: str) -> None:
    if "memory" not in cgroupfs.read(base, "cgroup.controllers").split():
        raise NotDelegated("cgroup v2 has no memory controller at {}".format(base))
    if not cgroupfs.has(base, "cgroup.type"):
        raise NotDelegated("the server is in the root of all groups, {}, which is nobody's own".format(base))
    kind = cgroupfs.read(base, "cgroup.type").strip()
    if kind != "domain":
        raise NotDelegated("{} is a group of kind {}".format(base, kind))
    needed = [base] + [os.path.join(base, name) for name in (cgroupfs.PROCESSES, "cgroup.subtree_control")]
    if not all(os.access(path, os.W_OK) for path in needed):
        raise NotDelegated("{} is not delegated: it cannot be written to".format(base))
    # Who may write to the parent as well, as root may, learns nothing from being allowed to: systemd tells by a mark.
    if base != top and base.endswith(_UNITS) and os.access(os.path.dirname(base), os.W_OK) and not _marked(base):
        raise NotDelegated("{} is not delegated: set Delegate=yes in the unit".format(base))


def _marked(base: str) -> bool:
    for name in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(base, name) == b"1":
                return True
    return False


def _step_aside(base: str, everybody: bool) -> None:
    """Move this process and its descendants down, and in a container, whose groups are all there for us, everybody."""
    group = os.path.join(base, SERVICE_GROUP)
    for _ in range(_ROUNDS):  # what is forked meanwhile is born where its parent was
        members = cgroupfs.processes(base)
        if not members:
            return
        others = members - {os.getpid()} - processes.descendants(os.getpid())
        if 0 in members or (others and not everybody):
            raise NotDelegated("{} has other processes, too: {}".format(base, sorted(others)[:5]))
        with contextlib.suppress(FileExistsError):
            cgroupfs.make(group)
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                cgroupfs.write(group, cgroupfs.PROCESSES, str(pid))
    raise NotDelegated("{} does not get empty".format(base))
