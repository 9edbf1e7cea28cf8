"""The guard's end of the socket between a guard and its runner, beside the hand-over of the job.

- to the runner: `{"cause": …}` just before SIGTERM: stopped by a person and cut off by a limit are different ends
- to the guard: `{"op": "memory", "pid": …}` with a descriptor that tells how much memory the process has (memory.py),
  from the runner and from its forks, and `{"op": "result", "result": {…}}` when the result file could not be written
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

from . import protocol

MEMORY = "memory"
RESULT = "result"


class RunnerLink:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rollups: list[tuple[int, int]] = []
        self.result: dict[str, Any] | None = None

    def fileno(self) -> int:
        return self._connection.fileno()

    def hand_over(self, message: dict[str, Any], fds: tuple[int, ...]) -> None:
        """Pass the run on. Raises OSError when the runner is dead."""
        protocol.send(self._connection, message, fds)

    def tell(self, cause: str) -> None:
        """Why it gets SIGTERM in a moment; a runner that cannot hear is not waited for."""
        with contextlib.suppress(OSError, protocol.ProtocolError):
            self._connection.setblocking(False)
            protocol.send(self._connection, {"cause": cause})

    def take_rollups(self) -> list[tuple[int, int]]:
        """(pid, descriptor) of what was heard since; the descriptors are the caller's."""
        taken, self._rollups = self._rollups, []
        return taken

    def hear(self) -> bool:
        """Take in what the runner has said so far, without waiting; False when it has gone and all was heard."""
        self._connection.setblocking(False)
        try:
            while True:
                self._take(*protocol.receive(self._connection))
        except (BlockingIOError, protocol.ProtocolError):
            return True
        except (EOFError, OSError):
            return False
        finally:
            with contextlib.suppress(OSError):
                self._connection.setblocking(True)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        if message.get("op") == MEMORY and isinstance(message.get("pid"), int) and len(fds) == 1:
            self._rollups.append((message["pid"], fds.pop()))
        elif message.get("op") == RESULT and isinstance(message.get("result"), dict):
            self.result = message["result"]
        for fd in fds:
            os.close(fd)
