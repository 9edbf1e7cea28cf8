"""The API under test, one for all tests of a module: they keep apart by the names of what they create."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document, quote_name
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
    def new_service(name: str, owner: Document | None = None) -> Document:
        extra = {"owners": [owner]} if owner else {}
        service = world.directory.add(EntityRef(str(uuid4()), "databaseService", name, name, extra))
        return {"id": service.id, "type": service.type, "name": name}

    def new_table(fqn: str) -> None:
        world.directory.add(EntityRef(str(uuid4()), "table", fqn.rpartition(".")[2], fqn))

    def new_test_case(table: str, name: str) -> tuple[Document, str]:
        suite = world.directory.add(EntityRef(str(uuid4()), "testSuite", "testSuite", f"{table}.testSuite"))
        reference = {"id": suite.id, "type": suite.type, "fullyQualifiedName": suite.fully_qualified_name}
        fqn = f"{table}.{quote_name(name)}"
        world.directory.add(EntityRef(str(uuid4()), "testCase", name, fqn, {"testSuite": reference}))
        return {"id": suite.id, "type": suite.type, "name": suite.name}, fqn

    return Api(
        world.http,
        BASE_URL,
        service={"id": SERVICE_ID, "type": "databaseService", "name": "mysql"},
        owner={"id": OWNER_ID, "type": "user", "name": "admin"},
        other_owner={"id": TEAM_ID, "type": "team", "name": "data"},
        new_service=new_service,
        new_table=new_table,
        new_test_case=new_test_case,
    )


@contextmanager
def live_api(directory: Path) -> Iterator[Api]:
    """`minisched serve` as a process of its own, its services and owners in its sandbox; nothing runs in it."""
    variables = {"MINISCHED_EXECUTOR__DRAIN": "stop", "MINISCHED_LAUNCHER__LINGER_S": "1"}
    with ServerProcess(directory / "data", variables) as process:
        process.wait_until_live()
        headers = {"Authorization": process.authorization or ""}
        with httpx.Client(base_url=process.url, trust_env=False, timeout=30, headers=headers) as http:

            def made(kind: str, path: str, document: Document) -> Document:
                answer = http.put(f"/api/v1/{path}", json=document)
                assert answer.is_success, answer.text
                return {"id": answer.json()["id"], "type": kind, "name": document["name"]}

            def new_service(name: str, owner: Document | None = None) -> Document:
                request: Document = {"name": name, "serviceType": "Mysql"}
                if owner:
                    request["owners"] = [{"id": owner["id"], "type": owner["type"]}]
                return made("databaseService", "services/databaseServices", request)

            def new_table(fqn: str) -> None:
                service, database, schema, table = fqn.split(".")
                made("database", "databases", {"name": database, "service": service})
                made("databaseSchema", "databaseSchemas", {"name": schema, "database": f"{service}.{database}"})
                columns = [{"name": "id", "dataType": "INT"}]
                parent = f"{service}.{database}.{schema}"
                made("table", "tables", {"name": table, "databaseSchema": parent, "columns": columns})

            def new_test_case(table: str, name: str) -> tuple[Document, str]:
                request = {
                    "name": name,
                    "entityLink": f"<#E::table::{table}>",
                    "testDefinition": "tableRowCountToEqual",
                }
                case = http.put("/api/v1/dataQuality/testCases", json=request)
                assert case.is_success, case.text
                suite = case.json()["testSuite"]
                reference = {"id": suite["id"], "type": "testSuite", "name": suite["name"]}
                return reference, str(case.json()["fullyQualifiedName"])

            yield Api(
                http,
                process.url,
                service=new_service("mysql"),
                owner=made("user", "users", {"name": "ann", "email": "ann@example.org"}),
                other_owner=made("team", "teams", {"name": "data", "teamType": "Group"}),
                new_service=new_service,
                new_table=new_table,
                new_test_case=new_test_case,
            )
