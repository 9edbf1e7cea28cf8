"""Logs by run: sent by workflows, listed, read in pieces and followed live (contract §3.13).

Errors of these routes are `{"message": …}` without a code, but for those of the live stream, which has OpenMetadata's
usual ones before it opens and events of its own afterwards.
"""

from __future__ import annotations

import base64
import re
import time
import zlib
from collections.abc import Callable
from typing import Annotated

import anyio.to_thread
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, QueryParameter, RawBody
from litestar.response import Stream
from litestar.types import ExceptionHandlersMap

from minisched.api.access import READ, REPORT, Admission
from minisched.api.answers import LogErrorAnswer, LogPieceAnswer, MessageAnswer, RunsWithLogsAnswer
from minisched.api.edge import decoded
from minisched.api.errors import AnyRequest, translated
from minisched.api.ingestion_pipelines.parameters import Fqn, IdOrFqn, RunId
from minisched.api.log_schemas import LogBatch, log_data
from minisched.api.openapi import EMPTY, EVENTS, Body, operation
from minisched.api.representation import without_nulls
from minisched.api.streams import STREAM_HEADERS, News, Streams, data_event, stream_of
from minisched.domain.errors import InvalidInput, MinischedError
from minisched.domain.pipeline import Document
from minisched.operations.streamed_logs import CHUNK_BYTES, LogPiece, LogTail, RunPhase, StreamedLogs

# In characters, of one batch when it is unpacked; workflows send five hundred lines at most.
_LARGEST_BATCH = 4 * 1024 * 1024
_MOST_LINES = 100_000
_MOST_RUNS = 1_000
_NOT_PLAIN = re.compile(r"[^a-zA-Z0-9]")

# A live stream ends itself, so that none is followed for ever; clients come back with the cursor (contract §3.13).
_LARGEST_STREAM = 32 * 1024 * 1024
_LONGEST_S = 3600.0
_IDLE_S = 300.0
# How long the last lines of a run may take that somebody else executed, and the first ones of one nobody knows.
_ENDED_GRACE_S = 10.0
_UNKNOWN_GRACE_S = 60.0

_ENDS = {
    "runFinished": None,
    "maxBytes": "The log is too long for one stream. Download it to see the rest.",
    "maxDuration": "The stream is too old. Come back with the last cursor.",
    "idleTimeout": "The run has written nothing for long. Come back with the last cursor.",
}


def _without_code(request: AnyRequest, error: MinischedError) -> Response[Document]:
    answer = translated(request, error)
    answer.content = {"message": answer.content["message"]}
    return answer


_LOG_ERRORS: ExceptionHandlersMap = {MinischedError: _without_code}


@post(
    "/logs/{fqn:str}/{run_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Send a part of the log of a run",
    opt=REPORT,
    operation_class=operation(
        {200: EMPTY},
        takes=Body(LogBatch | str, example={"logs": "a line\n", "connectorId": "host-1", "lineCount": 1}),
        error=LogErrorAnswer,
    ),
    exception_handlers=_LOG_ERRORS,
)
def post_logs(fqn: Fqn, run_id: RunId, body: RawBody, streamed_logs: NamedDependency[StreamedLogs]) -> Response[bytes]:
    """A JSON string, or a batch, which may be packed by gzip. Of a run of ours nothing is kept: its log is here."""
    sent = log_data(body)
    text = sent if isinstance(sent, str) else _text_of(sent)
    if len(text) > _LARGEST_BATCH:
        raise InvalidInput(f"holds more than {_LARGEST_BATCH} characters", field="logs")
    streamed_logs.append(decoded(fqn), decoded(run_id), text)
    session = f"{_NOT_PLAIN.sub('_', decoded(fqn))[:512]}_{decoded(run_id)}"
    headers = {"Set-Cookie": f"PIPELINE_SESSION={session}; Path=/; Max-Age=86400"}
    return Response(b"", media_type=MediaType.TEXT, headers=headers)


def _text_of(batch: LogBatch) -> str:
    text = _unpacked(batch.logs) if batch.compressed else batch.logs
    return f"[{batch.connectorId}] {text}" if batch.connectorId and text else text


def _unpacked(packed: str) -> str:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = unpacker.decompress(base64.b64decode(packed, validate=True), _LARGEST_BATCH + 1)
    except (ValueError, zlib.error):
        data = b""
    if not unpacker.eof and len(data) <= _LARGEST_BATCH:
        raise InvalidInput("is not gzip in base64", field="logs")
    return data.decode("utf-8", "replace")


@post(
    "/logs/{fqn:str}/{run_id:str}/close",
    sync_to_thread=True,
    status_code=200,
    summary="Say that the log of a run is complete",
    exception_handlers=_LOG_ERRORS,
    opt=REPORT,
    operation_class=operation({200: MessageAnswer}, error=LogErrorAnswer),
)
def close_logs(fqn: Fqn, run_id: RunId, streamed_logs: NamedDependency[StreamedLogs]) -> Response[Document]:
    """May be repeated. Whoever follows the log is told that it has ended."""
    streamed_logs.close(decoded(fqn), decoded(run_id))
    return Response({"message": "Log stream closed successfully"})


@get(
    "/logs/{fqn:str}/{run_id:str}",
    sync_to_thread=True,
    summary="Read the log of a run in pieces",
    exception_handlers=_LOG_ERRORS,
    opt=READ,
    operation_class=operation({200: LogPieceAnswer}, error=LogErrorAnswer),
)
def read_logs(
    fqn: Fqn,
    run_id: RunId,
    streamed_logs: NamedDependency[StreamedLogs],
    after: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_LINES, description="In lines.")] = 1000,
) -> Response[Document]:
    """Lines after a cursor; `after` leads to the next ones, if there are any now. `total` is the size in bytes."""
    return Response(log_page(streamed_logs.page(decoded(fqn), decoded(run_id), after or None, lines=limit)))


@get(
    "/logs/{fqn:str}",
    sync_to_thread=True,
    summary="List the runs that have a log",
    exception_handlers=_LOG_ERRORS,
    opt=READ,
    operation_class=operation({200: RunsWithLogsAnswer}, error=LogErrorAnswer),
)
def list_runs_with_logs(
    fqn: Fqn,
    streamed_logs: NamedDependency[StreamedLogs],
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_RUNS)] = 10,
) -> Response[Document]:
    """Their ids, newest first."""
    return Response({"runs": streamed_logs.run_ids(decoded(fqn), limit)})


@get(
    "/logs/{pipeline:str}/stream/{run_id:str}",
    media_type="text/event-stream",
    summary="Follow the log of a run",
    opt=READ,
    operation_class=operation({200: EVENTS}),
)
async def stream_logs(
    pipeline: IdOrFqn,
    run_id: RunId,
    streamed_logs: NamedDependency[StreamedLogs],
    streams: NamedDependency[Streams],
    admission: NamedDependency[Admission],
    after: FromQuery[str | None] = None,
) -> Stream:
    """Server-sent events, each a LogStreamEvent; a `complete` one is the last. `after` continues an earlier stream."""
    key, run = decoded(pipeline), decoded(run_id)
    tail = await anyio.to_thread.run_sync(streamed_logs.tail, key, run, limiter=streams.threads)
    if after:
        tail.check(after)
    watch = _Watch(lambda: streamed_logs.tail(key, run), tail, run, after or None)
    look = admission.lasting(watch.refuse if streams.is_full else watch.look)
    return Stream(stream_of(streams, look, name="logs"), media_type="text/event-stream", headers=STREAM_HEADERS)


class _Watch:
    """One client that follows one log."""

    def __init__(self, find: Callable[[], LogTail], tail: LogTail, run_id: str, cursor: str | None) -> None:
        self._find = find
        self._tail = tail
        self._run_id = run_id
        self._cursor = cursor
        self._sent = 0
        self._began_at = self._heard_at = time.monotonic()

    def refuse(self) -> News:
        event = {"eventType": "error", "runId": self._run_id, "message": "Too many streams are open. Come back later."}
        return News([data_event(event)], ended=True)

    def look(self) -> News:
        phase = self._tail.phase()
        piece = self._tail.read(self._cursor, CHUNK_BYTES, complete=phase is RunPhase.COMPLETE)
        self._cursor = piece.cursor
        if piece.text:
            self._sent += len(piece.text)
            self._heard_at = time.monotonic()
        elif phase is RunPhase.UNKNOWN and piece.cursor == "0":
            self._tail = self._find()  # its workflow may have begun to send it
        events = [self._event("logs", logs=piece.text, replay=False, truncated=False)] if piece.text else []
        if (reason := self._end(phase, piece)) is not None:
            events.append(self._event("complete", reason=reason, message=_ENDS[reason]))
        return News(events, ended=reason is not None)

    def _end(self, phase: RunPhase, piece: LogPiece) -> str | None:
        now = time.monotonic()
        if self._sent >= _LARGEST_STREAM:
            return "maxBytes"
        if now - self._began_at >= _LONGEST_S:
            return "maxDuration"
        if now - self._heard_at >= _IDLE_S:
            return "idleTimeout"
        grace_s = {
            RunPhase.GOING_ON: None,
            RunPhase.ENDED: _ENDED_GRACE_S,
            RunPhase.COMPLETE: 0.0,
            RunPhase.UNKNOWN: _UNKNOWN_GRACE_S,
        }[phase]
        over = grace_s is not None and not (piece.text or piece.more) and now - self._heard_at >= grace_s
        return "runFinished" if over else None

    def _event(self, kind: str, **members: object) -> bytes:
        return data_event(without_nulls(eventType=kind, runId=self._run_id, after=self._cursor, **members))


def log_page(piece: LogPiece) -> Document:
    return {"logs": piece.text, **without_nulls(after=piece.cursor if piece.more else None), "total": piece.total}


HANDLERS: list[HTTPRouteHandler] = [post_logs, close_logs, read_logs, list_runs_with_logs, stream_logs]
