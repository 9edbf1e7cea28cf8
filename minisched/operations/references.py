"""References to other entities: sent with an id and a type, stored with their names (contract §4.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minisched.domain import entity
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.ports import EntityDirectory, EntityRef

_OWNER_TYPES = ("user", "team")
_PASSED_ON = ("owners", "domains")


@dataclass(frozen=True, slots=True)
class Service:
    """A service as an EntityReference, and what its pipelines inherit from it."""

    reference: Document
    owners: list[Document] = field(default_factory=list)
    domains: list[Document] = field(default_factory=list)


class References:
    """Resolves what a request points to. Every method raises EntityNotFound for an entity that does not exist."""

    def __init__(self, directory: EntityDirectory) -> None:
        self._directory = directory

    def service(self, reference: Document) -> Service:
        """The service of a pipeline, or its test suite. Raises InvalidInput for anything else."""
        if reference["type"] not in entity.SERVICE_TYPES:
            raise InvalidInput("is not a type of service", field="service.type", hint=_one_of(entity.SERVICE_TYPES))
        found = self._directory.resolve(reference["type"], reference["id"], fields=_PASSED_ON)
        return Service(_document(found), *(_inherited(found.extra.get(field)) for field in _PASSED_ON))

    def owners(self, references: Iterable[Document], *, known: Sequence[Document] = ()) -> list[Document]:
        """Users and teams, each once. Those in `known` (as stored) are taken from there and not looked up."""
        wanted = {str(reference["id"]): reference for reference in references}
        for reference in wanted.values():
            if reference["type"] not in _OWNER_TYPES:
                raise InvalidInput("is not a type of owner", field="owners.type", hint=_one_of(_OWNER_TYPES))
        return self._resolved(wanted.values(), known)

    def user(self, user_id: str) -> Document:
        """A user by id."""
        return _document(self._directory.resolve("user", user_id))

    def domains(self, references: Iterable[Document], *, known: Sequence[Document] = ()) -> list[Document]:
        """Domains by reference, each once, as a patch names them."""
        wanted = {str(reference["id"]): {**reference, "type": "domain"} for reference in references}
        return self._resolved(wanted.values(), known)

    def domains_by_name(self, names: Iterable[str]) -> list[Document]:
        """Domains by fully qualified name, each once, as a create request names them."""
        return [_document(self._directory.resolve_by_name("domain", name)) for name in dict.fromkeys(names)]

    def require(self, entity_type: str, fqn: str) -> None:
        """There is such an entity."""
        self._directory.resolve_by_name(entity_type, fqn)

    def _resolved(self, wanted: Iterable[Document], known: Sequence[Document]) -> list[Document]:
        stored = {(reference.get("id"), reference.get("type")): reference for reference in known}
        return [
            stored.get((reference["id"], reference["type"]))
            or _document(self._directory.resolve(reference["type"], reference["id"]))
            for reference in wanted
        ]


def _document(resolved: EntityRef) -> Document:
    names = {"name": resolved.name, "fullyQualifiedName": resolved.fully_qualified_name}
    return entity.reference({**resolved.extra, "id": resolved.id, "type": resolved.type, **names})


def _inherited(references: Any) -> list[Document]:
    """What a service says of its owners or domains, as its pipelines show it."""
    listed = references if isinstance(references, list) else []
    whole = (found for found in listed if isinstance(found, dict) and found.get("id") and found.get("type"))
    return [entity.reference({**found, "inherited": True}) for found in whole]


def _one_of(words: Sequence[str]) -> str:
    return f"It is one of {', '.join(words)}."
