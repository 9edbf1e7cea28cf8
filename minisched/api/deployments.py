"""What the local orchestrator was told to run, by whichever interface, and by which runtime it will be run.

These routes are for pipelines that have no entity here because an OpenMetadata server has it. Entities have their own.
"""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, RawBody, SkipValidation

from minisched.api.airflow_plugin.payloads import check_pipeline
from minisched.api.answers import ClientAnswer
from minisched.api.edge import decoded
from minisched.api.openapi import Body, operation
from minisched.api.own_answers import DeploymentsAnswer, TakenOverAnswer
from minisched.api.representation import client_response, without_nulls
from minisched.api.schemas import TakeOver, parse
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Deployment, Document
from minisched.operations.deployments import Deployments, TakenOver
from minisched.ports import DeploymentStore, RunOptions

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


@get(
    "/deployments",
    sync_to_thread=True,
    summary="List the deployed pipelines",
    operation_class=operation({200: DeploymentsAnswer}),
)
def list_deployments(deployments: NamedDependency[SkipValidation[DeploymentStore]]) -> Response[Document]:
    """By FQN. `checkedBy` is the version of the package whose models have checked it, absent when none has; `leftOut`
    are the paths of the fields that this version does not know, which its runs do without."""
    return Response({"data": [_shown(deployment) for deployment in deployments.all()]})


@post(
    "/deployments",
    sync_to_thread=True,
    status_code=200,
    summary="Take over a pipeline of an OpenMetadata server",
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
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def delete_deployment(deployment: Key, deployment_cases: NamedDependency[Deployments]) -> Response[Document]:
    """Ends its runs and keeps their history. An entity of that pipeline, here or elsewhere, stays as it is."""
    return Response(client_response(deployment_cases.delete(decoded(deployment))))


def _shown(deployment: Deployment) -> Document:
    return without_nulls(
        id=deployment.id,
        name=deployment.name,
        fullyQualifiedName=deployment.fqn,
        pipelineType=deployment.pipeline_type,
        service=deployment.service_fqn,
        schedule=deployment.schedule,
        enabled=deployment.enabled,
        deployedAt=to_ms(deployment.deployed_at),
        runtime=deployment.runtime,
        checkedBy=deployment.judgement.by,
        leftOut=list(deployment.judgement.left_out),
    )


def _taken_over(done: TakenOver) -> Document:
    response = done.response
    return without_nulls(
        standing=done.standing.value,
        enabled=done.enabled,
        notes=list(response.notes) if response else [],
        response=client_response(response) if response else None,
    )


HANDLERS: list[HTTPRouteHandler] = [
    list_deployments,
    take_over,
    trigger_deployment,
    enable_deployment,
    disable_deployment,
    kill_deployment,
    delete_deployment,
]
