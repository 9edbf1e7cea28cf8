"""Our own view of runs, of what OpenMetadata has not heard yet, and of the runtimes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import MediaType, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter, RawBody, SkipValidation

from minisched.api.access import OPERATE, READ
from minisched.api.audit import list_audit
from minisched.api.deployment_actions import HANDLERS as DEPLOYMENT_ACTIONS
from minisched.api.deployments import list_deployments
from minisched.api.ingestion_pipelines.parameters import LARGEST_MS
from minisched.api.openapi import Body, Content, operation
from minisched.api.own_answers import OutboxAnswer, RunsAnswer, RuntimesAnswer, WholeRunAnswer
from minisched.api.queue import list_queue
from minisched.api.representation import shown, without_nulls
from minisched.api.run_stream import stream_log
from minisched.api.run_summary import run_summary
from minisched.api.schemas import StopOptions, parse
from minisched.domain.errors import InvalidInput
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.run import Run, RunState
from minisched.operations.progress import Progress
from minisched.operations.runs import Runs
from minisched.ports import Outbox, OutboxEntry, RuntimeHealth, RuntimeStatus

MINISCHED_PATH = "/api/v1/minisched"

_MOST_ENTRIES = 1000
_MOST_LOG_BYTES = 4 * 1024 * 1024
_LARGEST_OFFSET = 2**62


@get("/runs", sync_to_thread=True, summary="List runs", opt=READ, operation_class=operation({200: RunsAnswer}))
def list_runs(
    runs: NamedDependency[Runs],
    pipeline: Annotated[str | None, QueryParameter(description="Id, FQN or name.")] = None,
    pipeline_id: Annotated[str | None, QueryParameter(name="pipelineId", description="The same, by id.")] = None,
    states: Annotated[str | None, QueryParameter(name="state", description="Comma-separated run states.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_ENTRIES)] = 50,
    before: Annotated[int | None, QueryParameter(ge=0, le=LARGEST_MS, description="`next` of the page before.")] = None,
) -> Response[Document]:
    """Newest first; `paging.next` is the `before` of the next page."""
    found = runs.search(pipeline=pipeline or pipeline_id, states=_states(states), limit=limit, before_ms=before)
    next_before = to_ms(found[-1].enqueued_at) if len(found) == limit else None
    waiting = runs.waiting(found)
    data = [run_summary(run, waiting.get(run.id)) for run in found]
    return Response({"data": data, "paging": without_nulls(next=next_before)})


@get(
    "/runs/{run_id:str}",
    sync_to_thread=True,
    summary="Get a run",
    opt=READ,
    operation_class=operation({200: WholeRunAnswer}),
)
def get_run(
    run_id: FromPath[str], runs: NamedDependency[Runs], progress: NamedDependency[Progress]
) -> Response[Document]:
    """Everything that is known of it; `steps` are live counters while it runs."""
    run = runs.get(run_id)
    metrics = shown(progress.metrics_of(run.id))
    return Response(_whole_run(run, runs) | without_nulls(operationMetrics=metrics))


@post(
    "/runs/{run_id:str}/stop",
    sync_to_thread=True,
    summary="Stop a run",
    opt=OPERATE,
    operation_class=operation(
        {200: WholeRunAnswer, 202: WholeRunAnswer},
        takes=Body(StopOptions, example={"why": "wrong filter"}, required=False),
    ),
)
def stop_run(
    run_id: FromPath[str],
    body: RawBody,
    runs: NamedDependency[Runs],
    user: NamedDependency[str],
    wait_s: Annotated[
        float, QueryParameter(ge=0, le=300, description="How long to wait for its end, in seconds.")
    ] = 30.0,
) -> Response[Document]:
    """200 when it has ended, also earlier and on its own; 202 when the wish is noted and it is still ending."""
    asked = parse(StopOptions, body) if body.strip() else StopOptions()
    run = runs.stop(run_id, user=user, why=asked.why, wait_s=wait_s)
    return Response(_whole_run(run, runs), status_code=200 if run.is_terminal else 202)


@get(
    "/runs/{run_id:str}/log",
    sync_to_thread=True,
    media_type=MediaType.TEXT,
    summary="Read the log of a run",
    opt=READ,
    operation_class=operation({200: Content("text/plain", "a line\n", "The bytes.")}),
)
def read_log(
    run_id: FromPath[str],
    runs: NamedDependency[Runs],
    offset: Annotated[int, QueryParameter(ge=0, le=_LARGEST_OFFSET, description="In bytes.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_LOG_BYTES, description="In bytes.")] = _MOST_LOG_BYTES,
) -> Response[bytes]:
    """Bytes as they were written; `X-Minisched-Next-Offset` continues, `X-Minisched-Log-Size` is what there is.

    Of a very long log the middle is not kept: one line stands for it, and the next offset is where the log goes on.
    """
    piece = runs.read_log(run_id, offset=offset, limit=limit)
    headers = {"X-Minisched-Next-Offset": str(piece.next_offset), "X-Minisched-Log-Size": str(piece.size)}
    return Response(piece.data, media_type="text/plain; charset=utf-8", headers=headers)


@get(
    "/outbox",
    sync_to_thread=True,
    summary="List what OpenMetadata has not heard yet",
    opt=READ,
    operation_class=operation({200: OutboxAnswer}),
)
def list_outbox(
    outbox: NamedDependency[SkipValidation[Outbox]], limit: Annotated[int, QueryParameter(ge=1, le=_MOST_ENTRIES)] = 100
) -> Response[Document]:
    """Oldest first; `dead` entries are not tried again."""
    return Response({"data": [_outbox_entry(entry) for entry in outbox.pending(limit=limit)]})


@get(
    "/runtimes",
    sync_to_thread=True,
    summary="List the runtimes",
    opt=READ,
    operation_class=operation({200: RuntimesAnswer}),
)
def list_runtimes(runtimes: NamedDependency[SkipValidation[RuntimeHealth]]) -> Response[Document]:
    """Environments that run workflows, and how they are."""
    return Response({"data": [_runtime(status) for status in runtimes.statuses()]})


# --- parts ------------------------------------------------------------------------------------------------------------


def _states(text: str | None) -> list[RunState]:
    try:
        return [RunState(name.strip()) for name in text.split(",")] if text else []
    except ValueError:
        hint = f"It is one of {', '.join(RunState)}."
        raise InvalidInput("is not a run state", field="state", hint=hint) from None


def _whole_run(run: Run, runs: Runs) -> Document:
    stop = run.stop and {"at": to_ms(run.stop.at), "by": run.stop.by, "why": run.stop.why}
    process = run.process and {
        "pid": run.process.pid,
        "startTicks": run.process.start_ticks,
        "bootId": run.process.boot_id,
    }
    whole = run_summary(run, runs.waiting([run]).get(run.id)) | without_nulls(
        retries=run.retries,
        retryDelayS=run.retry_delay_s,
        maxActiveRuns=run.max_active_runs,
        timeoutS=run.timeout_s,
        waitedS=_seconds(run.enqueued_at, run.started_at or run.ended_at),
        ranS=_seconds(run.started_at, run.ended_at),
        stop=stop or None,
        process=process or None,
        overrides=run.overrides or None,
        evidence={key: value for key, value in run.evidence.items() if key != "hint"} or None,
    )
    masked: Document = shown({**whole, "steps": runs.steps(run)})
    return masked


def _outbox_entry(entry: OutboxEntry) -> Document:
    return without_nulls(
        id=entry.id,
        runId=entry.run_id,
        createdAt=to_ms(entry.created_at),
        attempts=entry.attempts,
        nextAt=to_ms(entry.next_at),
        lastError=entry.last_error,
        dead=entry.dead,
    )


def _runtime(status: RuntimeStatus) -> Document:
    return without_nulls(
        name=status.name,
        state=status.state,
        version=status.version,
        problem=status.problem,
        importS=status.import_s,
        activeRuns=status.active_runs,
        spares=status.spares,
        memoryLimits=status.memory_limits,
        watchedBecause=status.watched_because,
    )


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else round((until - since).total_seconds(), 3)


_HANDLERS: list[HTTPRouteHandler] = [
    list_runs,
    list_queue,
    get_run,
    stop_run,
    read_log,
    stream_log,
    list_outbox,
    list_runtimes,
    list_deployments,
    list_audit,
    *DEPLOYMENT_ACTIONS,
]


def minisched_router() -> Router:
    return Router(path=MINISCHED_PATH, route_handlers=_HANDLERS, tags=["Runs"])
