"""What every orchestrator behind `ports.PipelineServiceClient` does, whichever it is (design D11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

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
from minisched.ports import RunOptions
from tests.contract.orchestrators import (
    Machine,
    Orchestrator,
    a_pipeline,
    as_one,
    behind_the_dialect,
    ref,
    state_of,
    this_machine,
)
from tests.contract.real_airflow import REAL_URL, a_real_airflow
from tests.waiting import wait_until


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Machine]:
    with this_machine(tmp_path / "near") as machine:
        yield machine


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[Orchestrator]:
    with this_machine(tmp_path / "far") as machine, behind_the_dialect(machine) as orchestrator:
        yield orchestrator


@pytest.fixture
def routed_local(local: Machine, airflow: Orchestrator) -> Orchestrator:
    return as_one(local, airflow, "local")


@pytest.fixture
def routed_airflow(local: Machine, airflow: Orchestrator) -> Orchestrator:
    return as_one(local, airflow, "airflow")


@pytest.fixture(scope="module")
def real_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    with a_real_airflow(tmp_path_factory.mktemp("real")) as orchestrator:
        yield orchestrator


# A real one besides, where MINISCHED_TEST_AIRFLOW names one.
REAL = [pytest.param("real_airflow", marks=pytest.mark.timeout(600))] if REAL_URL else []


@pytest.fixture(params=["local", "airflow", "routed_local", "routed_airflow", *REAL])
def orchestrator(request: pytest.FixtureRequest) -> Orchestrator:
    found: Orchestrator = request.getfixturevalue(request.param)
    return found


def test_it_is_healthy_and_says_which_version_it_runs(orchestrator: Orchestrator) -> None:
    wait_until(lambda: orchestrator.client.get_service_status().code == 200, timeout_s=orchestrator.patience_s)
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
    wait_until(lambda: state_of(client, pipeline, answer.run_id) == "success", timeout_s=orchestrator.patience_s)
    page = client.get_last_ingestion_logs(ref(pipeline), None)
    assert page.task_id == "ingestion_task"
    assert orchestrator.log_says in page.text
    assert (page.total, page.after) == (1, None)


def test_deploying_again_changes_and_keeps_what_it_knows(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "success", timeout_s=orchestrator.patience_s)
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
    if not orchestrator.refuses_all:
        pytest.skip("the plugin overwrites what it had, and then refuses or not, without words")
    client, pipeline = orchestrator.client, a_pipeline()
    client.deploy_pipeline(pipeline)
    with pytest.raises(orchestrator.refusal(error)) as refused:
        client.deploy_pipeline({**pipeline, **changes})
    assert next(iter(changes)) in str(refused.value)
    assert client.run_pipeline(ref(pipeline), RunOptions()).code == 200


def test_two_pipelines_of_one_cleaned_name_are_never_mixed_up(orchestrator: Orchestrator) -> None:
    client, first = orchestrator.client, a_pipeline(name="a.b")
    client.deploy_pipeline(first)
    with pytest.raises((NameCollision, orchestrator.refusal(NameCollision)), match=r"'a_b' belongs to svc\.a\.b"):
        client.deploy_pipeline(a_pipeline(name="a b"))


def test_runs_wait_for_each_other_and_are_killed_together(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    first = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, first) == "running", timeout_s=orchestrator.patience_s)
    second = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    assert [s["runId"] for s in client.get_pipeline_status(ref(pipeline), only_queued=True)] == [second]
    assert client.kill_ingestion(ref(pipeline), by="ada").code == 200
    assert {state_of(client, pipeline, run) for run in (first, second)} == {orchestrator.killed_state}
    assert client.kill_ingestion(ref(pipeline)).code == 404


def test_one_run_is_killed_and_the_other_stays(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline(airflowConfig={"maxActiveRuns": 2})
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    kept, killed = (client.run_pipeline(ref(pipeline), RunOptions()).run_id for _ in range(2))
    wait_until(
        lambda: {state_of(client, pipeline, run) for run in (kept, killed)} == {"running"},
        timeout_s=orchestrator.patience_s,
    )
    if not orchestrator.ends_single_runs:
        with pytest.raises(OrchestratorRejected, match="cannot end one run"):
            client.kill_ingestion(ref(pipeline), run_id=killed)
        assert {state_of(client, pipeline, run) for run in (kept, killed)} == {"running"}
        return
    assert client.kill_ingestion(ref(pipeline), run_id=killed).code == 200
    assert state_of(client, pipeline, killed) == orchestrator.killed_state
    assert state_of(client, pipeline, kept) == "running"


def test_a_disabled_pipeline_still_runs_when_a_person_asks(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline(airflowConfig={"scheduleInterval": "0 4 * * *"})
    client.deploy_pipeline(pipeline)
    assert client.toggle_ingestion(ref(pipeline), enabled=False).code == 200
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    if not orchestrator.runs_disabled:
        assert state_of(client, pipeline, run_id) == "queued"
        assert client.toggle_ingestion(ref(pipeline), enabled=True).code == 200
    wait_until(lambda: state_of(client, pipeline, run_id) == "success", timeout_s=orchestrator.patience_s)


def test_deleting_ends_its_runs_and_can_be_repeated(orchestrator: Orchestrator) -> None:
    client, pipeline = orchestrator.client, a_pipeline()
    orchestrator.behave(pipeline["id"], "hang")
    client.deploy_pipeline(pipeline)
    run_id = client.run_pipeline(ref(pipeline), RunOptions()).run_id
    wait_until(lambda: state_of(client, pipeline, run_id) == "running", timeout_s=orchestrator.patience_s)
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
    over = ("success", "failed")  # a real profiler cannot do with so little
    wait_until(lambda: state_of(client, pipeline, run_id) in over, timeout_s=orchestrator.patience_s)
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
    with pytest.raises((OrchestratorRejected, InvalidInput), match=orchestrator.automation_says):
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
