"""Pipelines that go, and that come back: softly or for good, at once or in the background (contract §3.14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

import structlog
from litestar import Response, delete, put
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter, RawBody

from minisched.api.access import CHANGE
from minisched.api.answers import JobAnswer, PipelineAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.entities import CHANGE_HEADER
from minisched.api.ingestion_pipelines.parameters import Force, Fqn, HardDelete, PipelineId
from minisched.api.openapi import Body, operation
from minisched.api.preconditions import IfMatch, required
from minisched.api.representation import EntityView
from minisched.api.schemas import Restore, parse
from minisched.domain.errors import MinischedError
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.pipelines import Deleted, Pipelines

_log = structlog.get_logger(__name__)


@delete(
    "/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Delete a pipeline",
    opt=CHANGE,
    operation_class=operation({200: PipelineAnswer}, errors=[409, 412]),
)
def delete_pipeline(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
    if_match: IfMatch = None,
) -> Response[Document]:
    """Softly, unless `hardDelete`: then its runs are ended and the orchestrator forgets it."""
    done = pipelines.delete(
        decoded(pipeline_id), hard=hard_delete, force=force, user=user, require=required(if_match, view)
    )
    return _deleted(done, hard_delete, view)


@delete(
    "/name/{fqn:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Delete a pipeline by its fully qualified name",
    opt=CHANGE,
    operation_class=operation({200: PipelineAnswer}, errors=[409, 412]),
)
def delete_pipeline_by_name(
    fqn: Fqn,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
    if_match: IfMatch = None,
) -> Response[Document]:
    """Softly, unless `hardDelete`: then its runs are ended and the orchestrator forgets it."""
    pipeline = pipelines.get_by_fqn(decoded(fqn), include="all" if hard_delete else "non-deleted")
    done = pipelines.delete(pipeline.id, hard=hard_delete, force=force, user=user, require=required(if_match, view))
    return _deleted(done, hard_delete, view)


@delete(
    "/async/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=202,
    summary="Delete a pipeline in the background",
    opt=CHANGE,
    operation_class=operation({202: JobAnswer}),
)
def delete_pipeline_async(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
) -> Response[Document]:
    """Answers at once; what is wrong with the request is said at once, too."""
    pipeline = pipelines.deletable(decoded(pipeline_id), hard=hard_delete, force=force)
    answer = _job("Delete", pipeline) | {"hardDelete": hard_delete, "recursive": False}

    def work() -> None:
        pipelines.delete(pipeline.id, hard=hard_delete, force=force, user=user)

    return Response(answer, background=_in_background(work))


@put(
    "/restore",
    sync_to_thread=True,
    summary="Restore a deleted pipeline",
    opt=CHANGE,
    operation_class=operation(
        {200: PipelineAnswer, 202: JobAnswer},
        takes=Body(Restore, example={"id": "891b373d-a253-4639-ad54-fc17491a7d5d"}),
        errors=[409],
    ),
)
def restore_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    in_background: Annotated[bool, QueryParameter(name="async", description="Answer at once, restore after.")] = False,
) -> Response[Document]:
    """Undoes a soft deletion."""
    pipeline_id = parse(Restore, body).id
    if in_background:
        pipeline = pipelines.restorable(pipeline_id)
        answer = _job("Restore", pipeline)
        return Response(
            answer, status_code=202, background=_in_background(lambda: pipelines.restore(pipeline.id, user=user))
        )
    pipeline = pipelines.restore(pipeline_id, user=user)
    return Response(view.whole(pipeline), headers={CHANGE_HEADER: "entityRestored"})


# --- parts ------------------------------------------------------------------------------------------------------------


def _job(verb: str, pipeline: Pipeline) -> Document:
    message = f"{verb} operation initiated for {pipeline.name}"
    return {"jobId": str(uuid4()), "message": message, "entityName": pipeline.name}


def _in_background(work: Callable[[], object]) -> BackgroundTask:
    """Nobody is there any more to be told of an error."""

    def attempt() -> None:
        try:
            work()
        except MinischedError as error:
            _log.warning("pipeline.job_failed", error=str(error))

    return BackgroundTask(attempt)


def _deleted(done: Deleted, hard: bool, view: EntityView) -> Response[Document]:
    headers: dict[str, Any] = {CHANGE_HEADER: "entityDeleted" if hard else "entitySoftDeleted"}
    if done.runner_skipped:
        headers["X-OpenMetadata-Runner-Cleanup"] = "skipped-unavailable"
    return Response(view.whole(done.pipeline), headers=headers)


HANDLERS: list[HTTPRouteHandler] = [
    delete_pipeline,
    delete_pipeline_by_name,
    delete_pipeline_async,
    restore_pipeline,
]
