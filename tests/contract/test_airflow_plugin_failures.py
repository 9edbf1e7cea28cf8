"""What the plugin's interface answers when something behind it goes wrong, and to whom it does not talk at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from minisched.api.airflow_plugin import AirflowPlugin, airflow_plugin_routers
from minisched.domain.errors import (
    MinischedError,
    OrchestratorRejected,
    OrchestratorUnavailable,
    RuntimeUnusable,
    StoreUnavailable,
)
from minisched.domain.pipeline import Document
from minisched.ports import ClientResponse
from tests.airflow_java_client import KNOWN_CODES, basic, deploy_payload
from tests.fakes import MemoryAuditTrail, ScriptedClient

PLUGIN = "/api/v1/openmetadata"
HEADERS = {"Authorization": basic("ann", "pw")}
SERVICE = {"id": "891b373d-a253-4639-ad54-fc17491a7d5d", "name": "shop"}


@pytest.fixture
def orchestrator() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture
def http(orchestrator: ScriptedClient) -> Iterator[TestClient[Litestar]]:
    routers = airflow_plugin_routers(
        AirflowPlugin(client=orchestrator, username="ann", password="pw", audit_trail=MemoryAuditTrail())
    )
    app = Litestar(routers, request_max_body_size=100_000, openapi_config=None, logging_config=None)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def post(http: TestClient[Litestar], route: str, body: Document) -> tuple[int, Document]:
    answer = http.post(f"{PLUGIN}/{route}", json=body, headers=HEADERS)
    assert answer.status_code in KNOWN_CODES
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OrchestratorUnavailable("Runs are being ended."), 503),
        (StoreUnavailable("The database does not answer."), 503),
        (OrchestratorRejected("No orchestrator is configured."), 400),
        (RuntimeUnusable("No environment."), 500),
    ],
)
def test_what_is_wrong_behind_it_is_said(
    http: TestClient[Litestar], orchestrator: ScriptedClient, error: MinischedError, code: int
) -> None:
    orchestrator.script("run", error)
    assert post(http, "trigger", {"dag_id": "p"}) == (code, {"error": str(error)})


def test_a_mistake_of_ours_is_500_without_details(http: TestClient[Litestar], orchestrator: ScriptedClient) -> None:
    def fail(_: object) -> ClientResponse:
        raise RuntimeError("s3cr3t")

    orchestrator.script("run", fail)
    code, body = post(http, "trigger", {"dag_id": "p"})
    assert (code, list(body)) == (500, ["error"])
    assert "s3cr3t" not in body["error"]


@pytest.mark.parametrize(
    "status",
    [
        ClientResponse(500, "No runtime can run anything. main: cannot import metadata"),
        ClientResponse(200, "Pipeline Client Disabled", version="disabled"),
        ClientResponse(200, "The runtime main is starting."),
    ],
)
@pytest.mark.parametrize("route", ["health", "health-auth"])
def test_unhealthy_is_400_with_the_reason(
    http: TestClient[Litestar], orchestrator: ScriptedClient, route: str, status: ClientResponse
) -> None:
    orchestrator.script("status", status)
    answer = http.get(f"{PLUGIN}/{route}", headers=HEADERS)
    assert (answer.status_code, answer.json()) == (400, {"error": status.reason})


def test_a_runtime_that_is_starting_is_healthy(http: TestClient[Litestar], orchestrator: ScriptedClient) -> None:
    orchestrator.script("status", ClientResponse(200, "The runtime main is starting.", version="1.9.3.0"))
    answer = http.get(f"{PLUGIN}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "version": "1.9.3.0"})


def test_a_body_that_is_too_large_is_400(http: TestClient[Litestar]) -> None:
    code, body = post(http, "deploy", {"x": "y" * 200_000})
    assert (code, list(body)) == (400, ["error"])
    assert "too large" in body["error"]


def test_every_field_of_a_payload_reaches_the_orchestrator(
    http: TestClient[Litestar], orchestrator: ScriptedClient
) -> None:
    payload = deploy_payload("http://om:8585/api", service=SERVICE, fromTheFuture=[{"x": None}])
    assert post(http, "deploy", payload)[0] == 200
    assert orchestrator.asked("deploy")[0].subject == payload


def test_the_name_of_the_account_is_who_asked(http: TestClient[Litestar], orchestrator: ScriptedClient) -> None:
    post(http, "trigger", {"dag_id": "p", "conf": {"appConfigOverride": {"a": 1}}})
    options = orchestrator.asked("run")[0].details["options"]
    assert (options.requested_by, options.app_config_override) == ("ann", {"a": 1})


def test_after_too_many_wrong_passwords_the_right_one_has_to_wait_too(http: TestClient[Litestar]) -> None:
    wrong = {"Authorization": basic("ann", "guess")}
    codes = [http.get(f"{PLUGIN}/health-auth", headers=wrong).status_code for _ in range(32)]
    assert codes == [401] * 30 + [403] * 2
    refused = http.get(f"{PLUGIN}/health-auth", headers=HEADERS)
    assert refused.status_code == 403
    assert "try again in" in refused.json()["error"]
    assert http.get(f"{PLUGIN}/health").status_code == 200


def test_asking_without_credentials_is_no_guess(http: TestClient[Litestar]) -> None:
    assert {http.get(f"{PLUGIN}/health-auth").status_code for _ in range(40)} == {401}
    assert http.get(f"{PLUGIN}/health-auth", headers=HEADERS).status_code == 200
