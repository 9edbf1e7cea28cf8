"""pipelineStatus: what workflows report and what is told of runs (contract §3.11)."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter, RawBody

from minisched.api import cursors
from minisched.api.access import CHANGE, READ, REPORT
from minisched.api.answers import EventAnswer, PipelineAnswer, StatusAnswer, StatusesAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.entities import CHANGE_HEADER
from minisched.api.ingestion_pipelines.list_query import MAX_LIMIT
from minisched.api.ingestion_pipelines.parameters import LARGEST_MS, IdOrFqn
from minisched.api.openapi import EMPTY, Body, operation
from minisched.api.representation import EntityView, shown, without_nulls
from minisched.api.schemas import PipelineStatus, parse
from minisched.domain.errors import NotFound
from minisched.domain.pipeline import Document
from minisched.operations.editing import is_uuid
from minisched.operations.statuses import Statuses, StatusRange

_EXAMPLE = {
    "runId": "1f6c0c5e-9a53-4c3b-8a2f-3c5a1c0f7d11",
    "pipelineState": "running",
    "startDate": 1735689600000,
    "timestamp": 1735689600000,
}


@put(
    "/{pipeline:str}/pipelineStatus",
    sync_to_thread=True,
    status_code=201,
    summary="Report how a run fares",
    opt=REPORT,
    operation_class=operation({201: EventAnswer}, takes=Body(PipelineStatus, example=_EXAMPLE)),
)
def put_status(
    pipeline: IdOrFqn,
    body: RawBody,
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """By FQN. Replaces, as a whole, what was reported for this run before."""
    change = statuses.put(decoded(pipeline), parse(PipelineStatus, body).document())
    return Response(view.status_event(change, user=user), headers={CHANGE_HEADER: "entityFieldsChanged"})


@get(
    "/{pipeline:str}/pipelineStatus",
    sync_to_thread=True,
    summary="List how runs fared",
    opt=READ,
    operation_class=operation({200: StatusesAnswer}),
)
def list_statuses(
    pipeline: IdOrFqn,
    statuses: NamedDependency[Statuses],
    start_ts: Annotated[int | None, QueryParameter(name="startTs", ge=0, le=LARGEST_MS)] = None,
    end_ts: Annotated[int | None, QueryParameter(name="endTs", ge=0, le=LARGEST_MS)] = None,
    limit: Annotated[int | None, QueryParameter(ge=1, le=MAX_LIMIT)] = None,
) -> Response[Document]:
    """By FQN, newest first, queued runs included; the latest five without a range and a limit."""
    found = statuses.search(decoded(pipeline), StatusRange(start_ts, end_ts, limit))
    before, after = cursors.encode_ms(start_ts), cursors.encode_ms(end_ts)
    return Response({"data": shown(found), "paging": without_nulls(before=before, after=after, total=len(found))})


@get(
    "/{pipeline:str}/pipelineStatus/{run_id:str}",
    sync_to_thread=True,
    summary="Get what a run reported",
    opt=READ,
    operation_class=operation({200: StatusAnswer, 204: EMPTY}),
)
def get_status(
    pipeline: IdOrFqn, run_id: FromPath[str], statuses: NamedDependency[Statuses]
) -> Response[Document | None]:
    """By FQN. A run that has not reported is an empty success: workflows rely on it."""
    if not is_uuid(run_id):
        raise NotFound(f"pipelineStatus instance for {run_id[:100]} not found")
    status = statuses.get(decoded(pipeline), run_id)
    if status is None:
        return Response(None, status_code=204)
    return Response(shown(status))


@delete(
    "/{pipeline:str}/pipelineStatus",
    sync_to_thread=True,
    status_code=200,
    summary="Forget what was reported",
    opt=CHANGE,
    operation_class=operation({200: PipelineAnswer}),
)
def delete_statuses(
    pipeline: IdOrFqn, statuses: NamedDependency[Statuses], view: NamedDependency[EntityView]
) -> Response[Document]:
    """By id. Answers with the entity."""
    return Response(view.whole(statuses.delete(decoded(pipeline))))


@delete(
    "/{pipeline:str}/pipelineStatus/{run_id:str}",
    sync_to_thread=True,
    summary="Forget what a run reported",
    opt=CHANGE,
    operation_class=operation({204: EMPTY}),
)
def delete_status(pipeline: IdOrFqn, run_id: FromPath[str], statuses: NamedDependency[Statuses]) -> None:
    """By id of the pipeline and of the run."""
    statuses.delete(decoded(pipeline), decoded(run_id))


HANDLERS: list[HTTPRouteHandler] = [put_status, list_statuses, get_status, delete_statuses, delete_status]
