"""Herd smoothing: pipelines of one instant start a little apart, each always by the same amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Spread:
    """Within how many seconds after an instant its runs start: `seconds` unless `of` names the pipeline by its FQN."""

    seconds: float = 0.0
    of: Mapping[str, float] = field(default_factory=dict)

    def start_of(self, scheduled_for: datetime, *, pipeline_id: str, fqn: str) -> datetime | None:
        """The earliest start of the run of this instant; None when it is the instant itself.

        A hash of the id decides, so that a pipeline keeps its distance from one day to the next. The instant, by which
        a run is known, stays as it is.
        """
        offset = timedelta(milliseconds=int(_share(pipeline_id) * self.of.get(fqn, self.seconds) * 1000))
        return scheduled_for + offset if offset else None


def _share(pipeline_id: str) -> float:
    """From 0 to below 1, evenly over all ids."""
    return int.from_bytes(sha256(pipeline_id.encode()).digest()[:6], "big") / 2**48
