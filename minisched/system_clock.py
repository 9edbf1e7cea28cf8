"""The clock of this machine, and that of a test which moves a server to another time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from minisched.domain.errors import ConfigurationError

VARIABLE = "MINISCHED_CLOCK_OFFSET_S"


class SystemClock:
    """Implements `ports.Clock`; ahead of the machine's clock by `offset_s`, which is not 0 in tests only."""

    def __init__(self, offset_s: float = 0.0) -> None:
        self._offset = timedelta(seconds=offset_s)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


def offset_of(environ: Mapping[str, str]) -> float:
    """The seconds by which the variable moves this process's clock. Raises ConfigurationError."""
    text = environ.get(VARIABLE) or "0"
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{VARIABLE} is a number of seconds.", field=VARIABLE) from None
