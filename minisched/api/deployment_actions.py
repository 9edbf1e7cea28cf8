"""What is done with deployed pipelines that have no entity here, because an OpenMetadata server has it."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, RawBody

from minisched.api.access import CHANGE, OPERATE
from minisched.api.airflow_plugin.payloads import check_pipeline
from minisched.api.answers import ClientAnswer
from minisched.api.edge import decoded
from minisched.api.openapi import Body, operation
from minisched.api.own_answers import TakenOverAnswer
from minisched.api.representation import client_response, without_nulls
from minisched.api.schemas import TakeOver, parse
from minisched.domain.pipeline import Document
from minisched.operations.deployments import Deployments, TakenOver
from minisched.ports import RunOptions

Key = Annotated[
    str, PathParameter(name="deployment", description="Id, FQN or name of a deployed pipeline, percent-encoded.")
]
_EXAMPLE: Document = {
    "pipeline": {
        "id": "9e555cea-6a5a-4fe5-a9ad-4ff65efc8289",
        "name": "mysql_metadata",
        "fullyQualifiedName": "mysql.mysql_metadata",
        "pipelineType": "metadata",
        "service": {"id": "891b373d-a253-4639-ad54-fc17491a7d5d", "type": "databaseService", "name": "mysql"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "airflowConfig": {"scheduleInterval": "0 2 * * *"},
    },
    "enabled": False,
}


@post(
    "/deployments",
    sync_to_thread=True,
    status_code=200,
    summary="Take over a pipeline of an OpenMetadata server",
    opt=CHANGE,
    operation_class=operation({200: TakenOverAnswer}, takes=Body(TakeOver, example=_EXAMPLE), errors=[409]),
)
def take_over(body: RawBody, deployment_cases: NamedDependency[Deployments]) -> Response[Document]:
    """Deploys the whole IngestionPipeline as its server would deploy it to Airflow's plugin. May be repeated; a
    document that is older than the one deployed changes nothing. Without `enabled` a new one is disabled and a known
    one stays as it is."""
    asked = parse(TakeOver, body)
    check_pipeline(asked.pipeline)
    act = deployment_cases.plan if asked.dryRun else deployment_cases.take_over
    return Response(_taken_over(act(asked.pipeline, enabled=asked.enabled, runtime=asked.runtime)))


@post(
    "/deployments/{deployment:str}/trigger",
    sync_to_thread=True,
    status_code=200,
    summary="Trigger a run of a deployed pipeline",
    opt=OPERATE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def trigger_deployment(
    deployment: Key, deployment_cases: NamedDependency[Deployments], user: NamedDependency[str]
) -> Response[Document]:
    """Queues one run, enabled or not; `runId` names it."""
    return Response(client_response(deployment_cases.trigger(decoded(deployment), RunOptions(requested_by=user))))


@post(
    "/deployments/{deployment:str}/enable",
    sync_to_thread=True,
    status_code=200,
    summary="Let the schedule of a deployed pipeline fire",
    opt=OPERATE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def enable_deployment(deployment: Key, deployment_cases: NamedDependency[Deployments]) -> Response[Document]:
    """May be repeated."""
    return Response(client_response(deployment_cases.enable(decoded(deployment), enabled=True)))


@post(
    "/deployments/{deployment:str}/disable",
    sync_to_thread=True,
    status_code=200,
    summary="Keep the schedule of a deployed pipeline from firing",
    opt=OPERATE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def disable_deployment(deployment: Key, deployment_cases: NamedDependency[Deployments]) -> Response[Document]:
    """May be repeated; runs that are running go on."""
    return Response(client_response(deployment_cases.enable(decoded(deployment), enabled=False)))


@post(
    "/deployments/{deployment:str}/kill",
    sync_to_thread=True,
    status_code=200,
    summary="End the runs of a deployed pipeline",
    opt=OPERATE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def kill_deployment(
    deployment: Key, deployment_cases: NamedDependency[Deployments], user: NamedDependency[str]
) -> Response[Document]:
    """Ends all queued and running runs; when it answers, none of their processes is left."""
    return Response(client_response(deployment_cases.kill(decoded(deployment), user=user)))


@delete(
    "/deployments/{deployment:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Forget a deployed pipeline",
    opt=CHANGE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def delete_deployment(deployment: Key, deployment_cases: NamedDependency[Deployments]) -> Response[Document]:
    """Ends its runs and keeps their history. An entity of that pipeline, here or elsewhere, stays as it is."""
    return Response(client_response(deployment_cases.delete(decoded(deployment))))


def _taken_over(done: TakenOver) -> Document:
    response = done.response
    return without_nulls(
        standing=done.standing.value,
        enabled=done.enabled,
        notes=list(response.notes) if response else [],
        response=client_response(response) if response else None,
    )


HANDLERS: list[HTTPRouteHandler] = [
    take_over,
    trigger_deployment,
    enable_deployment,
    disable_deployment,
    kill_deployment,
    delete_deployment,
]
