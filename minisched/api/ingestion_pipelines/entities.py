"""The pipelines themselves: list, read, create, change, delete, restore (contract §3.2-§3.7, §3.14)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import uuid4

import structlog
from litestar import Response, delete, get, patch, post, put
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter, RawBody

from minisched.api import patches
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.list_query import MAX_LIMIT, AgentType, ListRequest
from minisched.api.ingestion_pipelines.parameters import Fields, Force, Fqn, HardDelete, Include, PipelineId
from minisched.api.openapi import takes
from minisched.api.representation import EntityView, requested_fields
from minisched.api.schemas import CreateIngestionPipeline, JsonPatch, PatchedIngestionPipeline, Restore, check, parse
from minisched.domain.errors import MinischedError, NotFound
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.pipelines import Deleted, Pipelines
from minisched.operations.statuses import Statuses
from minisched.ports import PipelinePage

_log = structlog.get_logger(__name__)

CHANGE_HEADER = "X-OpenMetadata-Change"

_VERSION = re.compile(r"\d{1,9}\.\d{1,9}")

_CREATE_EXAMPLE = {
    "name": "mysql_metadata",
    "pipelineType": "metadata",
    "service": {"id": "891b373d-a253-4639-ad54-fc17491a7d5d", "type": "databaseService"},
    "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
    "airflowConfig": {"scheduleInterval": "0 * * * *"},
}
_PATCH_EXAMPLE = [{"op": "replace", "path": "/airflowConfig/scheduleInterval", "value": "0 2 * * *"}]


@get("/", sync_to_thread=True, summary="List pipelines")
def list_pipelines(
    pipelines: NamedDependency[Pipelines],
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    fields: Fields = None,
    service: FromQuery[str | None] = None,
    test_suite: Annotated[str | None, QueryParameter(name="testSuite")] = None,
    pipeline_type: Annotated[str | None, QueryParameter(name="pipelineType")] = None,
    agent_type: Annotated[AgentType | None, QueryParameter(name="agentType")] = None,
    service_type: Annotated[str | None, QueryParameter(name="serviceType")] = None,
    application_type: Annotated[str | None, QueryParameter(name="applicationType")] = None,
    provider: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=0, le=MAX_LIMIT)] = 10,
    before: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    include: FromQuery[Include] = "non-deleted",
    sort_field: Annotated[str | None, QueryParameter(name="sortField")] = None,
    sort_order: Annotated[Literal["asc", "desc"], QueryParameter(name="sortOrder")] = "asc",
) -> Response[Document]:
    """A page in the order of names, with cursors to its neighbours; `limit=0` only counts."""
    wanted = requested_fields(fields)
    request = ListRequest(
        service=service,
        test_suite=test_suite,
        pipeline_type=pipeline_type,
        agent_type=agent_type,
        service_type=service_type,
        application_type=application_type,
        provider=provider,
        limit=limit,
        before=before,
        after=after,
        include=include,
        sort_field=sort_field,
        sort_order=sort_order,
    )
    query = request.query()
    page = PipelinePage([], 0, None, None) if query is None else pipelines.page(query)
    latest = statuses.latest_of(page.pipelines) if "pipelineStatuses" in wanted else None
    return Response(view.page(page, fields=wanted, statuses=latest, by_display_name=request.by_display_name))


@get("/{pipeline_id:str}", sync_to_thread=True, summary="Get a pipeline by id")
def get_pipeline(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    fields: Fields = None,
    include: FromQuery[Include] = "non-deleted",
) -> Response[Document]:
    """The entity, its secrets masked."""
    wanted = requested_fields(fields)
    return _one(pipelines.get(decoded(pipeline_id), include=include), wanted, statuses, view)


@get("/name/{fqn:str}", sync_to_thread=True, summary="Get a pipeline by its fully qualified name")
def get_pipeline_by_name(
    fqn: Fqn,
    pipelines: NamedDependency[Pipelines],
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    fields: Fields = None,
    include: FromQuery[Include] = "non-deleted",
) -> Response[Document]:
    """The entity, its secrets masked."""
    wanted = requested_fields(fields)
    return _one(pipelines.get_by_fqn(decoded(fqn), include=include), wanted, statuses, view)


@get("/{pipeline_id:str}/versions", sync_to_thread=True, summary="List the versions of a pipeline")
def list_versions(
    pipeline_id: PipelineId, pipelines: NamedDependency[Pipelines], view: NamedDependency[EntityView]
) -> Response[Document]:
    """Newest first, each a JSON text."""
    return Response(view.history(pipelines.versions(decoded(pipeline_id))))


@get("/{pipeline_id:str}/versions/{version:str}", sync_to_thread=True, summary="Get a version of a pipeline")
def get_version(
    pipeline_id: PipelineId,
    version: FromPath[str],
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
) -> Response[Document]:
    """The entity as it was."""
    key = decoded(pipeline_id)
    if not _VERSION.fullmatch(version):
        raise NotFound(f"ingestionPipeline instance for {key[:512]} and version {version[:50]} not found")
    return Response(view.whole(pipelines.version(key, float(version))))


@post(
    "/",
    sync_to_thread=True,
    summary="Create a pipeline",
    operation_class=takes(CreateIngestionPipeline, example=_CREATE_EXAMPLE),
)
def create_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """Stores it; deploying it is a call of its own."""
    pipeline = pipelines.create(parse(CreateIngestionPipeline, body).document(), user=user)
    return Response(view.whole(pipeline), status_code=201, headers={"Location": view.href(pipeline.id)})


@put(
    "/",
    sync_to_thread=True,
    summary="Create a pipeline or change it",
    operation_class=takes(CreateIngestionPipeline, example=_CREATE_EXAMPLE),
)
def put_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """By fully qualified name. What is deployed is deployed anew when it changes."""
    done = pipelines.put(parse(CreateIngestionPipeline, body).document(), user=user)
    headers = {"Location": view.href(done.pipeline.id)} if done.created else {}
    headers[CHANGE_HEADER] = "entityCreated" if done.created else _updated(changed=done.changed)
    headers["ETag"] = view.etag(done.pipeline)
    return Response(view.whole(done.pipeline), status_code=201 if done.created else 200, headers=headers)


@patch(
    "/{pipeline_id:str}",
    sync_to_thread=True,
    summary="Change a pipeline",
    operation_class=takes(JsonPatch, example=_PATCH_EXAMPLE, media_type="application/json-patch+json"),
)
def patch_pipeline(
    pipeline_id: PipelineId,
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """A JSON patch (RFC 6902). What is deployed is deployed anew when it changes."""
    return _patched(decoded(pipeline_id), body, pipelines, view, user)


@patch(
    "/name/{fqn:str}",
    sync_to_thread=True,
    summary="Change a pipeline by its fully qualified name",
    operation_class=takes(JsonPatch, example=_PATCH_EXAMPLE, media_type="application/json-patch+json"),
)
def patch_pipeline_by_name(
    fqn: Fqn,
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """A JSON patch (RFC 6902). What is deployed is deployed anew when it changes."""
    return _patched(pipelines.get_by_fqn(decoded(fqn)).id, body, pipelines, view, user)


@delete("/{pipeline_id:str}", sync_to_thread=True, status_code=200, summary="Delete a pipeline")
def delete_pipeline(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
) -> Response[Document]:
    """Softly, unless `hardDelete`: then its runs are ended and the orchestrator forgets it."""
    return _deleted(pipelines.delete(decoded(pipeline_id), hard=hard_delete, force=force, user=user), hard_delete, view)


@delete(
    "/name/{fqn:str}", sync_to_thread=True, status_code=200, summary="Delete a pipeline by its fully qualified name"
)
def delete_pipeline_by_name(
    fqn: Fqn,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
) -> Response[Document]:
    """Softly, unless `hardDelete`: then its runs are ended and the orchestrator forgets it."""
    pipeline = pipelines.get_by_fqn(decoded(fqn), include="all" if hard_delete else "non-deleted")
    return _deleted(pipelines.delete(pipeline.id, hard=hard_delete, force=force, user=user), hard_delete, view)


@delete("/async/{pipeline_id:str}", sync_to_thread=True, status_code=202, summary="Delete a pipeline in the background")
def delete_pipeline_async(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    user: NamedDependency[str],
    hard_delete: HardDelete = False,
    force: Force = False,
) -> Response[Document]:
    """Answers at once; what is wrong with the request is said at once, too."""
    pipeline = pipelines.deletable(decoded(pipeline_id), hard=hard_delete, force=force)

    def work() -> None:
        try:
            pipelines.delete(pipeline.id, hard=hard_delete, force=force, user=user)
        except MinischedError as error:
            _log.warning("pipeline.not_deleted", pipeline=pipeline.fqn, error=str(error))

    answer = {
        "jobId": str(uuid4()),
        "message": f"Delete operation initiated for {pipeline.name}",
        "entityName": pipeline.name,
        "hardDelete": hard_delete,
        "recursive": False,
    }
    return Response(answer, background=BackgroundTask(work))


@put("/restore", sync_to_thread=True, summary="Restore a deleted pipeline", operation_class=takes(Restore))
def restore_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """Undoes a soft deletion."""
    pipeline = pipelines.restore(parse(Restore, body).id, user=user)
    return Response(view.whole(pipeline), headers={CHANGE_HEADER: "entityRestored"})


# --- parts ------------------------------------------------------------------------------------------------------------


def _one(pipeline: Pipeline, fields: frozenset[str], statuses: Statuses, view: EntityView) -> Response[Document]:
    latest = statuses.latest_of([pipeline])[pipeline.fqn] if "pipelineStatuses" in fields else None
    document = view.entity(pipeline, fields=fields, statuses=latest)
    return Response(document, headers={"ETag": view.etag(pipeline)})


def _patched(pipeline_id: str, body: bytes, pipelines: Pipelines, view: EntityView, user: str) -> Response[Document]:
    operations = parse(JsonPatch, body).operations()

    def change(stored: Document) -> Document:
        candidate = patches.apply_patch(view.with_addresses(stored), operations)
        check(PatchedIngestionPipeline, candidate)
        return candidate

    edited = pipelines.patch(pipeline_id, change, user=user)
    headers = {CHANGE_HEADER: _updated(changed=edited.changed), "ETag": view.etag(edited.pipeline)}
    return Response(view.whole(edited.pipeline), headers=headers)


def _updated(*, changed: bool) -> str:
    return "entityUpdated" if changed else "entityNoChange"


def _deleted(done: Deleted, hard: bool, view: EntityView) -> Response[Document]:
    headers: dict[str, Any] = {CHANGE_HEADER: "entityDeleted" if hard else "entitySoftDeleted"}
    if done.runner_skipped:
        headers["X-OpenMetadata-Runner-Cleanup"] = "skipped-unavailable"
    return Response(view.whole(done.pipeline), headers=headers)


HANDLERS: list[HTTPRouteHandler] = [
    list_pipelines,
    get_pipeline,
    get_pipeline_by_name,
    list_versions,
    get_version,
    create_pipeline,
    put_pipeline,
    patch_pipeline,
    patch_pipeline_by_name,
    delete_pipeline,
    delete_pipeline_by_name,
    delete_pipeline_async,
    restore_pipeline,
]
