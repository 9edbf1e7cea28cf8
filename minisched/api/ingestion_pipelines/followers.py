"""Who follows a pipeline (contract §3.1 rows 22-23)."""

from __future__ import annotations

import time
from typing import Annotated

from litestar import Response, delete, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, RawBody

from minisched.api.access import OPERATE
from minisched.api.answers import EventAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.entities import CHANGE_HEADER
from minisched.api.ingestion_pipelines.parameters import PipelineId
from minisched.api.openapi import Body, operation
from minisched.api.representation import EntityView
from minisched.api.schemas import UserId, parse
from minisched.domain.errors import NotFound
from minisched.domain.pipeline import Document
from minisched.operations.editing import is_uuid
from minisched.operations.pipelines import FollowerChange, Pipelines


@put(
    "/{pipeline_id:str}/followers",
    sync_to_thread=True,
    summary="Follow a pipeline",
    opt=OPERATE,
    operation_class=operation(
        {200: EventAnswer}, takes=Body(UserId, example="e4b4bf36-4be6-41be-a551-b9b8d3fd9f54"), errors=[409]
    ),
)
def add_follower(
    pipeline_id: PipelineId,
    body: RawBody,
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """The body is the id of a user. Makes no version; answers with a ChangeEvent."""
    change = pipelines.follow(decoded(pipeline_id), parse(UserId, body).root)
    return _answer(change, view, user)


@delete(
    "/{pipeline_id:str}/followers/{user_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Cease to follow",
    opt=OPERATE,
    operation_class=operation({200: EventAnswer}, errors=[409]),
)
def remove_follower(
    pipeline_id: PipelineId,
    user_id: Annotated[str, PathParameter(name="user_id", description="The user's id, a UUID.")],
    pipelines: NamedDependency[Pipelines],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """Makes no version; answers with a ChangeEvent."""
    follower = decoded(user_id)
    if not is_uuid(follower):
        raise NotFound(f"user instance for {follower[:100]} not found")
    return _answer(pipelines.unfollow(decoded(pipeline_id), follower.lower()), view, user)


def _answer(change: FollowerChange, view: EntityView, user: str) -> Response[Document]:
    event = view.follower_event(change, user=user, at_ms=time.time_ns() // 1_000_000)
    return Response(event, headers={CHANGE_HEADER: "entityFieldsChanged"})


HANDLERS: list[HTTPRouteHandler] = [add_follower, remove_follower]
