"""Orchestrators to hold against `ports.PipelineServiceClient`: this machine, one behind the plugin's dialect, and both
as one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from litestar import Litestar

from minisched.api.airflow_plugin import AirflowPlugin, airflow_plugin_routers
from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.local import LocalClient, new_run
from minisched.clients.moving import Mover
from minisched.clients.places import Places
from minisched.clients.routed import RoutedClient
from minisched.domain.client_rules import ClientName, ClientRule
from minisched.domain.errors import InvalidPipelineConfig, OrchestratorRejected
from minisched.domain.pipeline import Document, PipelineRef
from minisched.domain.run import Run
from minisched.domain.tick import CatchUpPolicy
from minisched.ports import ClientResponse, DeploymentStore, PipelineServiceClient
from minisched.scheduler import Scheduler
from minisched.serving import bind, serving_in_background
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database
from minisched.store.placements import SqlPlacementStore
from minisched.store.schedules import SqlScheduleStore
from minisched.store.secrets import SecretBox, new_key
from minisched.store.watches import SqlWatches
from tests.fakes import FakeRuntimeChoice, MemoryAuditTrail, ScriptedJudge
from tests.integration.supervised_node import RUNTIME, SupervisedNode, SystemClock


@dataclass(kw_only=True)
class Orchestrator:
    """An implementation, and `behave`: what the workflow of the pipeline with this id does when it runs.

    The rest names what the plugin's dialect cannot say, so that whoever is behind it means less:
    `tells_refusals_apart`: it has one code for all that is wrong with a deployment, so each is InvalidPipelineConfig.
    `ends_single_runs`: its kill has no run id, so ending one run is refused, and not done to all.
    `narrows_runs`: the plugin does not read an override of the source's config, so a run with one is refused.
    `has_runtimes`: whoever is behind it has one ingestion package, so naming a runtime is refused.

    What a real Airflow does in its own way: `refuses_all`: its plugin takes some schedules that make no sense, says of
    most refusals that something went wrong, and has overwritten the old deployment by then. `runs_disabled`: a run of a
    paused DAG waits until it is enabled. `killed_state` is what it makes of killed runs, `log_says` what is in every
    log, `automation_says` what is said of one that cannot run, `patience_s` how long its runs may take.
    """

    client: PipelineServiceClient
    behave: Callable[[str, str | None], None]
    tells_refusals_apart: bool = True
    ends_single_runs: bool = True
    narrows_runs: bool = True
    has_runtimes: bool = True
    refuses_all: bool = True
    runs_disabled: bool = True
    killed_state: str = "stopped"
    log_says: str = "executing at"
    automation_says: str = "no automations here"
    patience_s: float = 30

    def refusal(self, error: type[Exception]) -> type[Exception]:
        return error if self.tells_refusals_apart else InvalidPipelineConfig


@dataclass(kw_only=True)
class Machine(Orchestrator):
    """This machine, with its tables."""

    database: Database
    deployments: DeploymentStore


@dataclass(kw_only=True)
class Both(Orchestrator):
    """A machine and what is behind the dialect as one orchestrator, and how pipelines move between them."""

    places: Places
    mover: Mover


class RefusingAutomations:
    def run(self, workflow: Document, *, runtime: str) -> ClientResponse:
        raise OrchestratorRejected("no automations here")


@contextmanager
def this_machine(directory: Path) -> Iterator[Machine]:
    node = SupervisedNode(directory, slots=2, grace_s=1.0, python=Path(sys.executable))
    box, clock = SecretBox([new_key()]), SystemClock()
    deployments = SqlDeploymentStore(node.database, box)
    scheduler = Scheduler(
        schedules=SqlScheduleStore(node.database, box),
        watches=SqlWatches(node.database),
        executor=node.supervisor,
        run_of=lambda deployment, run_id, scheduled_for, kind, requested_by: new_run(
            deployment,
            run_id=run_id,
            kind=kind,
            clock=clock,
            runtime=RUNTIME,
            requested_by=requested_by,
            scheduled_for=scheduled_for,
        ),
        clock=clock,
        policy=CatchUpPolicy(timedelta(hours=1), timedelta(days=1), 100),
    )
    behaviours: dict[str, str | None] = {}

    def job_of(run: Run) -> Document:
        source = {"behaviour": behaviours.get(run.pipeline_id)}
        return {"task": "workflow", "workflow": "metadata", "run_id": run.id, "config": {"source": source}}

    node.job_of = job_of
    client = LocalClient(
        deployments=deployments,
        runs=node.runs,
        logs=node.directories,
        executor=node.supervisor,
        health=node.supervisor,
        alarm=scheduler,
        automations=RefusingAutomations(),
        clock=clock,
        chooser=FakeRuntimeChoice(RUNTIME),
        judge=ScriptedJudge(),
        host_ip=lambda: "192.0.2.7",
        kill_patience_s=20,
    )
    node.start()
    with closing(node), closing(scheduler):
        scheduler.start()
        yield Machine(client=client, behave=behaviours.__setitem__, database=node.database, deployments=deployments)
        for deployment in deployments.all():
            client.delete_pipeline(PipelineRef(deployment.name, deployment.id))


@contextmanager
def behind_the_dialect(machine: Orchestrator) -> Iterator[Orchestrator]:
    """The machine as Airflow, behind the plugin's dialect, over a real connection."""
    plugin = AirflowPlugin(client=machine.client, username="ann", password="p:w ö", audit_trail=MemoryAuditTrail())
    app = Litestar(airflow_plugin_routers(plugin), openapi_config=None, logging_config=None)
    with bind("127.0.0.1", 0) as listener, serving_in_background(app, listener, stopping=threading.Event()):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = AirflowServer(url=url, username=plugin.username, password="p:w ö", parse_wait_s=0)
        yield Orchestrator(
            client=AirflowClient(server, complete=lambda document: document),
            behave=machine.behave,
            tells_refusals_apart=False,
            ends_single_runs=False,
            narrows_runs=False,
            has_runtimes=False,
        )


def as_one(machine: Machine, airflow: Orchestrator, default: ClientName, rules: tuple[ClientRule, ...] = ()) -> Both:
    """Whoever names a runtime gets the machine, whichever is the default."""
    places = Places(
        {"local": machine.client, "airflow": airflow.client},
        default=default,
        rules=rules,
        placements=SqlPlacementStore(machine.database, SecretBox([new_key()])),
        deployments=machine.deployments,
    )
    mover = Mover(places, SystemClock())
    means = machine if default == "local" else airflow

    def behave(pipeline_id: str, behaviour: str | None) -> None:
        machine.behave(pipeline_id, behaviour)
        airflow.behave(pipeline_id, behaviour)

    return Both(
        client=RoutedClient(places, mover, SystemClock()),
        behave=behave,
        tells_refusals_apart=means.tells_refusals_apart,
        ends_single_runs=means.ends_single_runs,
        narrows_runs=means.narrows_runs,
        has_runtimes=True,
        places=places,
        mover=mover,
    )


def a_pipeline(**changes: Any) -> Document:
    name = changes.pop("name", f"p{uuid4().hex[:8]}")
    return {
        "id": str(uuid4()),
        "name": name,
        "fullyQualifiedName": f"svc.{name}",
        "pipelineType": "metadata",
        "service": {"id": str(uuid4()), "type": "databaseService", "name": "svc", "fullyQualifiedName": "svc"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "airflowConfig": {"scheduleInterval": None, "maxActiveRuns": 1},
        "enabled": True,
        **changes,
    }


def ref(pipeline: Document) -> PipelineRef:
    return PipelineRef(pipeline["name"], pipeline["id"], pipeline["fullyQualifiedName"])


def state_of(client: PipelineServiceClient, pipeline: Document, run_id: str | None) -> str | None:
    for status in client.get_pipeline_status(ref(pipeline), only_queued=False):
        if status["runId"] == run_id:
            return str(status["pipelineState"])
    return None
