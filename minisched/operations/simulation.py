"""What the schedules of all pipelines come to in an interval, before it comes."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from minisched.domain.errors import InvalidInput
from minisched.domain.instant import require_utc
from minisched.domain.schedule import ClockChange
from minisched.ports import DeploymentStore, ScheduleStore, TickHistory

_MOST_INSTANTS = 500_000
_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class SimulatedPipeline:
    """One pipeline that has instants in the interval, or clocks that change. `duration_s` is what its runs take."""

    pipeline_id: str
    fqn: str
    cron: str
    timezone: str
    instants: list[datetime]
    changes: list[ClockChange]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """`busiest` is the instant at which most pipelines fire, `peak` the time at which most runs would be running if
    each began at its instant; both with their numbers, None when nothing fires."""

    since: datetime
    until: datetime
    pipelines: list[SimulatedPipeline]
    instants: int
    busiest: tuple[datetime, int] | None
    peak: tuple[datetime, int] | None


class Simulations:
    """Disabled pipelines do not count."""

    def __init__(self, *, deployments: DeploymentStore, schedules: ScheduleStore, history: TickHistory) -> None:
        self._deployments = deployments
        self._schedules = schedules
        self._history = history

    def simulate(self, since: datetime, until: datetime, *, assumed_s: float) -> Simulation:
        """The instants in since ≤ t < until. A run takes what the successful runs of its pipeline took in the mean,
        or `assumed_s`. Raises InvalidInput when there are more instants than can be shown."""
        first, last = require_utc(since), require_utc(until)
        if last <= first:
            raise InvalidInput("is not after 'from'", field="to")
        names = {deployment.id: deployment.fqn for deployment in self._deployments.all()}
        durations = self._history.usual_durations_s()
        found: list[SimulatedPipeline] = []
        total = 0
        for version in self._schedules.present():
            schedule = version.schedule
            if schedule is None or not version.enabled:
                continue
            instants = []
            for instant in schedule.due(first - _MOMENT, last - _MOMENT):
                instants.append(instant)
                if total + len(instants) > _MOST_INSTANTS:
                    raise InvalidInput(f"there are more than {_MOST_INSTANTS} instants until then", field="to")
            changes = list(schedule.clock_changes(first - _MOMENT, last - _MOMENT))
            total += len(instants)
            if instants or changes:
                found.append(
                    SimulatedPipeline(
                        pipeline_id=version.pipeline_id,
                        fqn=names.get(version.pipeline_id, version.pipeline_id),
                        cron=schedule.cron,
                        timezone=schedule.timezone,
                        instants=instants,
                        changes=changes,
                        duration_s=durations.get(version.pipeline_id, assumed_s),
                    )
                )
        found.sort(key=lambda pipeline: pipeline.fqn)
        return Simulation(first, last, found, total, _busiest(found), _peak(found))


def _busiest(pipelines: list[SimulatedPipeline]) -> tuple[datetime, int] | None:
    counts = Counter(instant for pipeline in pipelines for instant in pipeline.instants)
    return min(counts.items(), key=lambda item: (-item[1], item[0])) if counts else None


def _peak(pipelines: list[SimulatedPipeline]) -> tuple[datetime, int] | None:
    starts = heapq.merge(*([(instant, pipeline.duration_s) for instant in pipeline.instants] for pipeline in pipelines))
    running: list[datetime] = []
    peak: tuple[datetime, int] | None = None
    for instant, duration_s in starts:
        while running and running[0] <= instant:
            heapq.heappop(running)
        heapq.heappush(running, instant + timedelta(seconds=duration_s))
        if peak is None or len(running) > peak[1]:
            peak = instant, len(running)
    return peak
