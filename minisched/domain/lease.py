"""The lease: which one server may write to a database, and when another may take its place.

Safety comes from the fencing token alone: it grows with each holder, and whoever writes compares it in the same
transaction. Clocks decide only how soon a holder counts as lost, so a wrong one costs a hand-over and no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from minisched.domain.run import ProcessIdentity

# A holder renews this often within the time after which it counts as lost.
RENEWALS_PER_LEASE = 3


@dataclass(frozen=True, slots=True)
class Holder:
    """The server that has the lease. `pid_namespace` says in which container its pid means something."""

    id: str
    host: str
    process: ProcessIdentity
    pid_namespace: str
    since: datetime

    def __str__(self) -> str:
        since = self.since.isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"process {self.process.pid} on host {self.host}, since {since}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """The lease as it was read: `renewed_ms` and `now_ms` are of the database's clock. No holder: it was given back."""

    token: int
    holder: Holder | None
    renewed_ms: int
    now_ms: int

    @property
    def age_s(self) -> float:
        """Seconds since the last renewal; negative when the database's clock was set back meanwhile."""
        return (self.now_ms - self.renewed_ms) / 1000

    def is_same_as(self, other: Sighting) -> bool:
        """Whether nobody renewed or took it between the two."""
        return (self.token, self.renewed_ms) == (other.token, other.renewed_ms)


class LeaseWatch:
    """What one candidate has seen of the lease, by a monotonic clock of its own."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._first: tuple[Sighting, float] | None = None
        self.renewal_seen = False

    def is_free(self, seen: Sighting, *, at_s: float, holder_is_gone: bool) -> bool:
        """Whether the candidate may try to take it: it was given back, its holder is known to have died, or it was not
        renewed for the length of a lease by the database's clock, or by ours (a clock that jumped back must not keep
        it for ever)."""
        if self._first is None or not self._first[0].is_same_as(seen):
            self.renewal_seen = self._first is not None and self._first[0].token == seen.token
            self._first = (seen, at_s)
        if seen.holder is None or holder_is_gone:
            return True
        return seen.age_s > self._lease_s or at_s - self._first[1] > self._lease_s
