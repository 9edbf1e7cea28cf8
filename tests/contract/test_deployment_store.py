"""What every DeploymentStore does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from minisched.domain.errors import NameCollision
from minisched.domain.pipeline import Deployment, Judgement
from tests.store_kinds import EPOCH, KINDS, Stores, opened


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with opened(request.param, request) as found:
        yield found


def a_deployment(name: str = "nightly", **changes: Any) -> Deployment:
    document = {
        "name": name,
        "service": {"fullyQualifiedName": "shop", "type": "databaseService"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        "openMetadataServerConnection": {"securityConfig": {"jwtToken": "tok3n"}},
    }
    values: dict[str, Any] = {
        "id": str(uuid4()),
        "name": name,
        "fqn": f"shop.{name}",
        "pipeline_type": "metadata",
        "document": document,
        "enabled": True,
        "deployed_at": EPOCH,
    }
    return Deployment(**{**values, **changes})


def test_a_deployment_comes_back_whole(stores: Stores) -> None:
    deployment = a_deployment('täglich "a.b"')
    assert stores.deployments.upsert(deployment) is True
    assert stores.deployments.get(deployment.id) == deployment
    assert stores.deployments.find(deployment.clean_name) == deployment
    assert list(stores.deployments.get(deployment.id).document) == list(deployment.document)  # type: ignore[union-attr]


def test_what_is_not_deployed_is_none(stores: Stores) -> None:
    assert stores.deployments.get(str(uuid4())) is None
    assert stores.deployments.find("nightly") is None
    assert stores.deployments.all() == []


def test_deploying_the_same_again_changes_nothing(stores: Stores) -> None:
    deployment = a_deployment()
    stores.deployments.upsert(deployment)
    later = replace(deployment, deployed_at=EPOCH + timedelta(hours=1))
    assert stores.deployments.upsert(later) is False
    assert stores.deployments.get(deployment.id) == deployment


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"document": {"name": "nightly"}},
        {"name": "daily"},
        {"fqn": "x"},
        {"pipeline_type": "usage"},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_any_difference_is_stored(stores: Stores, change: dict[str, Any]) -> None:
    deployment = a_deployment()
    stores.deployments.upsert(deployment)
    changed = replace(deployment, deployed_at=EPOCH + timedelta(hours=1), **change)
    assert stores.deployments.upsert(changed) is True
    assert stores.deployments.get(deployment.id) == changed
    assert stores.deployments.count() == 1


def test_a_secret_alone_is_a_difference(stores: Stores) -> None:
    deployment = a_deployment()
    stores.deployments.upsert(deployment)
    renewed = replace(
        deployment, document={**deployment.document, "openMetadataServerConnection": {"jwtToken": "other"}}
    )
    assert stores.deployments.upsert(renewed) is True
    assert stores.deployments.get(deployment.id) == renewed


def test_two_pipelines_cannot_share_a_clean_name(stores: Stores) -> None:
    first = a_deployment("a.b")
    stores.deployments.upsert(first)
    with pytest.raises(NameCollision):
        stores.deployments.upsert(a_deployment("a b"))
    assert stores.deployments.all() == [first]
    stores.deployments.upsert(a_deployment("A_b"))


def test_names_may_be_long(stores: Stores) -> None:
    one, other = a_deployment("n" * 3_000), a_deployment("n" * 3_001)
    stores.deployments.upsert(one)
    stores.deployments.upsert(other)
    assert stores.deployments.find(other.clean_name) == other


def test_the_schedule_can_be_enabled_and_disabled(stores: Stores) -> None:
    deployment = a_deployment()
    stores.deployments.upsert(deployment)
    assert stores.deployments.set_enabled(deployment.id, enabled=False, at=EPOCH) is True
    assert stores.deployments.set_enabled(deployment.id, enabled=False, at=EPOCH) is True
    assert stores.deployments.get(deployment.id) == replace(deployment, enabled=False)
    assert stores.deployments.set_enabled(str(uuid4()), enabled=True, at=EPOCH) is False


def test_a_deleted_deployment_is_gone_and_its_name_free(stores: Stores) -> None:
    deployment = a_deployment()
    stores.deployments.upsert(deployment)
    assert stores.deployments.delete(deployment.id, at=EPOCH) is True
    assert stores.deployments.delete(deployment.id, at=EPOCH) is False
    assert stores.deployments.find(deployment.clean_name) is None
    assert stores.deployments.upsert(a_deployment()) is True


def test_all_are_listed_by_fqn(stores: Stores) -> None:
    names = ["b", "a", "É", "Z", "aa"]
    for name in names:
        stores.deployments.upsert(a_deployment(f"x{names.index(name)}", fqn=name))
    assert [deployment.fqn for deployment in stores.deployments.all()] == sorted(names)
    assert stores.deployments.count() == 5


def test_the_runtime_and_what_its_models_said_are_kept(stores: Stores) -> None:
    deployment = a_deployment(runtime="om-1.5", judgement=Judgement("1.5.15.0", ("sourceConfig.config.é\0",)))
    assert stores.deployments.upsert(deployment) is True
    assert stores.deployments.get(deployment.id) == deployment
    assert stores.deployments.upsert(deployment) is False
    changed = replace(deployment, judgement=Judgement("2.0.7.0"))
    assert stores.deployments.upsert(changed) is True
    assert stores.deployments.get(deployment.id) == changed
