"""The rules of an IngestionPipeline entity: creation, PUT, PATCH, what reaches the orchestrator."""

from __future__ import annotations

from typing import Any

import pytest

from minisched.domain import entity
from minisched.domain.entity_versions import Stamp
from minisched.domain.errors import InvalidInput, InvalidPipelineConfig
from minisched.domain.pipeline import Document
from minisched.domain.secrets import MASK

SERVICE = {"id": "s1", "type": "databaseService", "name": "mysql", "fullyQualifiedName": "mysql"}
OWNER = {"id": "o1", "type": "user", "name": "admin", "fullyQualifiedName": "admin"}
OTHER_OWNER = {"id": "o2", "type": "team", "name": "data", "fullyQualifiedName": "data"}
STAMP = Stamp(by="ann", at_ms=1_700_000_000_000)


def a_request(**changes: Any) -> Document:
    request = {
        "name": "nightly",
        "pipelineType": "metadata",
        "sourceConfig": {"config": {"type": "DatabaseMetadata", "includeViews": False}},
        "airflowConfig": {"scheduleInterval": "0 * * * *"},
    }
    return {**request, **changes}


def created(owners: tuple[Document, ...] = (), **changes: Any) -> Document:
    references = entity.References(SERVICE, owners=owners)
    return entity.new_entity(a_request(**changes), references, entity_id="p1", stamp=STAMP)


def put(stored: Document, owners: tuple[Document, ...] = (), **changes: Any) -> Document:
    return entity.replaced(stored, a_request(**changes), entity.References(SERVICE, owners=owners))


def patched(stored: Document, **changes: Any) -> Document:
    candidate = {**stored, **changes}
    entity.refuse_restricted(stored, candidate)
    return entity.patched(stored, candidate, entity.References(SERVICE, owners=candidate["owners"]))


# --- creation ---------------------------------------------------------------------------------------------------------


def test_what_was_not_sent_has_its_default() -> None:
    made = created()
    assert made["airflowConfig"] == {
        "pausePipeline": False,
        "concurrency": 1,
        "pipelineTimezone": "UTC",
        "retries": 0,
        "retryDelay": 300,
        "pipelineCatchup": False,
        "scheduleInterval": "0 * * * *",
        "maxActiveRuns": 1,
        "workflowDefaultView": "tree",
        "workflowDefaultViewOrientation": "LR",
    }
    assert made["sourceConfig"]["config"]["includeViews"] is False
    assert made["sourceConfig"]["config"]["includeTables"] is True
    wanted = {
        "loggerLevel": "INFO",
        "raiseOnError": True,
        "provider": "user",
        "enableStreamableLogs": False,
        "deployed": False,
        "enabled": True,
        "deleted": False,
        "version": 0.1,
        "updatedAt": STAMP.at_ms,
        "updatedBy": "ann",
    }
    assert made.items() >= wanted.items()
    assert "displayName" not in made
    assert "href" not in made


@pytest.mark.parametrize(
    ("name", "fqn"),
    [
        ("nightly", "mysql.nightly"),
        ("a.b", 'mysql."a.b"'),
        ("a/b c", "mysql.a/b c"),
        ("名前", "mysql.名前"),
        ('say "hi"', 'mysql."say \\"hi\\""'),
    ],
)
def test_the_fqn_is_that_of_the_service_and_the_quoted_name(name: str, fqn: str) -> None:
    assert created(name=name)["fullyQualifiedName"] == fqn


def test_a_config_without_a_known_type_comes_back_as_it_was_sent() -> None:
    config = {"type": "FromTheFuture", "depth": 3, "nothing": None}
    stored = created(sourceConfig={"config": config})["sourceConfig"]["config"]
    assert stored == {"type": "FromTheFuture", "depth": 3}


@pytest.mark.parametrize(("service_type", "expected"), [("databaseService", True), ("storageService", None)])
def test_defaults_may_depend_on_the_kind_of_service(service_type: str, expected: bool | None) -> None:
    references = entity.References({**SERVICE, "type": service_type})
    request = a_request(pipelineType="autoClassification", sourceConfig={"config": {"type": "AutoClassification"}})
    made = entity.new_entity(request, references, entity_id="p1", stamp=STAMP)
    assert made["sourceConfig"]["config"].get("includeViews") is expected
    assert made["sourceConfig"]["config"]["confidence"] == 80


def test_two_entities_do_not_share_their_defaults() -> None:
    one = created(sourceConfig={"config": {"type": "Profiler"}})
    one["sourceConfig"]["config"]["processingEngine"]["type"] = "Spark"
    other = created(sourceConfig={"config": {"type": "Profiler"}})
    assert other["sourceConfig"]["config"]["processingEngine"] == {"type": "Native"}


def test_the_type_of_an_application_is_taken_from_its_config() -> None:
    made = created(sourceConfig={"config": {"type": "Application", "appConfig": {"type": "Mailer"}}})
    assert made["applicationType"] == "Mailer"


def test_a_masked_secret_cannot_be_created() -> None:
    with pytest.raises(InvalidPipelineConfig, match="masked"):
        created(sourceConfig={"config": {"type": "X", "password": MASK}})


# --- PUT --------------------------------------------------------------------------------------------------------------


def test_a_put_keeps_what_it_does_not_name_and_removes_texts() -> None:
    stored = created(loggerLevel="DEBUG", raiseOnError=False, displayName="Nightly", description="d", owners=(OWNER,))
    stored = {**stored, "enabled": False, "deployed": True}
    after = put(stored)
    assert after["loggerLevel"] == "DEBUG"
    assert after["raiseOnError"] is False
    assert after["enabled"] is False
    assert after["deployed"] is True
    assert after["id"] == stored["id"]
    assert "displayName" not in after
    assert "description" not in after


def test_a_put_replaces_owners_but_does_not_remove_them() -> None:
    stored = created(owners=(OWNER,))
    assert put(stored)["owners"] == [OWNER]
    assert put(stored, owners=(OTHER_OWNER,))["owners"] == [OTHER_OWNER]


def test_a_put_brings_a_deleted_entity_back_and_does_not_change_the_provider() -> None:
    stored = entity.marked_deleted(created(provider="automation"), deleted=True)
    after = put(stored, provider="user")
    assert after["deleted"] is False
    assert after["provider"] == "automation"


def test_a_put_replaces_configs_as_a_whole() -> None:
    stored = created(airflowConfig={"scheduleInterval": "0 * * * *", "retries": 5})
    after = put(stored, airflowConfig={"retryDelay": 7})
    assert after["airflowConfig"]["retries"] == 0
    assert after["airflowConfig"]["retryDelay"] == 7
    assert "scheduleInterval" not in after["airflowConfig"]


def test_a_masked_secret_of_a_put_is_the_stored_one() -> None:
    stored = created(sourceConfig={"config": {"type": "X", "password": "s3cret", "host": "a"}})
    after = put(stored, sourceConfig={"config": {"type": "X", "password": MASK, "host": "b"}})
    assert after["sourceConfig"]["config"] == {"type": "X", "password": "s3cret", "host": "b"}


# --- PATCH ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "p2"),
        ("name", "other"),
        ("service", {**SERVICE, "id": "s2"}),
        ("deleted", True),
        ("deployed", True),
        ("name", None),
    ],
)
def test_a_patch_may_not_change_what_identifies_an_entity(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"attribute {field} can't be modified"):
        patched(created(), **{field: value})


def test_a_service_with_more_words_is_the_same_service() -> None:
    after = patched(created(), service={**SERVICE, "href": "http://x", "displayName": "MySQL"})
    assert after["service"] == SERVICE


def test_a_patch_of_what_belongs_to_the_server_is_undone() -> None:
    stored = created()
    after = patched(stored, version=9.9, updatedBy="me", fullyQualifiedName="x", href="http://x", provider="system")
    assert after == stored


@pytest.mark.parametrize("field", ["sourceConfig", "airflowConfig", "pipelineType"])
def test_a_patch_cannot_remove_what_is_required(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{field}: is required"):
        patched(created(), **{field: None})


def test_a_removed_setting_has_its_default_again() -> None:
    stored = created(loggerLevel="DEBUG", displayName="Nightly")
    after = patched(stored, loggerLevel=None, displayName=None, enabled=None)
    assert after["loggerLevel"] == "INFO"
    assert after["enabled"] is True
    assert "displayName" not in after


# --- the orchestrator -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("airflowConfig", {"scheduleInterval": "0 3 * * *"}, True),
        ("airflowConfig", {"scheduleInterval": "0 * * * *", "pipelineTimezone": "Europe/Rome"}, True),
        ("sourceConfig", {"config": {"type": "DatabaseMetadata"}}, True),
        ("loggerLevel", "DEBUG", True),
        ("enabled", False, True),
        ("raiseOnError", False, True),
        ("displayName", "Nightly", False),
        ("description", "d", False),
        ("owners", [OTHER_OWNER], False),
    ],
)
def test_only_what_the_orchestrator_acts_on_is_deployed_anew(field: str, value: object, expected: bool) -> None:
    stored = entity.deployed(created(), is_deployed=True)
    assert entity.needs_deploy(stored, patched(stored, **{field: value})) is expected


def test_what_is_not_deployed_is_not_deployed_by_a_change() -> None:
    stored = created()
    assert not entity.needs_deploy(stored, patched(stored, loggerLevel="DEBUG"))


def test_what_is_no_longer_deployed_is_not_deployed_anew() -> None:
    stored = entity.deployed(created(), is_deployed=True)
    after = entity.deployed(patched(stored, enabled=False), is_deployed=False)
    assert not entity.needs_deploy(stored, after)


def test_what_the_system_provides_is_not_deleted() -> None:
    with pytest.raises(InvalidInput, match="nightly"):
        entity.refuse_deletion(created(provider="system"))
    entity.refuse_deletion(created())


def test_a_reference_is_stored_with_its_names_only() -> None:
    resolved = {**OWNER, "displayName": None, "href": "http://om/users/o1", "email": "a@b.example"}
    assert entity.reference(resolved) == {**OWNER, "href": "http://om/users/o1"}
