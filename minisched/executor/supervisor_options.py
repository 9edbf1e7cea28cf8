"""What a node allows its runs."""

from __future__ import annotations

from dataclasses import dataclass

from minisched.domain.queueing import NO_LIMITS, ServiceLimits
from minisched.domain.retry import CONSTANT, Backoff
from minisched.domain.run import Run
from minisched.executor.launcher_client import SpawnLimits


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """Limits of this node: runs at once, seconds of grace between TERM and KILL, and what a run may use."""

    slots: int
    grace_s: float
    timeout_s: float | None = None
    memory_limit_mb: int | None = None
    log_limit_mb: int | None = None
    nice: int = 0
    open_files: int | None = None
    poll_s: float = 1.0
    services: ServiceLimits = NO_LIMITS
    backoff: Backoff = CONSTANT

    def limits_of(self, run: Run) -> SpawnLimits:
        return SpawnLimits(
            grace_s=self.grace_s,
            timeout_s=run.timeout_s or self.timeout_s,
            memory_limit_mb=self.memory_limit_mb,
            log_limit_mb=self.log_limit_mb,
            nice=self.nice,
            open_files=self.open_files,
        )
