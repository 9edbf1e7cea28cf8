"""The API under test, one for all tests of a module: they keep apart by the names of what they create."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document
from minisched.ports import EntityRef
from tests.api_worlds import BASE_URL, OWNER_ID, SERVICE_ID, TEAM_ID, World, in_process
from tests.contract.ingestion_pipelines import Api


@pytest.fixture(scope="module", params=["in_process", "live"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    directory = tmp_path_factory.mktemp("api")
    if request.param == "live":
        with live_api(directory) as api:
            yield api
        return
    with in_process(directory) as world:
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


@contextmanager
def live_api(directory: Path) -> Iterator[Api]:
    """`minisched serve` as a process of its own, its services and owners in its sandbox; nothing runs in it."""
    variables = {"MINISCHED_EXECUTOR__DRAIN": "stop", "MINISCHED_LAUNCHER__LINGER_S": "1"}
    with ServerProcess(directory / "data", variables) as process:
        process.wait_until_live()
        with httpx.Client(base_url=process.url, trust_env=False, timeout=30) as http:

            def made(kind: str, path: str, document: Document) -> Document:
                answer = http.put(f"/api/v1/{path}", json=document)
                assert answer.is_success, answer.text
                return {"id": answer.json()["id"], "type": kind, "name": document["name"]}

            def new_service(name: str) -> Document:
                return made("databaseService", "services/databaseServices", {"name": name, "serviceType": "Mysql"})

            yield Api(
                http,
                process.url,
                service=new_service("mysql"),
                owner=made("user", "users", {"name": "ann", "email": "ann@example.org"}),
                other_owner=made("team", "teams", {"name": "data", "teamType": "Group"}),
                new_service=new_service,
            )
