"""On whose behalf this thread or task acts, so that the store can write it down together with the change.

Set at the edge of a request; a thread that works on for it needs a copy of its context. What acts by itself (the
scheduler, the supervisor) acts for nobody, and is not written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from minisched.domain.access import Principal


@dataclass(slots=True)
class Action:
    """One request that changes something: who asks for what, from where, and what it has touched so far.

    `operation` names what was asked for (`trigger_pipeline`), `request` is method and path, `peer` an address.
    """

    principal: Principal
    operation: str
    request: str
    peer: str
    _touched: list[str] = field(default_factory=list)
    _recorded: set[str | None] = field(default_factory=set)

    def touch(self, what: str) -> None:
        if what not in self._touched:
            self._touched.append(what)

    def unrecorded(self) -> Sequence[str | None]:
        """What a transaction that commits now has to tell of; None stands for the request as a whole."""
        if self._touched:
            return [what for what in self._touched if what not in self._recorded]
        return [] if self._recorded else [None]

    def note_recorded(self, told: Sequence[str | None]) -> None:
        self._recorded.update(told)


acting: ContextVar[Action | None] = ContextVar("acting", default=None)


def touches(what: str) -> None:
    """The change that this thread is about to write concerns this pipeline, run, user or token."""
    if (action := acting.get()) is not None:
        action.touch(what)
