"""All stores of one kind (in memory, or on one database), for contract tests that run once on each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.outcome import outcome
from minisched.domain.run import Outcome, ProcessIdentity, Run, RunKind, RunReason, RunState, StopRequest
from minisched.ports import DeploymentStore, DocumentStore, Outbox, PipelineStatusStore, PipelineStore, RunStore
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.documents import open_document_store
from minisched.store.engine import Database, open_database
from minisched.store.outbox import SqlOutbox
from minisched.store.pipelines import SqlPipelineStore
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, new_key
from minisched.store.statuses import SqlPipelineStatusStore
from tests.databases import DATABASES, url_for
from tests.fakes_store import ManualClock, MemoryDocumentStore, MemoryStores

KINDS = ["memory", *DATABASES]
EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROCESS = ProcessIdentity(pid=4711, start_ticks=123_456_789_012, boot_id=str(uuid4()))
SUCCESS = outcome(RunState.SUCCESS, RunReason.COMPLETED, "The workflow ended well.")
FAILURE = outcome(RunState.FAILED, RunReason.ERROR, "The source is down.", hint="Start it.")
STOPPED = outcome(RunState.STOPPED, RunReason.STOP_REQUESTED, "Stopped by ann.")


@dataclass(frozen=True)
class Stores:
    """Every store but that of the sandbox, over the same data."""

    kind: str
    clock: ManualClock
    runs: RunStore
    outbox: Outbox
    deployments: DeploymentStore
    pipelines: PipelineStore
    statuses: PipelineStatusStore
    database: Database | None = None
    box: SecretBox | None = None


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest) -> Iterator[Stores]:
    if kind == "memory":
        memory = MemoryStores()
        yield Stores(
            kind,
            memory.clock,
            memory.runs,
            memory.outbox,
            memory.deployments,
            memory.pipelines,
            memory.statuses,
        )
        return
    with sql_stores(kind, url_for(kind, request)) as stores:
        yield stores


@contextmanager
def sql_stores(kind: str, url: str) -> Iterator[Stores]:
    database, clock, box = open_database(url), ManualClock(), SecretBox([new_key()])
    try:
        yield Stores(
            kind,
            clock,
            SqlRunStore(database, box, clock),
            SqlOutbox(database),
            SqlDeploymentStore(database, box),
            SqlPipelineStore(database, box),
            SqlPipelineStatusStore(database, box),
            database,
            box,
        )
    finally:
        database.close()


@contextmanager
def opened_documents(kind: str, directory: Path) -> Iterator[DocumentStore]:
    if kind == "memory":
        yield MemoryDocumentStore()
        return
    store = open_document_store(directory / "sandbox.db", SecretBox([new_key()]))
    try:
        yield store
    finally:
        store.close()


def a_run(at_s: float = 0, **changes: Any) -> Run:
    """A queued manual run of a pipeline of its own, enqueued `at_s` seconds after the clock's start."""
    values: dict[str, Any] = {
        "id": str(uuid4()),
        "pipeline_id": str(uuid4()),
        "pipeline_fqn": "shop.nightly",
        "pipeline_name": "nightly",
        "pipeline_type": "metadata",
        "service_fqn": "shop",
        "kind": RunKind.MANUAL,
        "enqueued_at": EPOCH + timedelta(seconds=at_s),
    }
    return Run(**{**values, **changes})


def a_stop(by: str = "ann", at_s: float = 30) -> StopRequest:
    return StopRequest(at=EPOCH + timedelta(seconds=at_s), by=by, why="wrong source")


def finished(stores: Stores, run: Run, result: Outcome = SUCCESS, *, at_s: float = 60) -> Run:
    """The run, enqueued, claimed and ended."""
    stores.runs.enqueue(run)
    claimed = stores.runs.claim(slots=1_000)
    assert claimed is not None
    assert claimed.id == run.id
    return stores.runs.finish(run.id, result, ended_at=EPOCH + timedelta(seconds=at_s))
