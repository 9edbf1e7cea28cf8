"""What the local orchestrator was told to run, by whichever interface, and by which runtime it will be run."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from minisched.api.access import READ
from minisched.api.openapi import operation
from minisched.api.own_answers import DeploymentsAnswer
from minisched.api.representation import without_nulls
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Deployment, Document
from minisched.ports import DeploymentStore


@get(
    "/deployments",
    sync_to_thread=True,
    summary="List the deployed pipelines",
    opt=READ,
    operation_class=operation({200: DeploymentsAnswer}),
)
def list_deployments(deployments: NamedDependency[SkipValidation[DeploymentStore]]) -> Response[Document]:
    """By FQN. `checkedBy` is the version of the package whose models have checked it, absent when none has; `leftOut`
    are the paths of the fields that this version does not know, which its runs do without."""
    return Response({"data": [_shown(deployment) for deployment in deployments.all()]})


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
