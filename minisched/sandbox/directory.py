"""EntityDirectory over the sandbox's documents: services and owners of pipelines when there is no OpenMetadata."""

from __future__ import annotations

from collections.abc import Sequence

from minisched.domain.pipeline import Document
from minisched.ports import DocumentStore, EntityRef
from minisched.sandbox.references import not_found

_TOLD = ("displayName", "description", "deleted")


class SandboxDirectory:
    """Resolves references to whatever the catalog holds: services, users, teams, test suites, domains, …"""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def resolve(self, entity_type: str, entity_id: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """Raises EntityNotFound, for a deleted entity too."""
        return _reference(entity_type, self._documents.get(entity_type, entity_id), entity_id, fields)

    def resolve_by_name(self, entity_type: str, fqn: str, *, fields: Sequence[str] = ()) -> EntityRef:
        """Raises EntityNotFound, for a deleted entity too."""
        return _reference(entity_type, self._documents.get_by_fqn(entity_type, fqn), fqn, fields)


def _reference(entity_type: str, document: Document | None, asked: str, fields: Sequence[str]) -> EntityRef:
    if document is None or document.get("deleted"):
        raise not_found(entity_type, asked)
    return EntityRef(
        id=document["id"],
        type=entity_type,
        name=document["name"],
        fully_qualified_name=document["fullyQualifiedName"],
        extra={field: document[field] for field in (*_TOLD, *fields) if field in document},
    )
