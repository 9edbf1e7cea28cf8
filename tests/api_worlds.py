"""APIs to test: the application in this process over real stores, and what a test may do behind its back."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from litestar import Litestar
from litestar.testing import TestClient

from minisched.api.dependencies import ApiDependencies
from minisched.api.server import create_api
from minisched.clients.local import LocalClient, new_run
from minisched.clients.moving import Mover
from minisched.clients.places import Places
from minisched.domain import schedule
from minisched.domain.access import Role
from minisched.domain.pipeline import Document
from minisched.operations.accounts import Accounts
from minisched.operations.authentication import Authentication
from minisched.operations.use_cases import UseCases, use_cases
from minisched.ports import ClientResponse, EntityRef, PipelineServiceClient
from minisched.scheduler import Backfill, RunOf
from minisched.store import migrations
from minisched.store.accounts import SqlAccountStore
from minisched.store.audit import SqlAuditTrail
from minisched.store.engine import open_database
from minisched.store.placements import SqlPlacementStore
from minisched.store.received_logs import FileReceivedLogs
from minisched.store.schedules import SqlScheduleStore
from minisched.store.tick_history import SqlTickHistory
from tests.credentials import ADMIN_HEADERS, ADMIN_PASSWORD, RUN_TOKEN
from tests.fakes import (
    FakeAlarm,
    FakeExecutor,
    FakeRuntimeChoice,
    FakeRuntimes,
    MemoryDirectory,
    MemoryRunLogs,
    ScriptedClient,
    ScriptedJudge,
)
from tests.fakes_store import ManualClock
from tests.store_kinds import Stores, sql_stores

PIPELINES = "/api/v1/services/ingestionPipelines"
BASE_URL = "http://127.0.0.1:8580"

SERVICE_ID = "891b373d-a253-4639-ad54-fc17491a7d5d"
OWNER_ID = "e4b4bf36-4be6-41be-a551-b9b8d3fd9f54"
TEAM_ID = "0f2d3c4b-5a69-4788-9a0b-1c2d3e4f5a6b"
DOMAIN_ID = "7a0e5a5e-7d57-4e8e-a8ac-0f0c3a3b9a11"


def a_directory() -> MemoryDirectory:
    """The service and the owner of the original deployment document, a team and a domain."""
    return MemoryDirectory(
        EntityRef(SERVICE_ID, "databaseService", "mysql", "mysql", {"description": "", "deleted": False}),
        EntityRef(OWNER_ID, "user", "admin", "admin", {"deleted": False}),
        EntityRef(TEAM_ID, "team", "data", "data"),
        EntityRef(DOMAIN_ID, "domain", "Sales", "Sales"),
    )


class _NoAutomations:
    def run(self, workflow: Document, *, runtime: str) -> ClientResponse:
        return ClientResponse(200, None, "local")


class Elapsed:
    """The seconds by which credentials are remembered and guesses forgotten."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


@dataclass
class World:
    """One application and everything behind it."""

    app: Litestar
    stores: Stores
    directory: MemoryDirectory
    executor: FakeExecutor
    logs: MemoryRunLogs
    runtimes: FakeRuntimes
    alarm: FakeAlarm
    client: PipelineServiceClient
    judge: ScriptedJudge
    cases: UseCases
    stopping: threading.Event
    problems: dict[str, str | None]
    trail: SqlAuditTrail
    elapsed: Elapsed
    client_in_process: TestClient[Litestar] | None = None

    @property
    def http(self) -> TestClient[Litestar]:
        """Speaks to the application without a network; there is none in a world that is served over one."""
        assert self.client_in_process is not None
        return self.client_in_process

    @property
    def scripted(self) -> ScriptedClient:
        assert isinstance(self.client, ScriptedClient)
        return self.client


def a_create_request(**changes: Any) -> Document:
    """A pipeline of the service `mysql` with a name of its own."""
    request: Document = {
        "name": f"nightly_{uuid4().hex[:8]}",
        "pipelineType": "metadata",
        "service": {"id": SERVICE_ID, "type": "databaseService"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "airflowConfig": {"scheduleInterval": "0 2 * * *"},
    }
    return {**request, **changes}


@functools.cache
def _migrated() -> bytes:
    """A database of the newest revision, made once, with nothing but the user admin."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "minisched.db"
        url = f"sqlite:///{database}"
        migrations.upgrade(url)
        with closing(open_database(url)) as opened:
            Accounts(SqlAccountStore(opened), ManualClock()).add("admin", Role.ADMIN, ADMIN_PASSWORD)
        return database.read_bytes()


def migrated_database(path: Path) -> str:
    """The URL of a new SQLite database in this file, with nothing but the user admin."""
    path.write_bytes(_migrated())
    path.chmod(0o600)
    return f"sqlite:///{path}"


@contextmanager
def a_world(directory: Path, *, scripted: bool = False, **settings: Any) -> Iterator[World]:
    """The application over SQLite, with the local client (or a scripted one) and without processes; not started."""
    with sql_stores("sqlite", migrated_database(directory / "minisched.db")) as stores:
        yield _world(
            stores,
            FileReceivedLogs(directory / "received_logs", lambda: 10_000_000),
            scripted=scripted,
            settings=settings,
        )


@contextmanager
def in_process(directory: Path, **settings: Any) -> Iterator[World]:
    """A world that is spoken to without a network."""
    with a_world(directory, **settings) as world, TestClient(world.app, base_url=BASE_URL) as client:
        client.headers.update(ADMIN_HEADERS)
        world.client_in_process = client
        yield world


def _run_of(stores: Stores) -> RunOf:
    return lambda deployment, run_id, scheduled_for, kind, requested_by: new_run(
        deployment,
        run_id=run_id,
        kind=kind,
        clock=stores.clock,
        runtime="main",
        requested_by=requested_by,
        scheduled_for=scheduled_for,
    )


def _world(stores: Stores, received: FileReceivedLogs, *, scripted: bool, settings: dict[str, Any]) -> World:
    executor, logs, alarm = FakeExecutor(stores.runs, stores.clock), MemoryRunLogs(), FakeAlarm()
    runtimes, entities, stopping = FakeRuntimes(), a_directory(), threading.Event()
    client: PipelineServiceClient = ScriptedClient()
    judge = ScriptedJudge()
    if not scripted:
        client = LocalClient(
            deployments=stores.deployments,
            runs=stores.runs,
            logs=logs,
            executor=executor,
            health=runtimes,
            alarm=alarm,
            automations=_NoAutomations(),
            clock=stores.clock,
            chooser=FakeRuntimeChoice(),
            judge=judge,
            host_ip=lambda: "192.0.2.1",
            kill_patience_s=1.0,
        )
    assert stores.database is not None
    assert stores.box is not None
    schedules = SqlScheduleStore(stores.database, stores.box)
    placements = SqlPlacementStore(stores.database, stores.box)
    places = Places({"local": client}, default="local", rules=(), placements=placements, deployments=stores.deployments)
    cases = use_cases(
        pipelines=stores.pipelines,
        statuses=stores.statuses,
        deployments=stores.deployments,
        runs=stores.runs,
        schedules=schedules,
        history=SqlTickHistory(stores.database, stores.box),
        backfills=Backfill(
            deployments=stores.deployments, schedules=schedules, executor=executor, run_of=_run_of(stores)
        ),
        logs=logs,
        received_logs=received,
        executor=executor,
        client=client,
        mover=Mover(places, stores.clock),
        placements=placements,
        directory=entities,
        clock=stores.clock,
        validate_schedule=schedule.validate,
    )
    problems: dict[str, str | None] = {}
    elapsed = Elapsed()
    authentication = Authentication(SqlAccountStore(stores.database), stores.clock, bot_token=RUN_TOKEN, now_s=elapsed)
    trail = SqlAuditTrail(stores.database, stores.clock)
    stores.database.have_witnessed(trail.witness)
    dependencies = ApiDependencies(
        use_cases=cases,
        outbox=stores.outbox,
        deployments=stores.deployments,
        runtimes=runtimes,
        readiness={"store": lambda: problems.get("store")},
        authenticator=authentication,
        audit_trail=trail,
        version="0.0.0",
        stopping=stopping,
        **settings,
    )
    return World(
        create_api(dependencies),
        stores,
        entities,
        executor,
        logs,
        runtimes,
        alarm,
        client,
        judge,
        cases,
        stopping,
        problems,
        trail,
        elapsed,
    )
