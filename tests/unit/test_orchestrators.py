"""Which orchestrators the settings name, and when they are one for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from minisched.app.orchestrators import Orchestrators, orchestrators
from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.noop import NoopClient
from minisched.clients.routed import RoutedClient
from minisched.domain.placement import placement_of
from minisched.settings import Settings
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.placements import SqlPlacementStore
from minisched.store.secrets import SecretBox, new_key
from tests.api_worlds import migrated_database
from tests.fakes import ScriptedClient
from tests.fakes_store import ManualClock

BOX = SecretBox([new_key()])
AIRFLOW = {"url": "http://airflow:8080", "password": "p"}
LOCAL: Any = ScriptedClient("local")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(migrated_database(tmp_path / "minisched.db"))) as opened:
        yield opened


def made(database: Database, **settings: Any) -> Orchestrators:
    server = AirflowServer(url="http://airflow:8080", username="admin", password="p")
    return orchestrators(
        Settings.model_validate(settings),
        local=lambda: LOCAL,
        airflow=lambda: AirflowClient(server, complete=lambda document: document),
        placements=SqlPlacementStore(database, BOX),
        deployments=SqlDeploymentStore(database, BOX),
        clock=ManualClock(),
    )


def test_the_only_one_there_is_is_asked_directly(database: Database) -> None:
    assert made(database).client is LOCAL
    assert made(database, client_rules=[{"client": "local"}]).client is LOCAL
    none = made(database, client="noop", airflow=AIRFLOW)
    assert isinstance(none.client, NoopClient)
    assert none.run_here is False


@pytest.mark.parametrize(
    ("settings", "names", "in_use"),
    [
        ({"airflow": AIRFLOW}, ["local", "airflow"], ["local"]),
        ({"client": "airflow", "airflow": AIRFLOW}, ["local", "airflow"], ["airflow"]),
        ({"client": "noop", "client_rules": [{"client": "local"}]}, ["noop", "local"], ["noop", "local"]),
        (
            {"client_rules": [{"client": "airflow", "service": "big"}], "airflow": AIRFLOW},
            ["local", "airflow"],
            ["local", "airflow"],
        ),
    ],
)
def test_several_are_one(database: Database, settings: dict[str, Any], names: list[str], in_use: list[str]) -> None:
    both = made(database, **settings)
    assert isinstance(both.client, RoutedClient)
    assert list(both.places.clients) == names
    assert both.places.in_use() == in_use


def test_what_was_placed_elsewhere_is_not_forgotten_with_the_settings(database: Database) -> None:
    placement = placement_of({"id": "1", "name": "big"}, "airflow", ManualClock().now())
    SqlPlacementStore(database, BOX).put(placement, {"name": "big"})
    alone = made(database)
    assert isinstance(alone.client, RoutedClient)
    assert "Set airflow.url" in str(alone.client.get_service_status().reason)
