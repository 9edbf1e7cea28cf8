"""Logs by run: read in pieces, followed while they grow, and received from workflows that run elsewhere (§3.13).

A run of ours has its log here already, byte for byte: what its workflow sends of it is taken and not kept twice.
Cursors are opaque to callers: a byte offset where the log is ours, `page:characters` where an orchestrator keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from minisched.domain.errors import InvalidInput, NotFound, OrchestratorError, OrchestratorRejected, RunNotFound
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Pipeline
from minisched.domain.pipeline_status import is_active
from minisched.domain.run import Run
from minisched.domain.utf8 import whole_characters
from minisched.observability import redact
from minisched.operations.editing import PipelineEditor, is_uuid
from minisched.operations.runs import LogBytes, Runs
from minisched.ports import PipelineServiceClient, PipelineStatusStore, ReceivedLogs

CHUNK_BYTES = 64 * 1024
LARGEST_PAGE = 1024 * 1024
_MOST_DIGITS = 15
# Another orchestrator is not asked by every look of everybody who follows a log.
_ASK_AGAIN_S = 2.0


class RunPhase(Enum):
    """What is known of a run whose log is followed."""

    GOING_ON = "going on"
    ENDED = "ended"  # its last lines may still be on their way
    COMPLETE = "complete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Text of a log; `cursor` continues after it. `total` is the size in the unit of cursors that are offsets."""

    text: str
    cursor: str
    total: int
    more: bool = False


class LogTail(Protocol):
    """A log that may still grow."""

    def phase(self) -> RunPhase:
        """Ask before reading: what was written before the end is then read before the end is told."""

    def check(self, cursor: str) -> None:
        """Raises InvalidInput for what is no cursor."""

    def read(self, cursor: str | None, limit: int, *, complete: bool) -> LogPiece:
        """What follows the cursor, about `limit` bytes at most; the last bytes may be half a character if complete."""


@dataclass(frozen=True, slots=True)
class LastReceived:
    """The log that the workflow of a pipeline's latest run sent."""

    pipeline: Pipeline
    tail: ByteTail

    def whole(self) -> Iterator[str]:
        """All of it that is there now, in pieces."""
        piece = self.tail.read(None, LARGEST_PAGE, complete=True)
        yield piece.text
        while piece.more and piece.text:
            piece = self.tail.read(piece.cursor, LARGEST_PAGE, complete=True)
            yield piece.text


class StreamedLogs:
    """What is asked of logs by run, whoever executed the run."""

    def __init__(
        self,
        *,
        editor: PipelineEditor,
        runs: Runs,
        received: ReceivedLogs,
        statuses: PipelineStatusStore,
        client: PipelineServiceClient,
    ) -> None:
        self._editor = editor
        self._runs = runs
        self._received = received
        self._statuses = statuses
        self._client = client

    def append(self, fqn: str, run_id: str, text: str) -> None:
        """Keep what a workflow sent of its log. Raises PipelineNotFound, RunNotFound, StoreUnavailable."""
        pipeline, own = self._find(fqn, run_id)
        if own is None and text:
            self._received.append(pipeline.id, run_id.lower(), redact(text))

    def close(self, fqn: str, run_id: str) -> None:
        """The workflow has sent all of its log. Raises PipelineNotFound, RunNotFound."""
        pipeline, own = self._find(fqn, run_id)
        if own is None:
            self._received.close(pipeline.id, run_id.lower())

    def page(self, fqn: str, run_id: str, cursor: str | None, *, lines: int) -> LogPiece:
        """At most `lines` lines after the cursor. Raises PipelineNotFound, RunNotFound, InvalidInput."""
        pipeline, own = self._find(fqn, run_id)
        if own is None and self._received.size(pipeline.id, run_id.lower()) is None:
            raise RunNotFound(f"Pipeline {pipeline.fqn} has no log of run {run_id}")
        tail = self._byte_tail(pipeline, run_id.lower(), own)
        return tail.page(cursor, lines)

    def run_ids(self, fqn: str, limit: int) -> list[str]:
        """Runs that have a log, newest first. Raises PipelineNotFound."""
        pipeline = self._editor.get_by_fqn(fqn)
        found = dict(self._received.runs(pipeline.id))
        found |= {run.id: run.enqueued_at for run in self._runs.search(pipeline=pipeline.id, limit=limit)}
        return sorted(found, key=lambda run_id: (found[run_id], run_id), reverse=True)[:limit]

    def last_received(self, id_or_fqn: str) -> LastReceived | None:
        """The log of the latest run, when the pipeline's workflows send theirs and that run is not ours; else None.

        Raises PipelineNotFound, OrchestratorRejected when such a pipeline has no run at all.
        """
        pipeline = self._editor.find(id_or_fqn, include="all")
        if not pipeline.document.get("enableStreamableLogs"):
            return None
        latest = self._statuses.search(pipeline.fqn, limit=1)
        own = self._runs.search(pipeline=pipeline.id, limit=1)
        if not latest and not own:
            raise OrchestratorRejected("No runId found for the last ingestion pipeline run")
        if not latest or (own and to_ms(own[0].enqueued_at) > (latest[0].get("timestamp") or 0)):
            return None
        run_id = str(latest[0]["runId"])
        if not is_uuid(run_id) or self._received.size(pipeline.id, run_id) is None:
            return None
        return LastReceived(pipeline, self._byte_tail(pipeline, run_id, None))

    def tail(self, id_or_fqn: str, run_id: str) -> LogTail:
        """The log of a run, which may not have begun. Raises PipelineNotFound, RunNotFound for another pipeline's."""
        pipeline = self._editor.find(id_or_fqn)
        if not is_uuid(run_id):
            return self._page_tail(pipeline, run_id)
        own = self._own(pipeline, run_id.lower())
        if own is None and self._received.size(pipeline.id, run_id.lower()) is None:
            return self._page_tail(pipeline, run_id.lower())
        return self._byte_tail(pipeline, run_id.lower(), own)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _find(self, fqn: str, run_id: str) -> tuple[Pipeline, Run | None]:
        pipeline = self._editor.get_by_fqn(fqn)
        if not is_uuid(run_id):
            raise RunNotFound(f"run instance for {run_id[:100]} not found")
        return pipeline, self._own(pipeline, run_id.lower())

    def _own(self, pipeline: Pipeline, run_id: str) -> Run | None:
        try:
            run = self._runs.get(run_id)
        except NotFound:
            return None
        if run.pipeline_id != pipeline.id:
            raise RunNotFound(f"Pipeline {pipeline.fqn} has no run {run_id}")
        return run

    def _byte_tail(self, pipeline: Pipeline, run_id: str, own: Run | None) -> ByteTail:
        if own is not None:
            return ByteTail(
                lambda offset, limit: self._runs.log_of(own, offset=offset, limit=limit),
                lambda: RunPhase.COMPLETE if self._runs.get(run_id).is_terminal else RunPhase.GOING_ON,
            )

        def read(offset: int, limit: int) -> LogBytes:
            data = self._received.read(pipeline.id, run_id, offset=offset, limit=limit)
            return LogBytes(data, offset + len(data), self._received.size(pipeline.id, run_id) or 0)

        return ByteTail(read, lambda: self._received_phase(pipeline, run_id))

    def _received_phase(self, pipeline: Pipeline, run_id: str) -> RunPhase:
        if self._received.is_closed(pipeline.id, run_id):
            return RunPhase.COMPLETE
        return self._reported_phase(pipeline, run_id)

    def _reported_phase(self, pipeline: Pipeline, run_id: str) -> RunPhase:
        status = self._statuses.get(pipeline.fqn, run_id)
        if status is None:
            return RunPhase.UNKNOWN
        return RunPhase.GOING_ON if is_active(status) else RunPhase.ENDED

    def _page_tail(self, pipeline: Pipeline, run_id: str) -> PageTail:
        return PageTail(self._client, pipeline, run_id, lambda: self._reported_phase(pipeline, run_id))


class ByteTail:
    """A log that is a sequence of bytes; its cursors are offsets."""

    def __init__(self, read: Callable[[int, int], LogBytes], phase: Callable[[], RunPhase]) -> None:
        self._read = read
        self.phase = phase

    def check(self, cursor: str) -> None:
        _number(cursor)

    def read(self, cursor: str | None, limit: int, *, complete: bool) -> LogPiece:
        offset = _number(cursor or "0")
        piece = self._read(offset, limit)
        if piece.is_gap:
            return _piece(piece.data, piece.next_offset, piece.size)
        # A character that the beginning of a gap cuts stays cut.
        final = len(piece.data) < limit and (complete or piece.next_offset < piece.size)
        data = whole_characters(piece.data, ended=final)
        return _piece(data, offset + len(data), piece.size)

    def page(self, cursor: str | None, lines: int) -> LogPiece:
        """Whole lines, `lines` at most; a part of one only when it is longer than a page, or still being written."""
        offset = _number(cursor or "0")
        piece = self._read(offset, LARGEST_PAGE)
        if piece.is_gap:
            return _piece(piece.data, piece.next_offset, piece.size)
        data = piece.data[: _end_of_lines(piece.data, lines)]
        data = whole_characters(data, ended=offset + len(data) >= piece.size)
        return _piece(data, offset + len(data), piece.size)


class PageTail:
    """A log that an orchestrator keeps in pages, of which only the last grows."""

    def __init__(
        self, client: PipelineServiceClient, pipeline: Pipeline, run_id: str, phase: Callable[[], RunPhase]
    ) -> None:
        self._client = client
        self._pipeline = pipeline
        self._run_id = run_id
        self._asked_in_vain_at: float | None = None
        self.phase = phase

    def check(self, cursor: str) -> None:
        _page_cursor(cursor)

    def read(self, cursor: str | None, limit: int, *, complete: bool) -> LogPiece:  # noqa: ARG002 - pages are text
        """An orchestrator that knows no log yet, or does not answer, has nothing to say yet."""
        page, taken = _page_cursor(cursor or "0")
        nothing = LogPiece("", _page_text(page, taken), 0)
        now = time.monotonic()
        if self._asked_in_vain_at is not None and now - self._asked_in_vain_at < _ASK_AGAIN_S:
            return nothing
        piece = self._asked(page, taken, limit) or nothing
        self._asked_in_vain_at = None if piece.text or piece.more else now
        return piece

    def _asked(self, page: int, taken: int, limit: int) -> LogPiece | None:
        try:
            found = self._client.get_last_ingestion_logs(self._pipeline.ref, page, self._run_id)
        except (OrchestratorError, NotFound, InvalidInput):
            return None
        text = found.text[taken : taken + limit]
        taken += len(text)
        if taken >= len(found.text) and found.after is not None:
            return LogPiece(text, _page_text(found.after, 0), 0, more=True)
        return LogPiece(text, _page_text(page, taken), 0, more=taken < len(found.text))


def _piece(data: bytes, following: int, size: int) -> LogPiece:
    return LogPiece(data.decode("utf-8", "replace"), str(following), size, more=following < size)


def _page_cursor(cursor: str) -> tuple[int, int]:
    page, _, taken = cursor.partition(":")
    return _number(page), _number(taken or "0")


def _page_text(page: int, taken: int) -> str:
    """The beginning is spelled as that of every other log: it may become one when the workflow sends it itself."""
    return f"{page}:{taken}" if page or taken else "0"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidInput("is not a cursor", field="after", hint="Take it from `after` of an earlier answer.")
    return int(text)


def _end_of_lines(data: bytes, lines: int) -> int:
    """Where the last of the first `lines` lines ends; all of it when there is no whole line in a whole page."""
    end = 0
    for _ in range(lines):
        at = data.find(b"\n", end)
        if at < 0:
            return end or len(data) if len(data) >= LARGEST_PAGE else len(data)
        end = at + 1
    return end
