"""The pipelines themselves: list, read, create and change them (contract §3.2-§3.7)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from litestar import Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter, RawBody

from minisched.acting import nothing_was_done
from minisched.api import patches
from minisched.api.access import CHANGE, DECLARE, READ
from minisched.api.answers import PipelineAnswer, PipelinesAnswer, VersionsAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.list_query import MAX_LIMIT, AgentType, ListRequest
from minisched.api.ingestion_pipelines.parameters import Fields, Fqn, Include, PipelineId
from minisched.api.openapi import EMPTY, Body, operation
from minisched.api.preconditions import IfMatch, IfNoneMatch, is_known, required
from minisched.api.representation import EntityView, requested_fields
from minisched.api.schemas import CreateIngestionPipeline, JsonPatch, PatchedIngestionPipeline, check, parse
from minisched.domain.access import Permission, Principal
from minisched.domain.errors import NotFound
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.pipelines import Pipelines
from minisched.operations.statuses import Statuses
from minisched.ports import PipelinePage

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


@get("/", sync_to_thread=True, summary="List pipelines", opt=READ, operation_class=operation({200: PipelinesAnswer}))
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


@get(
    "/{pipeline_id:str}",
    sync_to_thread=True,
    summary="Get a pipeline by id",
    opt=READ,
    operation_class=operation({200: PipelineAnswer, 304: EMPTY}),
)
def get_pipeline(
    pipeline_id: PipelineId,
    pipelines: NamedDependency[Pipelines],
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    fields: Fields = None,
    include: FromQuery[Include] = "non-deleted",
    if_none_match: IfNoneMatch = None,
) -> Response[Document]:
    """The entity, its secrets masked."""
    wanted = requested_fields(fields)
    return _one(pipelines.get(decoded(pipeline_id), include=include), wanted, statuses, view, if_none_match)


@get(
    "/name/{fqn:str}",
    sync_to_thread=True,
    summary="Get a pipeline by its fully qualified name",
    opt=READ,
    operation_class=operation({200: PipelineAnswer, 304: EMPTY}),
)
def get_pipeline_by_name(
    fqn: Fqn,
    pipelines: NamedDependency[Pipelines],
    statuses: NamedDependency[Statuses],
    view: NamedDependency[EntityView],
    fields: Fields = None,
    include: FromQuery[Include] = "non-deleted",
    if_none_match: IfNoneMatch = None,
) -> Response[Document]:
    """The entity, its secrets masked."""
    wanted = requested_fields(fields)
    return _one(pipelines.get_by_fqn(decoded(fqn), include=include), wanted, statuses, view, if_none_match)


@get(
    "/{pipeline_id:str}/versions",
    sync_to_thread=True,
    summary="List the versions of a pipeline",
    opt=READ,
    operation_class=operation({200: VersionsAnswer}),
)
def list_versions(
    pipeline_id: PipelineId, pipelines: NamedDependency[Pipelines], view: NamedDependency[EntityView]
) -> Response[Document]:
    """Newest first, each a JSON text."""
    return Response(view.history(pipelines.versions(decoded(pipeline_id))))


@get(
    "/{pipeline_id:str}/versions/{version:str}",
    sync_to_thread=True,
    summary="Get a version of a pipeline",
    opt=READ,
    operation_class=operation({200: PipelineAnswer}),
)
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
    opt=CHANGE,
    operation_class=operation(
        {201: PipelineAnswer}, takes=Body(CreateIngestionPipeline, example=_CREATE_EXAMPLE), errors=[409]
    ),
)
def create_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """Stores it; deploying it is a call of its own."""
    pipeline = pipelines.create(parse(CreateIngestionPipeline, body).document(), user=user)
    return Response(view.whole(pipeline), status_code=201, headers=_created(pipeline, view))


@put(
    "/",
    sync_to_thread=True,
    summary="Create a pipeline or change it",
    opt=DECLARE,
    operation_class=operation(
        {200: PipelineAnswer, 201: PipelineAnswer},
        takes=Body(CreateIngestionPipeline, example=_CREATE_EXAMPLE),
        errors=[409, 412],
    ),
)
def put_pipeline(
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    principal: NamedDependency[Principal],
    if_match: IfMatch = None,
) -> Response[Document]:
    """By fully qualified name. What is deployed is deployed anew when it changes."""
    request = parse(CreateIngestionPipeline, body).document()
    may_deploy = principal.may(Permission.CHANGE)
    done = pipelines.put(request, user=principal.name, require=required(if_match, view), may_deploy=may_deploy)
    if done.created:
        return Response(view.whole(done.pipeline), status_code=201, headers=_created(done.pipeline, view))
    if not done.changed:
        nothing_was_done()
    headers = {CHANGE_HEADER: _updated(changed=done.changed), "ETag": view.etag(done.pipeline)}
    return Response(view.whole(done.pipeline), headers=headers)


@patch(
    "/{pipeline_id:str}",
    sync_to_thread=True,
    summary="Change a pipeline",
    opt=CHANGE,
    operation_class=operation(
        {200: PipelineAnswer},
        takes=Body(JsonPatch, example=_PATCH_EXAMPLE, media_type="application/json-patch+json"),
        errors=[409, 412],
    ),
)
def patch_pipeline(
    pipeline_id: PipelineId,
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    if_match: IfMatch = None,
) -> Response[Document]:
    """A JSON patch (RFC 6902). What is deployed is deployed anew when it changes."""
    return _patched(decoded(pipeline_id), body, pipelines, view, user, if_match)


@patch(
    "/name/{fqn:str}",
    sync_to_thread=True,
    summary="Change a pipeline by its fully qualified name",
    opt=CHANGE,
    operation_class=operation(
        {200: PipelineAnswer},
        takes=Body(JsonPatch, example=_PATCH_EXAMPLE, media_type="application/json-patch+json"),
        errors=[409, 412],
    ),
)
def patch_pipeline_by_name(
    fqn: Fqn,
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
    if_match: IfMatch = None,
) -> Response[Document]:
    """A JSON patch (RFC 6902). What is deployed is deployed anew when it changes."""
    return _patched(pipelines.get_by_fqn(decoded(fqn)).id, body, pipelines, view, user, if_match)


# --- parts ------------------------------------------------------------------------------------------------------------


def _one(
    pipeline: Pipeline, fields: frozenset[str], statuses: Statuses, view: EntityView, if_none_match: str | None
) -> Response[Document]:
    etag = view.etag(pipeline)
    # What runs report is no part of the entity's state: it is always told.
    if "pipelineStatuses" not in fields and is_known(if_none_match, etag):
        return Response(None, status_code=304, headers={"ETag": etag})  # type: ignore[arg-type]
    latest = statuses.latest_of([pipeline])[pipeline.fqn] if "pipelineStatuses" in fields else None
    document = view.entity(pipeline, fields=fields, statuses=latest)
    return Response(document, headers={"ETag": etag})


def _patched(
    pipeline_id: str, body: bytes, pipelines: Pipelines, view: EntityView, user: str, if_match: str | None
) -> Response[Document]:
    operations = parse(JsonPatch, body).operations()
    require = required(if_match, view)

    def change(stored: Document) -> Document:
        require(Pipeline(stored))
        candidate = patches.apply_patch(view.with_addresses(stored), operations)
        check(PatchedIngestionPipeline, candidate)
        return candidate

    edited = pipelines.patch(pipeline_id, change, user=user)
    if not edited.changed:
        nothing_was_done()
    headers = {CHANGE_HEADER: _updated(changed=edited.changed), "ETag": view.etag(edited.pipeline)}
    return Response(view.whole(edited.pipeline), headers=headers)


def _created(pipeline: Pipeline, view: EntityView) -> dict[str, str]:
    return {"Location": view.href(pipeline.id), CHANGE_HEADER: "entityCreated", "ETag": view.etag(pipeline)}


def _updated(*, changed: bool) -> str:
    return "entityUpdated" if changed else "entityNoChange"


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
]
