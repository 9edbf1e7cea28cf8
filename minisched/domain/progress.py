"""How far a run is, as its workflow tells it (OpenMetadata's ProgressUpdate), and what its operations cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import Run, RunState

DISCOVERY = "DISCOVERY"
PIPELINE_COMPLETE = "PIPELINE_COMPLETE"
ERROR = "ERROR"
_FINAL = frozenset({PIPELINE_COMPLETE, ERROR})

# A run has a few dozen kinds of operations; whatever is beyond these is counted together.
MOST_KINDS = 500
_OTHER = ("other", "other", "other")


def is_final(update: Document) -> bool:
    """Nothing follows it, unless the run begins anew."""
    return update.get("updateType") in _FINAL


def final_update(run: Run) -> Document:
    """What the workflow of an ended run would have said, had it been able to."""
    good = run.state in (RunState.SUCCESS, RunState.PARTIAL_SUCCESS)
    update: Document = {
        "runId": run.id,
        "timestamp": to_ms(run.ended_at or run.enqueued_at),
        "updateType": PIPELINE_COMPLETE if good else ERROR,
    }
    return update | {"message": run.message} if run.message else update


@dataclass(slots=True)
class _Summary:
    count: int = 0
    total_ms: float = 0.0
    least_ms: float | None = None
    most_ms: float | None = None

    def add(self, duration_ms: float) -> None:
        self.count += 1
        self.total_ms += duration_ms
        self.least_ms = duration_ms if self.least_ms is None else min(self.least_ms, duration_ms)
        self.most_ms = duration_ms if self.most_ms is None else max(self.most_ms, duration_ms)

    def document(self) -> Document:
        average = self.total_ms / self.count if self.count else 0.0
        return {
            "count": self.count,
            "totalTimeMs": self.total_ms,
            "avgTimeMs": average,
            "minTimeMs": self.least_ms,
            "maxTimeMs": self.most_ms,
        }


@dataclass(slots=True)
class OperationTotals:
    """Sums of the operations of one run, by category, operation and type of entity."""

    failed: int = 0
    succeeded: int = 0
    _sums: dict[tuple[str, str, str], _Summary] = field(default_factory=dict)

    def add(self, metrics: Iterable[Document]) -> None:
        """OperationMetric objects, as a workflow sends them."""
        for metric in metrics:
            if metric.get("success") is False:
                self.failed += 1
            else:
                self.succeeded += 1
            self._sum_of(metric).add(float(metric.get("durationMs") or 0))

    def _sum_of(self, metric: Document) -> _Summary:
        kind = (str(metric["category"]), str(metric["operation"]), str(metric.get("entityType") or "unknown"))
        if kind not in self._sums and len(self._sums) >= MOST_KINDS:
            kind = _OTHER
        return self._sums.setdefault(kind, _Summary())

    def document(self, run_id: str, at_ms: int) -> Document:
        """OpenMetadata's OperationMetricsAggregation."""
        by_category: dict[str, dict[str, dict[str, Any]]] = {}
        for (category, operation, entity_type), summary in self._sums.items():
            by_category.setdefault(category, {}).setdefault(operation, {})[entity_type] = summary.document()
        return {
            "runId": run_id,
            "timestamp": at_ms,
            "byCategory": by_category,
            "totalOperations": self.succeeded + self.failed,
            "totalSuccessful": self.succeeded,
            "totalFailed": self.failed,
        }
