"""The orchestrators of this node by name, and which of them has a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minisched.domain.client_rules import ClientName, ClientRule, first_fitting
from minisched.domain.errors import OrchestratorRejected
from minisched.domain.pipeline import Deployment, Document, PipelineRef, clean_name
from minisched.domain.placement import Placement, place
from minisched.keyed_locks import KeyedLocks
from minisched.ports import DeploymentStore, PipelineServiceClient, PlacementStore

_HINTS: dict[ClientName, str] = {
    "airflow": "Set airflow.url and airflow.password.",
    "local": "Set client: local, or name it in client_rules.",
    "noop": "Name it in client_rules.",
}


class Places:
    """`default` is the orchestrator of what no rule fits. What is deployed here and not placed is here."""

    def __init__(
        self,
        clients: Mapping[ClientName, PipelineServiceClient],
        *,
        default: ClientName,
        rules: tuple[ClientRule, ...],
        placements: PlacementStore,
        deployments: DeploymentStore,
    ) -> None:
        self.clients = clients
        self.default = default
        self.placements = placements
        self._rules = rules
        self._deployments = deployments
        self._locks = KeyedLocks()

    @contextmanager
    def alone(self, pipeline: PipelineRef) -> Iterator[None]:
        """Nobody else deploys, triggers, toggles, moves or deletes it meanwhile."""
        with self._locks.hold(clean_name(pipeline.name)):  # some callers know no more than its name
            yield

    def client(self, name: ClientName) -> PipelineServiceClient:
        """Raises OrchestratorRejected when the settings do not name it."""
        try:
            return self.clients[name]
        except KeyError:
            raise OrchestratorRejected(
                f"The settings do not say how to use {place(name)} as an orchestrator.", hint=_HINTS[name]
            ) from None

    def placement(self, pipeline: PipelineRef) -> Placement | None:
        if pipeline.id is not None:
            return self.placements.get(pipeline.id)
        return self.placements.find(clean_name(pipeline.name))

    def holder(self, pipeline: PipelineRef) -> ClientName | None:
        """Who has it; None when it was deployed nowhere, or before there was a choice."""
        if (placement := self.placement(pipeline)) is not None:
            return placement.client
        return "local" if "local" in self.clients and self.deployed_here(pipeline) is not None else None

    def of(self, pipeline: PipelineRef) -> ClientName:
        """Who has it, or would be asked for it."""
        if (placement := self.placement(pipeline)) is not None:
            return placement.client
        return self.default if self.default == "local" else self.holder(pipeline) or self.default

    def wanted(self, document: Document, runtime: str | None = None) -> ClientName:
        """Who gets what is not deployed yet; whoever names a runtime means this machine, which alone has some."""
        if runtime is not None and "local" in self.clients:
            return "local"
        return first_fitting(self._rules, document) or self.default

    def in_use(self) -> list[ClientName]:
        """The default first, then those that rules name or that have a pipeline."""
        named = [self.default, *(rule.client for rule in self._rules)]
        placed = [name for one in self.placements.all() for name in (one.client, one.also_in) if name is not None]
        return list(dict.fromkeys([*named, *placed]))

    def namesake(self, placement: Placement) -> str | None:
        """The FQN of another pipeline that callers would know by the same workflow id."""
        known = self.placements.find(placement.clean_name)
        if known is not None:
            return None if known.pipeline_id == placement.pipeline_id else known.fqn
        deployed = self._deployments.find(placement.clean_name)
        return deployed.fqn if deployed is not None and deployed.id != placement.pipeline_id else None

    def deployed_here(self, pipeline: PipelineRef) -> Deployment | None:
        """What this machine was told to run."""
        if pipeline.id is not None:
            return self._deployments.get(pipeline.id)
        return self._deployments.find(clean_name(pipeline.name))
