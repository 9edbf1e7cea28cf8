"""Pipelines are judged by the models of the runtime that will run them, in a warm child that is kept for the purpose.

It is forked by the runtime's launcher, answers in some milliseconds, and is used by one caller at a time. Whatever is
wrong with it is no reason to refuse a pipeline: then nobody judges, and the run will say what its models say.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from minisched.domain.errors import InvalidPipelineConfig, OrchestratorUnavailable
from minisched.domain.pipeline import Document, Judgement
from minisched.domain.run import ProcessIdentity
from minisched.executor.launcher_client import LauncherClient, as_memfd
from minisched.worker import protocol

_log = structlog.get_logger(__name__)

# The child ends by itself after two seconds over one pipeline.
_PATIENCE_S = 3.0


class ValidatingChildren:
    """Implements `ports.PipelineJudge`: one child per runtime, made when it is first needed.

    `connect` gives a connection to a runtime's launcher and raises OrchestratorUnavailable with the reason while there
    is none; `launcher` says which process that launcher is; `warm` has a runtime started that nothing has asked for.
    """

    def __init__(
        self,
        *,
        connect: Callable[[str], LauncherClient],
        launcher: Callable[[str], ProcessIdentity | None],
        warm: Callable[[str], None],
        workflow_classes: Mapping[str, str],
    ) -> None:
        self._connect = connect
        self._launcher = launcher
        self._warm = warm
        self._workflow_classes = dict(workflow_classes)
        self._lock = threading.Lock()
        self._children: dict[str, _Child] = {}

    def judge(self, pipeline: Document, *, runtime: str) -> Judgement:
        self._warm(runtime)
        child = self._child_of(runtime)
        if not child.lock.acquire(timeout=_PATIENCE_S):
            raise OrchestratorUnavailable("Too many pipelines are being checked at once.")
        try:
            answer = child.asked({"pipeline": pipeline, "workflow_classes": self._workflow_classes})
        finally:
            child.lock.release()
        if "error" in answer:
            _log.warning("validation.failed", runtime=runtime, error=answer["error"])
            raise OrchestratorUnavailable(f"The models of the runtime {runtime} gave no verdict ({answer['error']}).")
        if problems := answer.get("problems"):
            raise InvalidPipelineConfig("\n".join(problems))
        return Judgement(child.version or "unknown", tuple(answer.get("dropped") or ()))

    def close(self) -> None:
        with self._lock:
            for child in self._children.values():
                child.drop()
            self._children.clear()

    def _child_of(self, runtime: str) -> _Child:
        with self._lock:
            if runtime not in self._children:
                self._children[runtime] = _Child(
                    lambda: self._connect(runtime), lambda: self._launcher(runtime), runtime
                )
            return self._children[runtime]


class _Child:
    """The child of one runtime, and the next one when it has left. Its methods are for the holder of `lock`."""

    def __init__(
        self, connect: Callable[[], LauncherClient], launcher: Callable[[], ProcessIdentity | None], runtime: str
    ) -> None:
        self.lock = threading.Lock()
        self.version: str | None = None
        self._connect = connect
        self._launcher = launcher
        self._runtime = runtime
        self._socket: socket.socket | None = None
        self._parent: ProcessIdentity | None = None

    def asked(self, job: Document) -> dict[str, Any]:
        """Its answer to a job. Raises OrchestratorUnavailable when there is none."""
        if self._socket is not None and self._parent == self._launcher():
            with contextlib.suppress(_HasLeft):
                return self._exchange(self._socket, job)
        try:
            return self._exchange(self._fresh(), job)
        except _HasLeft:
            raise self._silent() from None

    def drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _fresh(self) -> socket.socket:
        self.drop()
        with contextlib.closing(self._connect()) as client:
            self._parent, self.version = client.process, client.hello.get("version")
            self._socket = client.fork_validator()
        self._socket.settimeout(_PATIENCE_S)
        return self._socket

    def _exchange(self, connection: socket.socket, job: Document) -> dict[str, Any]:
        began = time.monotonic()
        fd = as_memfd(job)
        try:
            protocol.send(connection, {}, (fd,))
            answer, _ = protocol.receive(connection)
        except (OSError, EOFError, protocol.ProtocolError):
            self.drop()
            if time.monotonic() - began < 1.0:
                raise _HasLeft from None
            raise self._silent() from None
        finally:
            os.close(fd)
        return answer

    def _silent(self) -> OrchestratorUnavailable:
        _log.warning("validation.silent", runtime=self._runtime)
        return OrchestratorUnavailable(f"The models of the runtime {self._runtime} gave no verdict in time.")


class _HasLeft(Exception):
    """It had left before it was asked, as it does when it was idle for long."""
