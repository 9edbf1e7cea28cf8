"""The orchestrators that the settings name, as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minisched.clients.airflow import AirflowClient
from minisched.clients.local import LocalClient
from minisched.clients.moving import Mover
from minisched.clients.noop import NoopClient
from minisched.clients.places import Places
from minisched.clients.routed import RoutedClient
from minisched.domain.client_rules import ClientName, rule_of
from minisched.ports import Clock, DeploymentStore, PipelineServiceClient, PlacementStore
from minisched.settings import Settings


@dataclass(frozen=True, slots=True)
class Orchestrators:
    """`client` is what callers talk to: the only orchestrator there is, or one that knows which pipeline is where."""

    client: PipelineServiceClient
    places: Places
    mover: Mover
    airflow: AirflowClient | None = None

    @property
    def run_here(self) -> bool:
        """Whether this machine is one of them."""
        return "local" in self.places.clients


def orchestrators(
    settings: Settings,
    *,
    local: Callable[[], LocalClient],
    airflow: Callable[[], AirflowClient],
    placements: PlacementStore,
    deployments: DeploymentStore,
    clock: Clock,
) -> Orchestrators:
    """What `client`, `client_rules` and `airflow` name; raises ConfigurationError when one cannot be used.

    A node that hands anything to anybody can always run pipelines itself: it may have some from before.
    """
    rules = tuple(rule_of(parts) for parts in settings.client_rules)
    named = {settings.client, *(rule.client for rule in rules)}
    clients: dict[ClientName, PipelineServiceClient] = {"noop": NoopClient()} if "noop" in named else {}
    remote = None
    if named != {"noop"}:
        clients["local"] = local()
        if settings.airflow.usable:
            clients["airflow"] = remote = airflow()
    places = Places(clients, default=settings.client, rules=rules, placements=placements, deployments=deployments)
    mover = Mover(places, clock)
    one_for_all = len(clients) == 1 and not placements.all()
    client = clients[settings.client] if one_for_all else RoutedClient(places, mover, clock)
    return Orchestrators(client, places, mover, remote)
