"""All use cases over one set of ports, for whoever composes a server."""

from __future__ import annotations

from dataclasses import dataclass

from minisched.operations.deployments import Deployments
from minisched.operations.editing import PipelineEditor
from minisched.operations.entity_runs import EntityRuns
from minisched.operations.instants import Instants
from minisched.operations.lifecycle import Lifecycle
from minisched.operations.moving import Moves
from minisched.operations.pipeline_logs import PipelineLogs
from minisched.operations.pipelines import Pipelines, ValidateSchedule
from minisched.operations.progress import Progress
from minisched.operations.reconciling import Reconciliation
from minisched.operations.runs import Runs
from minisched.operations.service_pipelines import ServicePipelines
from minisched.operations.simulation import Simulations
from minisched.operations.statuses import Statuses
from minisched.operations.streamed_logs import StreamedLogs
from minisched.ports import (
    BackfillQueue,
    Clock,
    DeploymentStore,
    EntityDirectory,
    Executor,
    PipelineMover,
    PipelineServiceClient,
    PipelineStatusStore,
    PipelineStore,
    PlacementStore,
    ReceivedLogs,
    RunLogs,
    RunStore,
    ScheduleStore,
    TickHistory,
)


@dataclass(frozen=True, slots=True)
class UseCases:
    pipelines: Pipelines
    service_pipelines: ServicePipelines
    lifecycle: Lifecycle
    deployments: Deployments
    entity_runs: EntityRuns
    statuses: Statuses
    pipeline_logs: PipelineLogs
    streamed_logs: StreamedLogs
    progress: Progress
    runs: Runs
    reconciliation: Reconciliation
    instants: Instants
    simulations: Simulations
    moves: Moves


def use_cases(
    *,
    pipelines: PipelineStore,
    statuses: PipelineStatusStore,
    deployments: DeploymentStore,
    runs: RunStore,
    schedules: ScheduleStore,
    history: TickHistory,
    backfills: BackfillQueue,
    logs: RunLogs,
    received_logs: ReceivedLogs,
    executor: Executor,
    client: PipelineServiceClient,
    mover: PipelineMover,
    placements: PlacementStore,
    directory: EntityDirectory,
    clock: Clock,
    validate_schedule: ValidateSchedule,
) -> UseCases:
    """They share one editor, so that changes of a pipeline wait for each other whatever asks for them."""
    editor = PipelineEditor(store=pipelines, client=client, clock=clock)
    run_cases = Runs(runs=runs, logs=logs, executor=executor, pipelines=pipelines, deployments=deployments, clock=clock)
    status_cases = Statuses(editor=editor, store=statuses, runs=runs, client=client, clock=clock)
    lifecycle = Lifecycle(editor=editor, client=client, statuses=status_cases)
    pipeline_cases = Pipelines(
        store=pipelines,
        editor=editor,
        directory=directory,
        client=client,
        received_logs=received_logs,
        validate_schedule=validate_schedule,
    )
    return UseCases(
        pipelines=pipeline_cases,
        service_pipelines=ServicePipelines(store=pipelines, pipelines=pipeline_cases),
        lifecycle=lifecycle,
        deployments=Deployments(
            store=deployments, pipelines=pipelines, runs=run_cases, client=client, validate_schedule=validate_schedule
        ),
        entity_runs=EntityRuns(store=pipelines, directory=directory, lifecycle=lifecycle),
        statuses=status_cases,
        pipeline_logs=PipelineLogs(editor=editor, client=client, mover=mover, runs=runs),
        progress=Progress(editor=editor, runs=runs, clock=clock),
        reconciliation=Reconciliation(
            editor=editor, pipelines=pipelines, deployments=deployments, client=client, mover=mover
        ),
        streamed_logs=StreamedLogs(
            editor=editor, runs=run_cases, received=received_logs, statuses=statuses, client=client
        ),
        runs=run_cases,
        instants=Instants(
            runs=run_cases,
            run_store=runs,
            deployments=deployments,
            schedules=schedules,
            history=history,
            backfills=backfills,
            clock=clock,
        ),
        simulations=Simulations(deployments=deployments, schedules=schedules, history=history),
        moves=Moves(
            editor=editor,
            pipelines=pipelines,
            deployments=deployments,
            placements=placements,
            mover=mover,
            clock=clock,
        ),
    )
