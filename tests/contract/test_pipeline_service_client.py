"""What every orchestrator behind `ports.PipelineServiceClient` does, whichever it is (design D11)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar

from minisched.api.airflow_plugin import AirflowPlugin, airflow_plugin_routers
from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.local import LocalClient, new_run
from minisched.clients.noop import NoopClient
from minisched.domain.errors import (
    DuplicateRun,
    InvalidInput,
    InvalidPipelineConfig,
    InvalidSchedule,
    NameCollision,
    NotFound,
    OrchestratorRejected,
    PipelineNotFound,
    RunNotFound,
)
from minisched.domain.pipeline import Document, PipelineRef
from minisched.domain.run import Run
from minisched.domain.tick import CatchUpPolicy
from minisched.ports import ClientResponse, PipelineServiceClient, RunOptions
from minisched.scheduler import Scheduler
from minisched.serving import bind, serving_in_background
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.schedules import SqlScheduleStore
from minisched.store.secrets import SecretBox, new_key
from minisched.store.watches import SqlWatches
from tests.fakes import FakeRuntimeChoice, MemoryAuditTrail, ScriptedJudge
from tests.integration.supervised_node import RUNTIME, SupervisedNode, SystemClock
from tests.waiting import wait_until


@dataclass
class Orchestrator:
    """An implementation, and `behave`: what the workflow of the pipeline with this id does when it runs.

    The rest names what the plugin's dialect cannot say, so that whoever is behind it means less:
    `tells_refusals_apart`: it has one code for all that is wrong with a deployment, so each is InvalidPipelineConfig.
    `ends_single_runs`: its kill has no run id, so ending one run is refused, and not done to all.
    `narrows_runs`: the plugin does not read an override of the source's config, so a run with one is refused.
    `has_runtimes`: whoever is behind it has one ingestion package, so naming a runtime is refused.
    """

    client: PipelineServiceClient
    behave: Callable[[str, str | None], None]
    tells_refusals_apart: bool = True
    ends_single_runs: bool = True
    narrows_runs: bool = True
    has_runtimes: bool = True

    def refusal(self, error: type[Exception]) -> type[Exception]:
        return error if self.tells_refusals_apart else InvalidPipelineConfig


class RefusingAutomations:
    def run(self, workflow: Document, *, runtime: str) -> ClientResponse:
        raise OrchestratorRejected("no automations here")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Orchestrator]:
    node = SupervisedNode(tmp_path, slots=2, grace_s=1.0, python=Path(sys.executable))
    deployments = SqlDeploymentStore(node.database, SecretBox([new_key()]))
    clock = SystemClock()
    scheduler = Scheduler(
        schedules=SqlScheduleStore(node.database, SecretBox([new_key()])),
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
    scheduler.start()
    yield Orchestrator(client, behaviours.__setitem__)
    for deployment in deployments.all():
        client.delete_pipeline(PipelineRef(deployment.name, deployment.id))
    scheduler.close()
    node.close()


@pytest.fixture
def airflow(local: Orchestrator) -> Iterator[Orchestrator]:
    """The local one behind the plugin's dialect, over a real connection."""
    plugin = AirflowPlugin(client=local.client, username="ann", password="p:w ö", audit_trail=MemoryAuditTrail())
    app = Litestar(airflow_plugin_routers(plugin), openapi_config=None, logging_config=None)
    with bind("127.0.0.1", 0) as listener, serving_in_background(app, listener, stopping=threading.Event()):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = AirflowServer(url=url, username=plugin.username, password="p:w ö")
        client = AirflowClient(server, complete=lambda document: document)
        yield Orchestrator(
            client,
            local.behave,
            tells_refusals_apart=False,
            ends_single_runs=False,
            narrows_runs=False,
            has_runtimes=False,
        )


@pytest.fixture(params=["local", "airflow"])
def orchestrator(request: pytest.FixtureRequest) -> Orchestrator:
    found: Orchestrator = request.getfixturevalue(request.param)
    return found


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


def test_it_is_healthy_and_says_which_version_it_runs(orchestrator: Orchestrator) -> None:
    wait_until(lambda: orchestrator.client.get_service_status().code == 200, timeout_s=30)
    status = orchestrator.client.get_service_status()
    assert status.platform == orchestrator.client.platform
    assert status.version


def test_a_deployed_pipeline_is_triggerable_at_once_and_its_run_can_be_followed(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    assert client.deploy_pipeline(pipeline).code == 200
    answer = client.run_pipeline(ref(pipeline), RunOptions())
    assert answer.code == 200
    assert answer.run_id is not None
    assert str(UUID(answer.run_id)) == answer.run_id
    wait_until(lambda: state_of(client, pipeline, answer.run_id) == "success", timeout_s=30)
    page = client.get_last_ingestion_logs(ref(pipeline), None)
    assert page.task_id == "ingestion_task"
    assert "executing at" in page.text
    assert (page.total, page.after) == (1, None)


def test_deploying_again_changes_and_keeps_what_it_knows(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "success", timeout_s=30)
    changed = {**pipeline, "airflowConfig": {"scheduleInterval": "0 4 * * *"}, "enabled": False}
    assert client.deploy_pipeline(changed).code == 200
    assert client.deploy_pipeline(changed).code == 200
    assert state_of(client, pipeline, run_id) == "success"


def test_a_pipeline_that_is_not_deployed_is_not_found(orchestrator: Orchestrator) -> None:
    client, stranger = orchestrator.client, ref(a_pipeline())
    with pytest.raises(PipelineNotFound):
        client.run_pipeline(stranger, RunOptions())
    with pytest.raises(PipelineNotFound):
        client.kill_ingestion(stranger)
    with pytest.raises(PipelineNotFound):
        client.get_pipeline_status(stranger, only_queued=True)
    assert client.toggle_ingestion(stranger, enabled=False).code == 404
    assert client.delete_pipeline(stranger).code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"pipelineType": "nonsense"}, InvalidPipelineConfig),
        ({"pipelineType": "policyAgent"}, InvalidPipelineConfig),
        ({"sourceConfig": None}, InvalidPipelineConfig),
        ({"airflowConfig": {"scheduleInterval": "61 * * * *"}}, InvalidSchedule),
        ({"airflowConfig": {"scheduleInterval": "0 0 * * *", "pipelineTimezone": "Mars/Olympus"}}, InvalidSchedule),
    ],
)
def test_what_cannot_run_is_refused_and_the_old_deployment_stays(
    orchestrator: Orchestrator, changes: Document, error: type[Exception]
) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    with pytest.raises(orchestrator.refusal(error)) as refused:
        client.deploy_pipeline({**pipeline, **changes})
    assert next(iter(changes)) in str(refused.value)
    assert client.run_pipeline(ref(pipeline), RunOptions()).code == 200


def test_two_pipelines_of_one_cleaned_name_are_never_mixed_up(orchestrator: Orchestrator) -> None:
    client, first = orchestrator.client, a_pipeline(name="a.b")
    client.deploy_pipeline(first)
    with pytest.raises(orchestrator.refusal(NameCollision), match=r"'a_b' belongs to svc\.a\.b"):
        client.deploy_pipeline(a_pipeline(name="a b"))


def test_runs_wait_for_each_other_and_are_killed_together(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    first = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, first) == "running", timeout_s=30)
    second = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    assert [s["runId"] for s in client.get_pipeline_status(ref(pipeline), only_queued=True)] == [second]
    assert client.kill_ingestion(ref(pipeline), by="ada").code == 200
    assert {state_of(client, pipeline, run) for run in (first, second)} == {"stopped"}
    assert client.kill_ingestion(ref(pipeline)).code == 404


def test_one_run_is_killed_and_the_other_stays(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline(airflowConfig={"maxActiveRuns": 2})
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    kept, killed = (client.run_pipeline(ref(pipeline), RunOptions()).run_id for _ in range(2))
    wait_until(lambda: {state_of(client, pipeline, run) for run in (kept, killed)} == {"running"}, timeout_s=30)
    if not orchestrator.ends_single_runs:
        with pytest.raises(OrchestratorRejected, match="cannot end one run"):
            client.kill_ingestion(ref(pipeline), run_id=killed)
        assert {state_of(client, pipeline, run) for run in (kept, killed)} == {"running"}
        return
    assert client.kill_ingestion(ref(pipeline), run_id=killed).code == 200
    assert state_of(client, pipeline, killed) == "stopped"
    assert state_of(client, pipeline, kept) == "running"


def test_a_disabled_pipeline_still_runs_when_a_person_asks(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline(airflowConfig={"scheduleInterval": "0 4 * * *"})
    client.deploy_pipeline(pipeline)
    assert client.toggle_ingestion(ref(pipeline), enabled=False).code == 200
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "success", timeout_s=30)


def test_deleting_ends_its_runs_and_can_be_repeated(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "running", timeout_s=30)
    assert client.delete_pipeline(ref(pipeline)).code == 200
    assert client.delete_pipeline(ref(pipeline)).code == 200
    with pytest.raises(PipelineNotFound):
        client.run_pipeline(ref(pipeline), RunOptions())


def test_a_repeated_trigger_with_one_key_is_one_run(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    options = RunOptions(idempotency_key=f"k-{uuid4()}")
    assert client.run_pipeline(ref(pipeline), options).run_id == client.run_pipeline(ref(pipeline), options).run_id


def test_a_run_has_the_id_that_the_caller_chose_and_only_once(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    options = RunOptions(run_id=str(uuid4()))
    assert client.run_pipeline(ref(pipeline), options).run_id == options.run_id
    with pytest.raises(DuplicateRun):
        client.run_pipeline(ref(pipeline), options)


def test_a_run_is_narrowed_or_refused(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    options = RunOptions(source_config_override={"tableFilterPattern": {"includes": ["^t$"]}})
    if orchestrator.narrows_runs:
        assert client.run_pipeline(ref(pipeline), options).code == 200
        return
    with pytest.raises(OrchestratorRejected, match="cannot narrow a run"):
        client.run_pipeline(ref(pipeline), options)
    assert client.get_pipeline_status(ref(pipeline), only_queued=False) == []


def test_pages_of_a_log_that_are_not_there_are_invalid(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline(pipelineType="profiler")
    client.deploy_pipeline(pipeline)
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "success", timeout_s=30)
    assert client.get_last_ingestion_logs(ref(pipeline), 0, run_id).task_id == "profiler_task"
    with pytest.raises(InvalidInput, match="out of bounds"):
        client.get_last_ingestion_logs(ref(pipeline), 7)


def test_a_runtime_that_is_not_there_is_refused(orchestrator: Orchestrator) -> None:
    client = orchestrator.client
    assert client.get_service_status(runtime="nowhere").code == 500
    with pytest.raises(NotFound if orchestrator.has_runtimes else OrchestratorRejected, match="nowhere"):
        client.deploy_pipeline(a_pipeline(), runtime="nowhere")


def test_an_automation_that_cannot_run_says_why(orchestrator: Orchestrator) -> None:
    workflow = {"id": str(uuid4()), "name": "test", "workflowType": "TEST_CONNECTION", "request": {}}
    with pytest.raises((OrchestratorRejected, InvalidInput), match="no automations here"):
        orchestrator.client.run_automation(workflow)


def test_a_pipeline_that_never_ran_has_no_log(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    with pytest.raises(RunNotFound):
        client.get_last_ingestion_logs(ref(pipeline), None)


def test_it_knows_its_address(orchestrator: Orchestrator) -> None:
    assert orchestrator.client.request_get_host_ip() == "192.0.2.7"


def test_a_schedule_fires_by_itself(local: Orchestrator) -> None:
    pipeline = a_pipeline(airflowConfig={"scheduleInterval": "* * * * *"})
    local.client.deploy_pipeline(pipeline)
    wait_until(lambda: local.client.get_pipeline_status(ref(pipeline), only_queued=False), timeout_s=70, every_s=0.2)
    status = local.client.get_pipeline_status(ref(pipeline), only_queued=False)[0]
    instant = datetime.fromtimestamp(status["timestamp"] / 1000, UTC)
    assert (instant.second, instant.microsecond) == (0, 0)


def test_without_an_orchestrator_nothing_pretends_to_happen() -> None:
    client = NoopClient()
    assert client.get_service_status().version == "disabled"
    acts: list[Callable[[], object]] = [
        lambda: client.deploy_pipeline(a_pipeline()),
        lambda: client.run_pipeline(PipelineRef("p"), RunOptions()),
        lambda: client.kill_ingestion(PipelineRef("p")),
        lambda: client.toggle_ingestion(PipelineRef("p"), enabled=True),
    ]
    for act in acts:
        with pytest.raises(OrchestratorRejected, match="No orchestrator is configured"):
            act()
    assert client.delete_pipeline(PipelineRef("p")).code == 200
