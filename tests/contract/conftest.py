"""The API under test, one for all tests of a module: they keep apart by the names of what they create."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from minisched.domain.pipeline import Document
from minisched.ports import EntityRef
from tests.api_worlds import BASE_URL, OWNER_ID, SERVICE_ID, TEAM_ID, World, in_process
from tests.contract.ingestion_pipelines import Api


@pytest.fixture(scope="module", params=["in_process"])
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with in_process(tmp_path_factory.mktemp("api")) as world:
        yield api_of(world)


def api_of(world: World) -> Api:
    def new_service(name: str) -> Document:
        service = world.directory.add(EntityRef(str(uuid4()), "databaseService", name, name))
        return {"id": service.id, "type": service.type, "name": name}

    return Api(
        world.http,
        BASE_URL,
        service={"id": SERVICE_ID, "type": "databaseService", "name": "mysql"},
        owner={"id": OWNER_ID, "type": "user", "name": "admin"},
        other_owner={"id": TEAM_ID, "type": "team", "name": "data"},
        new_service=new_service,
    )
