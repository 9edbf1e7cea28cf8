"""What is done with a pipeline: deploy, trigger, toggle, kill; how the orchestrator is (contract §3.8-§3.10, §3.15)."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, QueryParameter, RawBody

from minisched.api.access import CHANGE, OPERATE, READ, require
from minisched.api.answers import ClientAnswer, HostIpAnswer, PipelineAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.parameters import PipelineId
from minisched.api.openapi import Body, operation
from minisched.api.representation import EntityView, client_response
from minisched.api.schemas import PipelineIds, RunForEntity, TriggerOptions, parse
from minisched.domain.access import Permission, Principal
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.operations.entity_runs import EntityRuns
from minisched.operations.lifecycle import Lifecycle
from minisched.ports import RunOptions

_LONGEST_KEY = 256

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Chosen by the caller for one intention and sent again with every attempt at it.",
    ),
]


@post(
    "/deploy/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Deploy a pipeline",
    opt=CHANGE,
    operation_class=operation({200: ClientAnswer}, errors=[409]),
)
def deploy_pipeline(
    pipeline_id: PipelineId,
    lifecycle: NamedDependency[Lifecycle],
    user: NamedDependency[str],
    idempotency_key: IdempotencyKey = None,
) -> Response[Document]:
    """Durable and triggerable when it answers with code 200. May be repeated, with a key or without one: what is
    deployed already stays as it is."""
    _check_key(idempotency_key)
    return Response(client_response(lifecycle.deploy(decoded(pipeline_id), user=user)))


@post(
    "/bulk/deploy",
    sync_to_thread=True,
    status_code=200,
    summary="Deploy several pipelines",
    opt=CHANGE,
    operation_class=operation(
        {200: list[ClientAnswer]}, takes=Body(PipelineIds, example=["9e555cea-6a5a-4fe5-a9ad-4ff65efc8289"])
    ),
)
def deploy_pipelines(
    body: RawBody, lifecycle: NamedDependency[Lifecycle], user: NamedDependency[str]
) -> Response[list[Document]]:
    """One answer per id, in order; one that fails stops nothing."""
    answers = lifecycle.deploy_many(parse(PipelineIds, body).root, user=user)
    return Response([client_response(answer) for answer in answers])


@post(
    "/trigger/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Trigger a run",
    opt=OPERATE,
    operation_class=operation(
        {200: ClientAnswer},
        takes=Body(TriggerOptions, example={"sourceConfigOverride": {"includeViews": False}}, required=False),
        errors=[409],
    ),
)
def trigger_pipeline(
    pipeline_id: PipelineId,
    body: RawBody,
    lifecycle: NamedDependency[Lifecycle],
    principal: NamedDependency[Principal],
    idempotency_key: IdempotencyKey = None,
) -> Response[Document]:
    """Queues one run, enabled or not; `runId` names it. The body, if any, holds for this run only, and is for those who
    may change the pipeline. A key that was used for this pipeline answers with the run that it made."""
    _check_key(idempotency_key)
    asked = parse(TriggerOptions, body) if body.strip() else TriggerOptions()
    if asked.appConfigOverride or asked.sourceConfigOverride:
        require(principal, Permission.CHANGE)
    options = RunOptions(
        app_config_override=asked.appConfigOverride,
        source_config_override=asked.sourceConfigOverride,
        requested_by=principal.name,
        idempotency_key=idempotency_key,
    )
    return Response(client_response(lifecycle.trigger(decoded(pipeline_id), options)))


@post(
    "/run",
    sync_to_thread=True,
    status_code=200,
    summary="Trigger a run for one entity",
    opt=OPERATE,
    operation_class=operation(
        {200: ClientAnswer},
        takes=Body(
            RunForEntity, example={"entityLink": "<#E::table::mysql.shop.public.orders>", "pipelineType": "profiler"}
        ),
        errors=[409],
    ),
)
def run_for_entity(
    body: RawBody, entity_runs: NamedDependency[EntityRuns], user: NamedDependency[str]
) -> Response[Document]:
    """A table or a test case, by the enabled and deployed pipeline that owns it, narrowed to it for this run only."""
    asked = parse(RunForEntity, body)
    return Response(client_response(entity_runs.run(asked.entityLink, asked.pipelineType, user=user)))


@post(
    "/toggleIngestion/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Enable or disable a pipeline",
    opt=OPERATE,
    operation_class=operation({200: PipelineAnswer}, errors=[409]),
)
def toggle_ingestion(
    pipeline_id: PipelineId,
    lifecycle: NamedDependency[Lifecycle],
    view: NamedDependency[EntityView],
    user: NamedDependency[str],
) -> Response[Document]:
    """The schedule fires or not; running runs go on. Answers with the entity."""
    return Response(view.whole(lifecycle.toggle(decoded(pipeline_id), user=user)))


@post(
    "/kill/{pipeline_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="End the runs of a pipeline",
    opt=OPERATE,
    operation_class=operation({200: ClientAnswer}),
)
def kill_ingestion(
    pipeline_id: PipelineId,
    lifecycle: NamedDependency[Lifecycle],
    user: NamedDependency[str],
    run_id: Annotated[str | None, QueryParameter(name="runId", description="Only this run.")] = None,
) -> Response[Document]:
    """Ends all queued and running runs, or one; when it answers, none of their processes is left."""
    return Response(client_response(lifecycle.kill(decoded(pipeline_id), user=user, run_id=run_id)))


@get(
    "/ip",
    sync_to_thread=True,
    summary="Get the address from which workflows connect",
    opt=READ,
    operation_class=operation({200: HostIpAnswer}),
)
def host_ip(lifecycle: NamedDependency[Lifecycle]) -> Response[Document]:
    """For the firewalls of sources; a sentence when it is not known."""
    return Response({"ip": lifecycle.host_ip()})


@get(
    "/status",
    sync_to_thread=True,
    summary="Get the state of the orchestrator",
    opt=READ,
    operation_class=operation({200: ClientAnswer}),
)
def service_status(lifecycle: NamedDependency[Lifecycle]) -> Response[Document]:
    """Code 200 when it can run pipelines, else 500 with the reason; the HTTP status is 200."""
    return Response(client_response(lifecycle.service_status()))


def _check_key(key: str | None) -> None:
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidInput(f"must have 1 to {_LONGEST_KEY} characters", field="Idempotency-Key")


HANDLERS: list[HTTPRouteHandler] = [
    deploy_pipeline,
    deploy_pipelines,
    trigger_pipeline,
    run_for_entity,
    toggle_ingestion,
    kill_ingestion,
    host_ip,
    service_status,
]
