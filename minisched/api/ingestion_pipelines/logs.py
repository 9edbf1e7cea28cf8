"""The log of the latest run, by page and whole (contract §3.12)."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from minisched.api.access import READ
from minisched.api.answers import LastLogAnswer
from minisched.api.edge import decoded
from minisched.api.ingestion_pipelines.parameters import IdOrFqn
from minisched.api.openapi import Content, operation
from minisched.api.representation import without_nulls
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document, clean_name, task_id
from minisched.operations.pipeline_logs import PipelineLogs
from minisched.operations.streamed_logs import StreamedLogs

_MOST_DIGITS = 9
_MOST_LINES = 100_000


@get(
    "/logs/{pipeline:str}/last",
    sync_to_thread=True,
    summary="Read the log of the latest run by page",
    opt=READ,
    operation_class=operation({200: LastLogAnswer}),
)
def last_log_page(
    pipeline: IdOrFqn,
    pipeline_logs: NamedDependency[PipelineLogs],
    streamed_logs: NamedDependency[StreamedLogs],
    after: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_LINES, description="In lines, of a log that was sent.")] = 1000,
    run_id: Annotated[str | None, QueryParameter(name="runId", description="Another run than the latest.")] = None,
) -> Response[Document]:
    """The text under the task's name, the number of pages, and the next page unless this is the last.

    When the workflow of the latest run ran elsewhere and sent its log here, `after` and `total` count bytes.
    """
    if run_id is None and (received := streamed_logs.last_received(decoded(pipeline))) is not None:
        piece = received.tail.page(after or None, limit)
        following = piece.cursor if piece.more else None
        task = task_id(received.pipeline.pipeline_type)
        return Response({task: piece.text} | without_nulls(total=str(piece.total), after=following))
    page = pipeline_logs.last_page(decoded(pipeline), _page_index(after), run_id=run_id)
    next_page = None if page.after is None else str(page.after)
    return Response({page.task_id: page.text} | without_nulls(total=str(page.total), after=next_page))


@get(
    "/logs/{pipeline:str}/last/download",
    sync_to_thread=True,
    summary="Download the log of the latest run",
    opt=READ,
    operation_class=operation({200: Content("application/octet-stream", "a line\n", "The log.")}),
)
def download_log(
    pipeline: IdOrFqn, pipeline_logs: NamedDependency[PipelineLogs], streamed_logs: NamedDependency[StreamedLogs]
) -> Stream:
    """The whole log; a failure on the way ends it early."""
    if (received := streamed_logs.last_received(decoded(pipeline))) is not None:
        found, pages = received.pipeline, received.whole()
    else:
        found, pages = pipeline_logs.last_whole(decoded(pipeline))
    headers = {"Content-Disposition": _attachment(found.name)}
    return Stream(pages, media_type="application/octet-stream", headers=headers)


def _page_index(after: str | None) -> int | None:
    """OpenMetadata's log viewer sends an empty cursor when it has read the last page."""
    if not after:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
        raise InvalidInput("is not a page", field="after", hint="Take it from `after` of an earlier answer.")
    return int(after)


def _attachment(name: str) -> str:
    ending = f"{time.time_ns() // 1_000_000}.txt"
    plain, full = f"ingestion_logs_{clean_name(name)}_{ending}", quote(f"ingestion_logs_{name}_{ending}", safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"


HANDLERS: list[HTTPRouteHandler] = [last_log_page, download_log]
