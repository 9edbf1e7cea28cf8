"""What is queued: in which order it will start, and why it does not run yet."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from minisched.api.access import READ
from minisched.api.openapi import operation
from minisched.api.own_answers import QueueAnswer
from minisched.api.representation import without_nulls
from minisched.api.run_summary import run_summary
from minisched.domain.pipeline import Document
from minisched.operations.runs import MOST_QUEUED, Runs


@get("/queue", sync_to_thread=True, summary="List the queue", opt=READ, operation_class=operation({200: QueueAnswer}))
def list_queue(
    runs: NamedDependency[Runs], limit: Annotated[int, QueryParameter(ge=1, le=MOST_QUEUED)] = 100
) -> Response[Document]:
    """Queued runs in the order in which they may start, each with why it waits; those that wait for an instant last."""
    queue = runs.queue(limit=limit)
    return Response(
        {
            "data": [run_summary(run, waiting) for run, waiting in queue.entries],
            "slots": queue.admission.slots,
            "running": queue.running,
            "draining": queue.admission.draining,
            "services": without_nulls(most=queue.admission.services.most, of=dict(queue.admission.services.of)),
            "runtimes": list(queue.admission.runtimes),
        }
    )
