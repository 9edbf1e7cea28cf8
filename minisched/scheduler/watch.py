"""The watch: a durable record of when the scheduler was at work, so that a miss can be told from a downtime."""

from __future__ import annotations

from datetime import datetime, timedelta

from minisched.ports import Watches

_WRITTEN_EVERY = timedelta(seconds=30)
# Longer between two looks than the bell can be late: the machine slept, or the clock was set.
_GAP = timedelta(seconds=60)
# As much as clocks are set back by those who keep them right all the time.
_JITTER = timedelta(seconds=5)


class Watch:
    """Not safe to share between threads."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._number: int | None = None
        self._looked: datetime | None = None
        self._written: datetime | None = None

    def look(self, now: datetime) -> bool:
        """Note that the scheduler is at work; True when the clock was set back since the last look."""
        went_back = self._looked is not None and now < self._looked - _JITTER
        broken = self._looked is None or went_back or now - self._looked > _GAP
        if broken or self._number is None:
            self._end()
            self._number = self._watches.begin(now)
            self._written = now
        elif self._written is None or now - self._written >= _WRITTEN_EVERY:
            self._extend(now)
        self._looked = now
        return went_back

    def close(self, now: datetime) -> None:
        """The scheduler leaves."""
        if self._looked is not None and now >= self._looked - _JITTER:
            self._extend(now)

    def _end(self) -> None:
        if self._looked is not None:
            self._extend(self._looked)

    def _extend(self, until: datetime) -> None:
        if self._number is not None and (self._written is None or until > self._written):
            self._watches.extend(self._number, until)
            self._written = until
