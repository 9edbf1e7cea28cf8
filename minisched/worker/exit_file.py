"""exit.json: written when no process of the run is left, whatever the disk is like by then.

Room for it is taken when the run starts, so that a full disk does not keep the end of a run from being known.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import Any, Callable

from . import protocol

ROOM = 16 * 1024
# How long a disk may refuse, in seconds, before the run's end is left for the server to find out.
RETRY_S = 60.0
_AGAIN_S = 0.5


class ExitFile:
    """The record of one run directory; `reserve` early, `write` once at the end."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._draft = os.path.join(run_dir, ".{}.{}".format(protocol.EXIT_FILE, os.getpid()))
        self._fd = -1

    def reserve(self) -> None:
        """Take the room now; without it the record is written as any other file."""
        try:
            self._fd = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._fd, 0, ROOM)
        except OSError:
            self._give_back()

    def write(self, record: dict[str, Any], complain: Callable[[str], None]) -> bool:
        """Try for a minute; True when the record is on the disk."""
        deadline = time.monotonic() + RETRY_S
        while True:
            try:
                self._write(record)
                return True
            except OSError as error:
                if error.errno == errno.ENOENT and self._make_directory():
                    continue
                if error.errno == errno.ENOENT or time.monotonic() > deadline:
                    complain("cannot record the exit: {}".format(error))
                    return False
            time.sleep(_AGAIN_S)

    def _write(self, record: dict[str, Any]) -> None:
        data = json.dumps(record).encode()
        if self._fd >= 0 and len(data) <= ROOM:
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
            os.fsync(self._fd)
            os.rename(self._draft, os.path.join(self._run_dir, protocol.EXIT_FILE))
            protocol.sync_directory(self._run_dir)
        else:
            protocol.write_record(self._run_dir, protocol.EXIT_FILE, record)
        self._give_back()

    def _make_directory(self) -> bool:
        """Somebody has deleted the run directory; the end of a run shall be known all the same. False for no chance."""
        had_room = self._fd >= 0
        self._give_back()
        if os.path.isdir(self._run_dir):
            return had_room  # only the draft is gone
        of_all_runs = os.path.dirname(os.path.dirname(self._run_dir))
        if not os.path.isdir(os.path.dirname(of_all_runs)):
            return False
        with contextlib.suppress(OSError):
            os.makedirs(self._run_dir, 0o700, exist_ok=True)
        return os.path.isdir(self._run_dir)

    def _give_back(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with contextlib.suppress(OSError):
            os.unlink(self._draft)
