"""What belongs to entities of the catalog and is kept elsewhere: the pipelines of services and test suites."""

from __future__ import annotations

from typing import Protocol


class Dependents(Protocol):
    """They go before what they belong to."""

    def exist(self, service_type: str, fqn: str, *, deleted: bool = False) -> bool:
        """Whether there are any that are not deleted, or any at all."""

    def delete(self, service_type: str, fqn: str, *, hard: bool, user: str) -> None:
        """Raises MinischedError for one that cannot be deleted."""


class NoDependents:
    """Nothing is kept elsewhere."""

    def exist(self, _service_type: str, _fqn: str, *, deleted: bool = False) -> bool:  # noqa: ARG002
        return False

    def delete(self, _service_type: str, _fqn: str, *, hard: bool, user: str) -> None:
        """There are none."""


def may_have_some(entity_type: str) -> bool:
    return entity_type.endswith("Service") or entity_type == "testSuite"
