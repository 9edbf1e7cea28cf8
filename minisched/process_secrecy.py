"""Keeps what this process has in memory, secrets in clear among it, from other processes and from the disk."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def hide_memory() -> None:
    """No core file, neither written by the kernel nor piped to a collector, and no look inside by others of our user.

    Root can still look. What is executed from here gets its memory of its own, and has to see to itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
