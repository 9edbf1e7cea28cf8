"""Ends moves of pipelines that were cut off, as soon as both orchestrators answer."""

from __future__ import annotations

import threading

import structlog

from minisched.domain.errors import MinischedError
from minisched.domain.placement import Placement
from minisched.ports import PipelineMover

log = structlog.get_logger(__name__)


class UnfinishedMoves:
    """A thread that looks every `poll_s` seconds; when there is nothing to end, that costs nothing."""

    def __init__(self, mover: PipelineMover, *, poll_s: float = 30.0) -> None:
        self._mover = mover
        self._poll_s = poll_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="unfinished-moves", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more; what is being ended goes on."""
        self._closing.set()

    def look(self) -> None:
        """End what can be ended now."""
        for placement in self._mover.unfinished():
            if self._closing.is_set():
                return
            self._end(placement)

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                self.look()
            except MinischedError as error:
                log.warning("moves.not_looked_at", error=str(error))
            except Exception:
                log.exception("moves.failed")
            self._closing.wait(self._poll_s)

    def _end(self, placement: Placement) -> None:
        try:
            self._mover.settle(placement.ref)
        except MinischedError as error:
            log.warning("move.unfinished", pipeline=placement.fqn, client=placement.client, error=str(error))
