"""In which orchestrator pipelines are, and moving them to another one."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, RawBody

from minisched.api.access import CHANGE, READ
from minisched.api.edge import decoded
from minisched.api.openapi import Body, operation
from minisched.api.own_answers import MoveAnswer, PlacementAnswer, PlacementsAnswer
from minisched.api.representation import without_nulls
from minisched.api.runs import MINISCHED_PATH
from minisched.api.schemas import MoveOptions, parse
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.placement import Placement
from minisched.operations.moving import Moves

Pipeline = Annotated[
    str, PathParameter(name="pipeline", description="Id, FQN or name of a deployed pipeline, percent-encoded.")
]


@get(
    "/placements",
    sync_to_thread=True,
    summary="List in which orchestrator pipelines are",
    opt=READ,
    operation_class=operation({200: PlacementsAnswer}),
)
def list_placements(moves: NamedDependency[Moves]) -> Response[Document]:
    """Every deployed pipeline, by FQN."""
    return Response({"data": [_shown(placement) for placement in moves.placements()]})


@get(
    "/pipelines/{pipeline:str}/placement",
    sync_to_thread=True,
    summary="Say in which orchestrator a pipeline is",
    opt=READ,
    operation_class=operation({200: PlacementAnswer}),
)
def get_placement(pipeline: Pipeline, moves: NamedDependency[Moves]) -> Response[Document]:
    """`cameFrom` is where it was moved from. While it has `alsoIn`, a move was cut off; it is ended by itself."""
    return Response(_shown(moves.placement(decoded(pipeline))))


@post(
    "/pipelines/{pipeline:str}/move",
    sync_to_thread=True,
    status_code=200,
    summary="Move a pipeline to another orchestrator",
    opt=CHANGE,
    operation_class=operation({200: MoveAnswer}, takes=Body(MoveOptions, example={"to": "airflow"}), errors=[409]),
)
def move_pipeline(
    pipeline: Pipeline, body: RawBody, moves: NamedDependency[Moves], user: NamedDependency[str]
) -> Response[Document]:
    """Deploys it there, enabled or disabled as it is, sees that it is known there, and has it forgotten where it was.
    What fails on the way leaves it where it was. Refused while it has runs that are not over, unless by `force`."""
    asked = parse(MoveOptions, body)
    done = moves.move(
        decoded(pipeline), to=asked.to, undo=asked.undo, force=asked.force, dry_run=asked.dryRun, user=user
    )
    answer = {
        "pipelineId": done.placement.pipeline_id,
        "fullyQualifiedName": done.placement.fqn,
        "from": done.origin,
        "to": done.to,
        "verdict": done.verdict.value,
        "notes": list(done.notes),
    }
    return Response(answer)


def _shown(placement: Placement) -> Document:
    return without_nulls(
        id=placement.pipeline_id,
        name=placement.name,
        fullyQualifiedName=placement.fqn,
        pipelineType=placement.pipeline_type,
        service=placement.service_fqn,
        client=placement.client,
        since=to_ms(placement.since),
        cameFrom=placement.came_from,
        alsoIn=placement.also_in,
    )


_HANDLERS: list[HTTPRouteHandler] = [list_placements, get_placement, move_pipeline]


def placements_router() -> Router:
    return Router(path=MINISCHED_PATH, route_handlers=_HANDLERS, tags=["Orchestrators"])
