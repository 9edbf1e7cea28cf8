"""Liveness (the process answers) and readiness (it can accept runs), for supervisors and load balancers."""

from __future__ import annotations

from litestar import Response, Router, get
from litestar.di import NamedDependency

from minisched.api.access import OPEN, READ
from minisched.api.dependencies import Readiness
from minisched.api.openapi import operation
from minisched.api.own_answers import AliveAnswer, ReadyAnswer
from minisched.domain.pipeline import Document


@get("/live", summary="Is the process alive?", opt=OPEN, operation_class=operation({200: AliveAnswer}, is_open=True))
async def live() -> Response[Document]:
    """Always 200."""
    return Response({"status": "alive"})


@get(
    "/ready",
    sync_to_thread=True,
    summary="Can it accept runs?",
    opt=READ,
    operation_class=operation({200: ReadyAnswer, 503: ReadyAnswer}),
)
def ready(readiness: NamedDependency[Readiness]) -> Response[Document]:
    """200, or 503 with the reasons. `memoryLimits` says for each running launcher who holds the memory limits of runs:
    the kernel by `cgroup`, or their guards by `watching`."""
    problems = readiness.problems()
    body: Document = {"status": "not ready" if problems else "ready", "runtimes": readiness.runtime_states()}
    if limits := readiness.memory_limits():
        body["memoryLimits"] = limits
    if problems:
        body["reasons"] = problems
    return Response(body, status_code=503 if problems else 200)


def health_router() -> Router:
    return Router(path="/health", route_handlers=[live, ready], tags=["Health"])
