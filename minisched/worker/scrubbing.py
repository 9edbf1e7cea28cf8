"""Removing secrets that came into a run's log past its own streams.

Programs that a workflow starts, and libraries that write to the descriptor themselves, are not read on the way. When a
run ends, and its file has more bytes than its streams have written, the secrets in it are overwritten where they stand,
so that no offset changes. What a run that was killed has left stays as it is.
"""

from __future__ import annotations

import os
from typing import Iterator, Sequence

_CHUNK = 1024 * 1024
_MASK = b"*"


def scrub(path: str, own_bytes: int, forms: Sequence[bytes]) -> int:
    """Overwrite every form of every secret unless all bytes are our own; how many were found. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not forms or os.fstat(fd).st_size == own_bytes:
            return 0
        return sum(_scrub_extent(fd, start, end, forms) for start, end in _extents(fd))
    finally:
        os.close(fd)


def _extents(fd: int) -> Iterator[tuple[int, int]]:
    """The parts of the file that are on the disk: of a long log the middle is not."""
    size = os.fstat(fd).st_size
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, min(end, size)


def _scrub_extent(fd: int, start: int, end: int, forms: Sequence[bytes]) -> int:
    overlap = max(map(len, forms)) - 1
    found = 0
    while start < end:
        data = os.pread(fd, min(_CHUNK + overlap, end - start), start)
        for form in forms:
            at = data.find(form)
            while at >= 0:
                os.pwrite(fd, _MASK * len(form), start + at)
                found += 1
                at = data.find(form, at + len(form))
        start += _CHUNK
    return found
