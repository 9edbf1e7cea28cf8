"""The scheduler: rings when an instant comes, and has what becomes of it written down, once (D6)."""

from minisched.scheduler.backfill import Backfill
from minisched.scheduler.scheduler import RunOf, Scheduler

__all__ = ["Backfill", "RunOf", "Scheduler"]
