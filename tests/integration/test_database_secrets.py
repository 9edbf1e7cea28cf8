"""Secrets at rest: never in clear in any file, readable after a rotation, and a clear refusal without the key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import Document
from minisched.domain.placement import placement_of
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.documents import open_document_store
from minisched.store.engine import Database, open_database
from minisched.store.pipelines import SqlPipelineStore
from minisched.store.placements import SqlPlacementStore
from minisched.store.rotation import rotate
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, key_id, new_key
from minisched.store.statuses import SqlPipelineStatusStore
from minisched.store.tables import metadata
from tests.contract.test_deployment_store import a_deployment
from tests.contract.test_pipeline_store import a_pipeline, changed
from tests.fakes_store import ManualClock
from tests.store_kinds import a_run

CANARY = "canary-5f1e7c"


def secrets_of_every_shape() -> Document:
    return {
        "service": {"connection": {"config": {"password": CANARY, "username": "reader"}}},
        "openMetadataServerConnection": {
            "securityConfig": {"jwtToken": CANARY + "jwt"},
            "extraHeaders": {"X-Anything": CANARY},
        },
        "appPrivateConfig": {"anything": [CANARY, {"below": CANARY}]},
        "privateKeys": [CANARY],
    }


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    with closing(open_database(sqlite_url)) as opened:
        yield opened


def fill(database: Database, box: SecretBox) -> tuple[str, str]:
    """One row with secrets in every table that may hold any; the ids of the pipeline and of the run."""
    pipeline = changed(a_pipeline(), **secrets_of_every_shape())
    pipelines = SqlPipelineStore(database, box)
    pipelines.create(pipeline)
    pipelines.replace(changed(pipeline, version=0.2), expected=pipeline)
    SqlPipelineStatusStore(database, box).put(pipeline.fqn, {"runId": str(uuid4()), "config": secrets_of_every_shape()})
    SqlDeploymentStore(database, box).upsert(a_deployment(id=pipeline.id, document=pipeline.document))
    SqlPlacementStore(database, box).put(
        placement_of(pipeline.document, "airflow", ManualClock().now()), pipeline.document
    )
    run = SqlRunStore(database, box, ManualClock()).enqueue(a_run(overrides=secrets_of_every_shape()))
    return pipeline.id, run.id


def assert_readable(database: Database, box: SecretBox, pipeline_id: str, run_id: str) -> None:
    pipelines = SqlPipelineStore(database, box)
    for pipeline in pipelines.history(pipeline_id):
        assert {**pipeline.document, **secrets_of_every_shape()} == pipeline.document
    (status,) = SqlPipelineStatusStore(database, box).search(pipelines.get(pipeline_id).fqn)
    assert status["config"] == secrets_of_every_shape()
    deployment = SqlDeploymentStore(database, box).get(pipeline_id)
    assert deployment is not None
    assert {**deployment.document, **secrets_of_every_shape()} == deployment.document
    placed = SqlPlacementStore(database, box).document(pipeline_id)
    assert placed is not None
    assert {**placed, **secrets_of_every_shape()} == placed
    assert SqlRunStore(database, box, ManualClock()).get(run_id).overrides == secrets_of_every_shape()


def test_no_file_holds_a_secret_in_clear(database: Database, tmp_path: Path) -> None:
    box = SecretBox([new_key()])
    fill(database, box)
    store = open_document_store(tmp_path / "sandbox.db", box)
    store.put("databaseService", [{"id": str(uuid4()), "name": "s", **secrets_of_every_shape()}])
    forms = [CANARY.encode(), base64.b64encode(CANARY.encode())[:12]]
    names = set()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert not any(form in content for form in forms), path
        names.add(path.name)
    assert {"minisched.db", "minisched.db-wal", "sandbox.db", "sandbox.db-wal"} <= names
    assert b"reader" in (tmp_path / "minisched.db-wal").read_bytes()
    store.close()


def test_rotation_moves_every_secret_to_the_new_key(database: Database) -> None:
    old, new = new_key(), new_key()
    ids = fill(database, SecretBox([old]))
    rows = rotate(database, SecretBox([new, old]))
    assert rows == 6
    only_new = SecretBox([new])
    assert_readable(database, only_new, *ids)
    assert key_id(old) not in everything(database)
    assert (
        SqlDeploymentStore(database, only_new).upsert(
            a_deployment(id=ids[0], document=SqlPipelineStore(database, only_new).history(ids[0])[-1].document)
        )
        is False
    )
    current = SqlPipelineStore(database, only_new).get(ids[0])
    SqlPipelineStore(database, only_new).replace(changed(current, version=0.3), expected=current)


def everything(database: Database) -> str:
    with database.read() as connection:
        return "".join(str(row) for table in metadata.sorted_tables for row in connection.execute(select(table)))


def test_a_new_key_in_front_needs_no_rotation_to_go_on(database: Database) -> None:
    old, new = new_key(), new_key()
    ids = fill(database, SecretBox([old]))
    both = SecretBox([new, old])
    assert_readable(database, both, *ids)
    current = SqlPipelineStore(database, both).get(ids[0])
    SqlPipelineStore(database, both).replace(changed(current, version=0.3), expected=current)
    assert key_id(old) in everything(database)
    assert key_id(new) in everything(database)


def test_the_wrong_key_is_named_with_what_to_do(database: Database) -> None:
    old, new = new_key(), new_key()
    pipeline_id, _ = fill(database, SecretBox([old]))
    with pytest.raises(ConfigurationError) as refusal:
        SqlPipelineStore(database, SecretBox([new])).get(pipeline_id)
    assert key_id(old) in str(refusal.value)
    assert "Add the key" in str(refusal.value)
    assert old not in str(refusal.value)
    with pytest.raises(ConfigurationError):
        rotate(database, SecretBox([new]))


def test_deploying_again_replaces_what_a_lost_key_sealed(database: Database) -> None:
    deployment = a_deployment(document=secrets_of_every_shape())
    SqlDeploymentStore(database, SecretBox([new_key()])).upsert(deployment)
    store = SqlDeploymentStore(database, SecretBox([new_key()]))
    assert store.upsert(deployment) is True
    assert store.get(deployment.id) == deployment


def test_the_sandbox_is_rotated_too(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    document = {"id": str(uuid4()), "name": "s", **secrets_of_every_shape()}
    for box, expected in ((SecretBox([old]), None), (SecretBox([new, old]), 1), (SecretBox([new]), 1)):
        store = open_document_store(tmp_path / "sandbox.db", box)
        if expected is None:
            store.put("service", [document])
        else:
            assert store.rotate() == expected
        assert store.get("service", document["id"]) == document
        store.close()
