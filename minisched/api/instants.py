"""Our own view of schedules: what came of their instants and why, those to come, and those to make up for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter, RawBody

from minisched.acting import nothing_was_done
from minisched.api.access import OPERATE, READ
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.parameters import LARGEST_MS
from minisched.api.openapi import Body, operation
from minisched.api.own_answers import BackfillAnswer, PreviewAnswer, SimulationAnswer, TicksAnswer, WhyAnswer
from minisched.api.representation import without_nulls
from minisched.api.run_summary import run_summary
from minisched.api.runs import MINISCHED_PATH
from minisched.api.schemas import BackfillOptions, parse
from minisched.domain.errors import InvalidInput
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.pipeline import Document
from minisched.domain.schedule import ClockChange
from minisched.domain.tick import Tick
from minisched.operations.instants import Instants
from minisched.operations.simulation import SimulatedPipeline, Simulation, Simulations

SCHEDULED_PATH = f"{MINISCHED_PATH}/pipelines"

_MOST_ENTRIES = 1000
_SHOWN_INSTANTS = 200

Pipeline = Annotated[
    str, PathParameter(name="pipeline", description="Id, FQN or name of a deployed pipeline, percent-encoded.")
]


@get(
    "/pipelines/{pipeline:str}/ticks",
    sync_to_thread=True,
    summary="List what became of the instants of a schedule",
    opt=READ,
    operation_class=operation({200: TicksAnswer}),
)
def list_ticks(
    pipeline: Pipeline,
    instants: NamedDependency[Instants],
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_ENTRIES)] = 50,
    before: Annotated[int | None, QueryParameter(ge=0, le=LARGEST_MS, description="`next` of the page before.")] = None,
) -> Response[Document]:
    """Newest first; one entry may tell of several alike instants that follow each other. `paging.next` is the `before`
    of the next page."""
    found = instants.ticks(decoded(pipeline), limit=limit, before=None if before is None else from_ms(before))
    following = to_ms(found[-1].scheduled_for) if len(found) == limit else None
    return Response({"data": [_tick(tick) for tick in found], "paging": without_nulls(next=following)})


@get(
    "/pipelines/{pipeline:str}/why",
    sync_to_thread=True,
    summary="Say why a pipeline ran or did not",
    opt=READ,
    operation_class=operation({200: WhyAnswer}),
)
def explain_instant(
    pipeline: Pipeline,
    instants: NamedDependency[Instants],
    at: Annotated[
        str | None,
        QueryParameter(description="ISO 8601, in the pipeline's zone unless it has an offset; default: the last one."),
    ] = None,
) -> Response[Document]:
    """In a sentence, with what it rests on."""
    answer = instants.why(decoded(pipeline), at)
    return Response(
        without_nulls(
            pipelineId=answer.pipeline_id,
            at=to_ms(answer.asked),
            timezone=answer.timezone,
            verdict=answer.why.verdict,
            sentence=answer.why.sentence,
            before=_ms(answer.before),
            after=_ms(answer.after),
            tick=_tick(answer.tick) if answer.tick else None,
            run=run_summary(answer.run) if answer.run else None,
        )
    )


@get(
    "/pipelines/{pipeline:str}/schedule",
    sync_to_thread=True,
    summary="Preview the next instants of a schedule",
    opt=READ,
    operation_class=operation({200: PreviewAnswer}),
)
def preview_schedule(
    pipeline: Pipeline,
    instants: NamedDependency[Instants],
    count: Annotated[int, QueryParameter(ge=1, le=_MOST_ENTRIES)] = 10,
) -> Response[Document]:
    """In UTC and in its zone, with what changes of clocks have to do with them."""
    preview = instants.preview(decoded(pipeline), count=count)
    zone = ZoneInfo(preview.timezone)
    data = [{**_moment(upcoming.at, zone), **without_nulls(remark=upcoming.remark)} for upcoming in preview.instants]
    shown = without_nulls(
        pipelineId=preview.pipeline_id, schedule=preview.cron, timezone=preview.timezone, enabled=preview.enabled
    )
    return Response({**shown, "data": data})


@post(
    "/pipelines/{pipeline:str}/backfill",
    sync_to_thread=True,
    status_code=200,
    summary="Make up for the instants of a past interval",
    opt=OPERATE,
    operation_class=operation(
        {200: BackfillAnswer},
        takes=Body(BackfillOptions, example={"from": "2026-03-01T00:00", "to": "2026-03-02T00:00", "dryRun": True}),
    ),
)
def backfill(
    pipeline: Pipeline, body: RawBody, instants: NamedDependency[Instants], user: NamedDependency[str]
) -> Response[Document]:
    """Queues a run for each instant from `from` on and before `to` that has none, oldest first, behind all others.
    Asking again makes no second run."""
    asked = parse(BackfillOptions, body)
    if asked.dryRun:
        nothing_was_done()
    done = instants.backfill(
        decoded(pipeline), since=asked.from_, until=asked.to, dry_run=asked.dryRun, requested_by=user
    )
    queued = [without_nulls(scheduledFor=to_ms(instant), runId=run_id) for instant, run_id in done.queued]
    known = [{"scheduledFor": to_ms(instant), "runId": run_id} for instant, run_id in done.known]
    return Response({"dryRun": asked.dryRun, "queued": queued, "known": known})


@get(
    "/schedule/simulation",
    sync_to_thread=True,
    summary="Simulate all schedules over an interval",
    opt=READ,
    operation_class=operation({200: SimulationAnswer}),
)
def simulate_schedules(
    simulations: NamedDependency[Simulations],
    since: Annotated[str, QueryParameter(name="from", description="ISO 8601, UTC unless it has an offset.")],
    until: Annotated[str, QueryParameter(name="to", description="ISO 8601, UTC unless it has an offset.")],
    assumed_s: Annotated[
        float, QueryParameter(name="assumedS", ge=0, le=86400, description="Seconds of runs of unknown length.")
    ] = 300.0,
) -> Response[Document]:
    """Instants of the enabled pipelines, when most of them fire, how many runs would be running at once, and local
    times that clocks skip or repeat. Of each pipeline the first 200 instants are listed."""
    done = simulations.simulate(_instant(since, "from"), _instant(until, "to"), assumed_s=assumed_s)
    return Response(_simulation(done))


# --- parts ------------------------------------------------------------------------------------------------------------


def _instant(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("is not a time", field=field, hint="Write it as 2026-03-29T02:30.") from None


def _tick(tick: Tick) -> Document:
    return without_nulls(
        scheduledFor=to_ms(tick.scheduled_for),
        through=to_ms(tick.through),
        instants=tick.instants,
        decision=tick.decision.value,
        decidedAt=to_ms(tick.decided_at),
        runId=tick.run_id,
        reason=tick.reason and tick.reason.value,
        remark=tick.remark,
    )


def _moment(at: datetime, zone: ZoneInfo) -> Document:
    return {"at": to_ms(at), "utc": at.isoformat(), "local": at.astimezone(zone).isoformat()}


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _simulation(done: Simulation) -> Document:
    return without_nulls(
        **{"from": to_ms(done.since)},
        to=to_ms(done.until),
        instants=done.instants,
        busiest=done.busiest and {"at": to_ms(done.busiest[0]), "pipelines": done.busiest[1]},
        peak=done.peak and {"at": to_ms(done.peak[0]), "runs": done.peak[1]},
        pipelines=[_simulated(pipeline) for pipeline in done.pipelines],
    )


def _simulated(pipeline: SimulatedPipeline) -> Document:
    return {
        "pipelineId": pipeline.pipeline_id,
        "fullyQualifiedName": pipeline.fqn,
        "schedule": pipeline.cron,
        "timezone": pipeline.timezone,
        "instants": len(pipeline.instants),
        "durationS": round(pipeline.duration_s, 3),
        "data": [to_ms(instant) for instant in pipeline.instants[:_SHOWN_INSTANTS]],
        "clockChanges": [_change(change) for change in pipeline.changes],
    }


def _change(change: ClockChange) -> Document:
    """Local times, as the wall clock shows them."""
    kinds = {"madeUp": change.made_up, "lost": change.lost, "once": change.once, "doubled": change.doubled}
    shown = {name: [local.isoformat() for local in locals_] for name, locals_ in kinds.items() if locals_}
    return {"at": to_ms(change.at), **shown}


_HANDLERS: list[HTTPRouteHandler] = [list_ticks, explain_instant, preview_schedule, backfill, simulate_schedules]


def schedules_router() -> Router:
    return Router(path=MINISCHED_PATH, route_handlers=_HANDLERS, tags=["Schedules"])
