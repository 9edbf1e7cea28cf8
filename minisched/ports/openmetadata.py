"""What an OpenMetadata server, or the sandbox in its place, knows and is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from minisched.domain.pipeline import Document
from minisched.domain.run import Run


@dataclass(frozen=True, slots=True)
class EntityRef:
    """An EntityReference (contract §4.5) as resolved by a directory."""

    id: str
    type: str
    name: str
    fully_qualified_name: str
    extra: Document = field(default_factory=dict)


class EntityDirectory(Protocol):
    """Resolves references to services and owners: the sandbox catalog, or the OpenMetadata server of the settings."""

    def resolve(self, entity_type: str, entity_id: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """With these fields of the entity in `extra`, as far as it has them.

        Raises EntityNotFound with OpenMetadata's text «<type> instance for <id> not found».
        """

    def resolve_by_name(self, entity_type: str, fqn: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """For references that come as names (domains). Raises EntityNotFound likewise."""


class StatusReporter(Protocol):
    """Tells OpenMetadata how a run ended, if the workflow could not (contract §7.5)."""

    def report(self, run: Run, pipeline: Document) -> None:
        """Idempotent by run id; never overwrites a terminal row. Raises OrchestratorUnavailable to be tried again."""
