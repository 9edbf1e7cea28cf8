"""Several orchestrators as one: rules choose at the first deploy, and from then on a pipeline is where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.clients.moving import Mover
from minisched.clients.places import Places
from minisched.clients.routed import RoutedClient
from minisched.domain.client_rules import ClientName, rule_of
from minisched.domain.errors import (
    InvalidPipelineConfig,
    NameCollision,
    OrchestratorRejected,
    OrchestratorUnavailable,
)
from minisched.domain.pipeline import Deployment, Document, PipelineRef
from minisched.domain.placement import Placement
from minisched.ports import ClientResponse, RunOptions
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.placements import SqlPlacementStore
from minisched.store.secrets import SecretBox, new_key
from tests.api_worlds import migrated_database
from tests.fakes import ScriptedClient
from tests.fakes_store import ManualClock

BIG = {"client": "airflow", "pipeline": "big_*"}


@dataclass
class Node:
    """Two orchestrators that say yes to everything, as one; `restarted` is the same with other settings."""

    database: Database
    rules: list[dict[str, str]] = field(default_factory=lambda: [BIG])
    default: ClientName = "local"
    box: SecretBox = field(default_factory=lambda: SecretBox([new_key()]))

    def __post_init__(self) -> None:
        self.local, self.airflow = ScriptedClient("local"), ScriptedClient("Airflow")
        self.deployments = SqlDeploymentStore(self.database, self.box)
        self.placements = SqlPlacementStore(self.database, self.box)
        self.clock = ManualClock()
        places = Places(
            {"local": self.local, "airflow": self.airflow},
            default=self.default,
            rules=tuple(rule_of(parts) for parts in self.rules),
            placements=self.placements,
            deployments=self.deployments,
        )
        self.places = places
        self.client = RoutedClient(places, Mover(places, self.clock), self.clock)

    def restarted(self, *rules: dict[str, str], default: ClientName = "local") -> Node:
        return Node(self.database, list(rules), default, self.box)

    def placed(self, pipeline: Document) -> Placement:
        found = self.placements.get(pipeline["id"])
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with closing(open_database(migrated_database(tmp_path / "minisched.db"))) as database:
        yield Node(database)


def a_pipeline(name: str, **changes: Any) -> Document:
    service = {"type": "databaseService", "name": "shop", "fullyQualifiedName": "shop"}
    plain = {"id": str(uuid4()), "name": name, "fullyQualifiedName": f"shop.{name}", "pipelineType": "metadata"}
    return {**plain, "service": service, "sourceConfig": {}, "enabled": True, **changes}


def names(client: ScriptedClient, verb: str) -> list[str]:
    subjects = [call.subject for call in client.asked(verb)]
    return [subject.name if isinstance(subject, PipelineRef) else subject["name"] for subject in subjects]


def test_rules_choose_and_everything_else_goes_where_it_is(node: Node) -> None:
    small, big = a_pipeline("small"), a_pipeline("big_one")
    for pipeline in (small, big):
        assert node.client.deploy_pipeline(pipeline).notes == ()
    for client, pipeline in ((node.local, small), (node.airflow, big)):
        # Callers of the plugin's dialect know the name only, and not always as it was written.
        for ref in (PipelineRef(pipeline["name"], pipeline["id"]), PipelineRef(pipeline["name"])):
            node.client.run_pipeline(ref, RunOptions())
            node.client.toggle_ingestion(ref, enabled=False)
            node.client.get_pipeline_status(ref, only_queued=True)
            node.client.kill_ingestion(ref)
            node.client.get_last_ingestion_logs(ref, None)
        assert names(client, "deploy") == [pipeline["name"]]
        for verb in ("run", "toggle", "statuses", "kill"):
            assert names(client, verb) == [pipeline["name"]] * 2
        assert len(client.asked("logs")) == 2


def test_a_placement_outlives_the_rules_and_a_deploy_says_that_it_stays(node: Node) -> None:
    big = a_pipeline("big_one")
    node.client.deploy_pipeline(big)
    later = node.restarted()
    done = later.client.deploy_pipeline({**big, "sourceConfig": {"config": {}}})
    assert names(later.airflow, "deploy") == ["big_one"]
    assert later.local.calls == []
    [note] = done.notes
    assert "It stays in Airflow" in note
    assert "minisched pipeline move shop.big_one --to local" in note
    assert note in str(done.reason)
    assert later.placed(big).client == "airflow"


def test_what_is_deleted_is_placed_anew(node: Node) -> None:
    big = a_pipeline("big_one")
    node.client.deploy_pipeline(big)
    later = node.restarted()
    later.client.delete_pipeline(PipelineRef("big_one"))
    assert names(later.airflow, "delete") == ["big_one"]
    later.client.deploy_pipeline(big)
    assert later.placed(big).client == "local"


def test_a_deletion_that_fails_leaves_it_placed(node: Node) -> None:
    big = a_pipeline("big_one")
    node.client.deploy_pipeline(big)
    node.airflow.script("delete", OrchestratorUnavailable("no answer"))
    with pytest.raises(OrchestratorUnavailable):
        node.client.delete_pipeline(PipelineRef("big_one", big["id"]))
    assert node.placed(big).client == "airflow"


def test_a_first_deploy_that_is_refused_places_nothing_and_one_without_an_answer_does(node: Node) -> None:
    big = a_pipeline("big_one")
    node.airflow.script("deploy", InvalidPipelineConfig("no"))
    with pytest.raises(InvalidPipelineConfig):
        node.client.deploy_pipeline(big)
    assert node.placements.all() == []
    node.airflow.script("deploy", OrchestratorUnavailable("no answer in time"))
    with pytest.raises(OrchestratorUnavailable):
        node.client.deploy_pipeline(big)
    assert node.placed(big).client == "airflow"
    node.airflow.script("deploy", InvalidPipelineConfig("no"))
    with pytest.raises(InvalidPipelineConfig):
        node.client.deploy_pipeline(big)
    assert node.placed(big).client == "airflow"


@pytest.mark.parametrize("document", [{"name": "x"}, {"id": "1"}])
def test_a_document_without_identity_is_refused(node: Node, document: Document) -> None:
    with pytest.raises(InvalidPipelineConfig, match="Missing parameter"):
        node.client.deploy_pipeline(document)
    assert node.placements.all() == []


def test_one_workflow_id_means_one_pipeline_wherever_it_is(node: Node) -> None:
    node.client.deploy_pipeline(a_pipeline("big_a b"))
    with pytest.raises(NameCollision, match=r"'big_a_b' belongs to shop\.big_a b already"):
        node.restarted().client.deploy_pipeline(a_pipeline("big_a.b"))


def deployed_before_there_was_a_choice(node: Node, pipeline: Document) -> None:
    node.deployments.upsert(
        Deployment(
            pipeline["id"],
            pipeline["name"],
            pipeline["fullyQualifiedName"],
            "metadata",
            pipeline,
            enabled=True,
            deployed_at=node.clock.now(),
        )
    )


def test_what_is_deployed_here_already_is_here(node: Node) -> None:
    old = a_pipeline("big_old")
    deployed_before_there_was_a_choice(node, old)
    later = node.restarted(default="airflow")
    later.client.run_pipeline(PipelineRef("big_old"), RunOptions())
    later.client.run_pipeline(PipelineRef("big_old", old["id"]), RunOptions())
    assert names(later.local, "run") == ["big_old"] * 2
    with pytest.raises(NameCollision):
        later.client.deploy_pipeline(a_pipeline("big.old"))
    assert "stays in this machine" in later.client.deploy_pipeline(old).notes[0]
    assert (later.placed(old).client, later.airflow.calls) == ("local", [])


def test_what_nobody_deployed_is_asked_of_the_default(node: Node) -> None:
    airflow_first = node.restarted(default="airflow")
    airflow_first.client.kill_ingestion(PipelineRef("stranger"))
    assert names(airflow_first.airflow, "kill") == ["stranger"]


def test_a_runtime_is_one_of_this_machine(node: Node) -> None:
    node.client.deploy_pipeline(big := a_pipeline("big_one"), runtime="om-1.5")
    node.client.run_automation({"name": "big_test"}, runtime="om-1.5")
    node.client.get_service_status(runtime="om-1.5")
    assert (node.placed(big).client, node.airflow.calls) == ("local", [])


def test_automations_go_by_the_rules(node: Node) -> None:
    later = node.restarted({"client": "airflow", "serviceType": "dashboardService"})
    later.client.run_automation({"name": "a", "request": {"serviceType": "Dashboard"}})
    later.client.run_automation({"name": "b", "request": {"serviceType": "Database"}})
    assert names(later.airflow, "automation") == ["a"]
    assert names(later.local, "automation") == ["b"]


def test_it_is_well_when_all_that_are_in_use_are(node: Node) -> None:
    assert node.client.get_service_status() == ClientResponse(200, None, "local", "2.0.7")
    node.airflow.script("status", ClientResponse(500, "Wrong password.", "Airflow"))
    ill = node.client.get_service_status()
    assert (ill.code, ill.platform, ill.reason) == (500, "local", "local: well; airflow: Wrong password.")
    # An Airflow that is set up and has nothing is none of anybody's business.
    unused = node.restarted()
    unused.airflow.script("status", ClientResponse(500, "Wrong password.", "Airflow"))
    assert unused.client.get_service_status().code == 200
    assert unused.airflow.calls == []


def test_a_pipeline_in_an_orchestrator_that_is_not_named_any_more(node: Node) -> None:
    big = a_pipeline("big_one")
    node.client.deploy_pipeline(big)
    del node.places.clients["airflow"]  # type: ignore[attr-defined]
    with pytest.raises(OrchestratorRejected, match=r"Airflow.*Set airflow\.url and airflow\.password"):
        node.client.run_pipeline(PipelineRef("big_one"), RunOptions())
    with pytest.raises(OrchestratorRejected):
        node.client.deploy_pipeline(big)
    assert node.client.get_service_status().code == 500
    assert names(node.local, "deploy") == []


@pytest.mark.parametrize(
    ("asked", "keep_toggled", "enabled"), [(True, False, True), (True, True, False), (None, False, False)]
)
def test_whether_it_fires_elsewhere_is_remembered(
    node: Node, asked: bool | None, keep_toggled: bool, enabled: bool
) -> None:
    big = a_pipeline("big_one")
    node.client.deploy_pipeline(big)
    node.client.toggle_ingestion(PipelineRef("big_one"), enabled=False)
    assert node.placed(big).enabled is False
    node.client.deploy_pipeline({**big, "enabled": asked}, keep_toggled=keep_toggled)
    assert node.placed(big).enabled is enabled
    assert node.placements.document(big["id"]) == {**big, "enabled": asked}


def test_what_this_machine_has_is_not_kept_twice(node: Node) -> None:
    node.client.deploy_pipeline(small := a_pipeline("small"))
    assert node.placements.document(small["id"]) is None
