"""How far runs are: told by workflows, followed by whoever watches (contract §3.1 rows 36-39)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import anyio.to_thread
from litestar import MediaType, Response, get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, PathParameter, RawBody
from litestar.response import Stream

from minisched.api.access import READ, REPORT, Admission
from minisched.api.answers import ProgressAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.parameters import Fqn, RunId
from minisched.api.openapi import EMPTY, EVENTS, Body, operation
from minisched.api.progress_schemas import OperationMetricsBatch, ProgressUpdate
from minisched.api.representation import EntityView, shown, without_nulls
from minisched.api.schemas import parse
from minisched.api.streams import STREAM_HEADERS, News, Streams, data_event, stream_of
from minisched.domain.entity import SERVICE_TYPES
from minisched.domain.errors import InvalidInput, NotFound
from minisched.domain.pipeline import Document
from minisched.operations.pipelines import Pipelines
from minisched.operations.progress import Progress, ProgressEvent, Watched

_LONGEST_S = 3600.0
_SETTLE_EVERY_S = 2.0

_UPDATE_EXAMPLE = {
    "runId": "1f6c0c5e-9a53-4c3b-8a2f-3c5a1c0f7d11",
    "timestamp": 1735689600000,
    "updateType": "PROCESSING",
    "progress": {"entityType": "Database", "processed": 1, "expected": 3, "active": True},
}
_METRICS_EXAMPLE = {
    "runId": "1f6c0c5e-9a53-4c3b-8a2f-3c5a1c0f7d11",
    "stepName": "Mysql",
    "metrics": [{"category": "db_queries", "operation": "SELECT", "timestamp": 1735689600000, "durationMs": 12}],
}


@put(
    "/progress/{fqn:str}/{run_id:str}",
    sync_to_thread=True,
    summary="Tell how far a run is",
    opt=REPORT,
    operation_class=operation({200: EMPTY}, takes=Body(ProgressUpdate, example=_UPDATE_EXAMPLE)),
)
def put_progress(fqn: Fqn, run_id: RunId, body: RawBody, progress: NamedDependency[Progress]) -> Response[bytes]:
    """What workflows send while they run. Kept in memory, for those who watch."""
    progress.put(decoded(fqn), decoded(run_id), parse(ProgressUpdate, body).document())
    return Response(b"", media_type=MediaType.TEXT)


@get(
    "/progress/{fqn:str}/{run_id:str}",
    sync_to_thread=True,
    summary="Get how far a run is",
    opt=READ,
    operation_class=operation({200: ProgressAnswer, 204: EMPTY}),
)
def get_progress(fqn: Fqn, run_id: RunId, progress: NamedDependency[Progress]) -> Response[Document | None]:
    """The newest update; an empty success when there is none."""
    latest = progress.latest(decoded(fqn), decoded(run_id))
    return Response(None, status_code=204) if latest is None else Response(shown(latest))


@post(
    "/metrics/{fqn:str}/{run_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Tell what the operations of a run cost",
    opt=REPORT,
    operation_class=operation({200: EMPTY}, takes=Body(OperationMetricsBatch, example=_METRICS_EXAMPLE)),
)
def post_metrics(fqn: Fqn, run_id: RunId, body: RawBody, progress: NamedDependency[Progress]) -> Response[bytes]:
    """Batches add up; `/api/v1/minisched/runs/{id}` shows the sums as `operationMetrics`."""
    progress.add_metrics(decoded(fqn), decoded(run_id), parse(OperationMetricsBatch, body).metric_documents())
    return Response(b"", media_type=MediaType.TEXT)


@get(
    "/progress/{fqn:str}/stream/{run_id:str}",
    media_type="text/event-stream",
    summary="Follow how far a run is",
    opt=READ,
    operation_class=operation({200: EVENTS}, errors=[429]),
)
async def stream_progress(
    fqn: Fqn,
    run_id: RunId,
    progress: NamedDependency[Progress],
    streams: NamedDependency[Streams],
    admission: NamedDependency[Admission],
) -> Stream:
    """Server-sent events, each a ProgressUpdate: the newest one, then each as it comes, until the last."""
    streams.require_room()
    watched = await anyio.to_thread.run_sync(
        progress.require_run, decoded(fqn), decoded(run_id), limiter=streams.threads
    )
    watch = _Watch(progress, watched, lambda event: shown(event.update))
    events = stream_of(streams, admission.lasting(watch.look), name="progress")
    return Stream(events, media_type="text/event-stream", headers=STREAM_HEADERS)


@get(
    "/progress/service/{service_type:str}/{fqn:str}/stream",
    media_type="text/event-stream",
    summary="Follow how far the runs of a service are",
    opt=READ,
    operation_class=operation({200: EVENTS}, errors=[429]),
)
async def stream_service_progress(
    service_type: FromPath[str],
    fqn: Annotated[str, PathParameter(name="fqn", description="The service's fully qualified name, percent-encoded.")],
    progress: NamedDependency[Progress],
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    streams: NamedDependency[Streams],
    admission: NamedDependency[Admission],
) -> Stream:
    """Server-sent events, each a ServiceProgressEvent: of each run that goes on, then each as it comes."""
    if service_type not in SERVICE_TYPES:
        raise InvalidInput("is not a type of service", field="serviceType", hint=f"One of {', '.join(SERVICE_TYPES)}.")
    streams.require_room()
    await anyio.to_thread.run_sync(pipelines.require_service, service_type, decoded(fqn), limiter=streams.threads)

    def shown_event(event: ProgressEvent) -> Document:
        return without_nulls(
            pipelineFqn=event.pipeline_fqn,
            runId=event.update["runId"],
            event=shown(event.update),
            ingestionPipeline=_discovered(event, pipelines, view),
        )

    watch = _Watch(progress, Watched(service_type=service_type, service_fqn=decoded(fqn)), shown_event)
    events = stream_of(streams, admission.lasting(watch.look), name="progress")
    return Stream(events, media_type="text/event-stream", headers=STREAM_HEADERS)


def _discovered(event: ProgressEvent, pipelines: Pipelines, view: EntityView) -> Document | None:
    """The pipeline, with the event that opens a run: a page that shows the service may not know it yet."""
    if not event.is_discovery:
        return None
    try:
        return view.entity(pipelines.get(event.pipeline_id, include="all"), fields=())
    except NotFound:
        return None


class _Watch:
    """One client that watches a run, whose last update is the end of the stream, or a service, which has no end."""

    def __init__(self, progress: Progress, watched: Watched, show: Callable[[ProgressEvent], Document]) -> None:
        self._progress = progress
        self._watched = watched
        self._show = show
        self._number: int | None = None
        self._began_at = time.monotonic()
        self._settled_at = 0.0

    def look(self) -> News:
        now = time.monotonic()
        if now - self._settled_at >= _SETTLE_EVERY_S:
            self._progress.settle(self._watched)
            self._settled_at = now
        events = self._newer()
        over = self._watched.run_id is not None and any(event.is_final for event in events)
        return News([data_event(self._show(event)) for event in events], over or now - self._began_at > _LONGEST_S)

    def _newer(self) -> list[ProgressEvent]:
        if self._number is None:
            self._number, events = self._progress.now(self._watched)
        else:
            self._number, events = self._progress.since(self._number, self._watched)
        return events


HANDLERS: list[HTTPRouteHandler] = [put_progress, get_progress, post_metrics, stream_progress, stream_service_progress]
