"""Where a pipeline is: which of several orchestrators was handed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from minisched.domain.client_rules import ClientName
from minisched.domain.errors import NameCollision
from minisched.domain.pipeline import Document, PipelineRef, clean_name

# As a person calls them, at the beginning and in the middle of a sentence.
_PLACES: dict[ClientName, str] = {"local": "this machine", "airflow": "Airflow", "noop": "no orchestrator"}


@dataclass(frozen=True, slots=True)
class Placement:
    """A pipeline and the orchestrator `client` that it is in, `since` when it was placed there.

    `came_from` is where it was before it was moved. `also_in` is the other orchestrator of a move that is not over: it
    may know the pipeline as well, and must not fire it. `enabled` says whether the schedule is to fire, as far as it
    was said here; of what this machine runs the deployment says it.
    """

    pipeline_id: str
    name: str
    fqn: str
    pipeline_type: str
    service_fqn: str
    client: ClientName
    since: datetime
    came_from: ClientName | None = None
    also_in: ClientName | None = None
    enabled: bool = True

    @property
    def clean_name(self) -> str:
        return clean_name(self.name)

    @property
    def ref(self) -> PipelineRef:
        return PipelineRef(name=self.name, id=self.pipeline_id, fqn=self.fqn)


def placement_of(pipeline: Document, client: ClientName, since: datetime, *, enabled: bool = True) -> Placement:
    """The first placement of an IngestionPipeline that has an id and a name."""
    service = pipeline.get("service")
    known = service if isinstance(service, dict) else {}
    return Placement(
        pipeline_id=str(pipeline["id"]),
        name=str(pipeline["name"]),
        fqn=str(pipeline.get("fullyQualifiedName") or pipeline["name"]),
        pipeline_type=str(pipeline.get("pipelineType")),
        service_fqn=str(known.get("fullyQualifiedName") or known.get("name") or ""),
        client=client,
        since=since,
        enabled=enabled,
    )


def place(client: ClientName) -> str:
    """What a person calls it: this machine, Airflow."""
    return _PLACES[client]


def name_collision(fqn: str, name: str, holder: str | None) -> NameCollision:
    """`holder` is the FQN of the pipeline that has the workflow id of `name`."""
    return NameCollision(
        f"{fqn} cannot be deployed: callers name pipelines by workflow id, and its id {clean_name(name)!r} belongs to "
        f"{holder or 'another pipeline'} already.",
        hint="Rename one of the two, or delete the other one first.",
    )
