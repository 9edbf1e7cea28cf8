"""What workflows send of their progress, as strict models: OpenMetadata's ProgressUpdate and OperationMetricsBatch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from minisched.api.schemas import Body, JsonObject, Milliseconds, Text, check_json_body
from minisched.domain.pipeline import Document

_LARGEST = 2**53
_MOST_METRICS = 10_000

Number = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
Word = Annotated[Text, Field(max_length=1024)]


class GlobalCounter(Body):
    """A counter of the whole run."""

    entityType: Word | None = None  # noqa: N815  OpenMetadata's names
    done: Number | None = None
    total: Number | None = None


class ProgressNode(Body):
    """A node of the tree of what is being read; `children` are nodes again."""

    label: Word | None = None
    entityType: Word | None = None  # noqa: N815
    processed: Number | None = None
    expected: Number | None = None
    active: bool | None = None
    overflow: Number | None = None
    # Its schema would hold itself.
    children: Annotated[list[ProgressNode], WithJsonSchema({"type": "array", "items": {"type": "object"}})] | None = (
        None
    )


class ProgressUpdate(Body):
    """How far a run is. `timestamp` is epoch milliseconds."""

    runId: Annotated[Text, Field(max_length=64)]  # noqa: N815
    timestamp: Milliseconds
    updateType: Literal["DISCOVERY", "PROCESSING", "STEP_COMPLETE", "PIPELINE_COMPLETE", "ERROR"]  # noqa: N815
    stepName: Word | None = None  # noqa: N815
    progress: ProgressNode | None = None
    globalCounters: list[GlobalCounter] | None = None  # noqa: N815
    estimatedSecondsRemaining: Number | None = None  # noqa: N815
    totalAssetsIngested: Number | None = None  # noqa: N815
    currentEntity: Text | None = None  # noqa: N815
    message: Text | None = None

    def document(self) -> Document:
        """What was sent, nulls left out."""
        return check_json_body(self.model_dump(exclude_none=True, exclude_unset=True))


class OperationMetric(Body):
    """One operation of a workflow and what it cost."""

    category: Word
    operation: Word
    entityType: Word | None = None  # noqa: N815
    entityFqn: Text | None = None  # noqa: N815
    timestamp: Milliseconds
    durationMs: Annotated[int, Field(ge=0, le=_LARGEST)] | None = None  # noqa: N815
    success: bool | None = None
    errorMessage: Text | None = None  # noqa: N815
    metadata: JsonObject | None = None


class OperationMetricsBatch(Body):
    """Operations of one step of a run since the last batch."""

    runId: Annotated[Text, Field(max_length=64)]  # noqa: N815
    stepName: Word  # noqa: N815
    batchTimestamp: Milliseconds | None = None  # noqa: N815
    metrics: Annotated[list[OperationMetric], Field(max_length=_MOST_METRICS)]

    def metric_documents(self) -> list[dict[str, Any]]:
        return [metric.model_dump(exclude_none=True) for metric in self.metrics]
