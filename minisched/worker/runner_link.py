"""The guard's end of the socket between a guard and its runner, beside the hand-over of the job.

- to the runner: `{"cause": …}` just before SIGTERM: stopped by a person and cut off by a limit are different ends
- to the guard: `{"op": "memory"}` with a descriptor that tells how much memory the runner has (memory.py), and
  `{"op": "result", "result": {…}}` when the result file could not be written
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
        self.rollup_fd = -1
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
        if message.get("op") == MEMORY and len(fds) == 1 and self.rollup_fd < 0:
            self.rollup_fd = fds.pop()
        elif message.get("op") == RESULT and isinstance(message.get("result"), dict):
            self.result = message["result"]
        for fd in fds:
            os.close(fd)
