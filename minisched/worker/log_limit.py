"""Keeping a run's log within its size without touching what the run does.

The run goes on appending to the same file. What is given up is the middle: its blocks go back to the disk as a hole,
so that every byte that is left keeps its offset, the beginning and the end stay readable, and readers find the hole by
asking the file system for it.
"""

from __future__ import annotations

import errno
import os

from . import kernel

# Ends of a hole are multiples of this, so that no file system has to keep zeros in their place.
GRAIN = 64 * 1024
_HEAD_SHARE = 4  # a quarter of the limit is kept of the beginning: how a run ended is asked for more often
_STEPS = 16


class LogLimit:
    """At most `limit_bytes` of the file stay on the disk, plus what is written between two calls of `keep`.

    `hurries` when that is so much that `keep` should be called more often.
    """

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._limit = limit_bytes
        self._head = -(-limit_bytes // _HEAD_SHARE // GRAIN) * GRAIN
        self._step = max(GRAIN, limit_bytes // _STEPS)
        self._dropped_to = self._head
        self._size = 0
        self.problem: str | None = None
        self.hurries = False

    @property
    def dropped(self) -> int:
        """Bytes that are not kept any more."""
        return self._dropped_to - self._head

    @property
    def size(self) -> int:
        """Bytes that were written."""
        try:
            return os.fstat(self._fd).st_size
        except OSError:
            return 0

    def keep(self, ended: bool = False) -> None:
        """Drop what is too much: in some larger steps while the run goes on, exactly when it has ended."""
        size = self.size
        self.hurries, self._size = size - self._size > self._step, size
        if size <= self._limit or self.problem is not None:
            return
        end = (size - (self._limit - self._head)) // GRAIN * GRAIN
        if end - self._dropped_to >= (GRAIN if ended else self._step):
            self._drop_to(end)

    def _drop_to(self, end: int) -> None:
        try:
            kernel.punch_hole(self._fd, self._dropped_to, end - self._dropped_to)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
                self.problem = "the file system cannot drop the middle of a file"
            return  # else tried again: the disk may be full
        self._dropped_to = end
