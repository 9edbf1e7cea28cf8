"""OpenMetadata's ingestion pipeline resource (contract §3), one module per topic."""

from __future__ import annotations

from litestar import Router

from minisched.api.ingestion_pipelines import (
    deletion,
    entities,
    followers,
    lifecycle,
    logs,
    progress,
    statuses,
    streamed_logs,
)
from minisched.api.representation import PIPELINES_PATH


def ingestion_pipelines_router() -> Router:
    modules = (entities, deletion, followers, lifecycle, statuses, logs, streamed_logs, progress)
    handlers = [handler for module in modules for handler in module.HANDLERS]
    return Router(path=PIPELINES_PATH, route_handlers=handlers, tags=["Ingestion pipelines"])
