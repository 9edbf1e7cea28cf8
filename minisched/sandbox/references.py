"""EntityReferences: what an entity says of another one, and finding that other one by what a request says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from minisched.domain.errors import EntityNotFound, InvalidInput
from minisched.domain.pipeline import Document

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_KEPT = ("id", "type", "name", "fullyQualifiedName", "displayName", "description", "deleted", "inherited")

FindById = Callable[[str, str], Document | None]
FindByFqn = Callable[[str, str], Document | None]


def is_uuid(text: object) -> bool:
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def reference_to(entity_type: str, document: Document) -> Document:
    """The EntityReference of a stored entity (contract §4.5), without href."""
    reference = {
        "id": document["id"],
        "type": entity_type,
        "name": document["name"],
        "fullyQualifiedName": document["fullyQualifiedName"],
        "deleted": bool(document.get("deleted")),
    }
    if document.get("displayName"):
        reference["displayName"] = document["displayName"]
    return reference


def not_found(entity_type: str, name: str) -> EntityNotFound:
    """OpenMetadata's words for it."""
    return EntityNotFound(f"{entity_type} instance for {name} not found")


class References:
    """Resolves what requests say of other entities; remembers answers, so make one per request."""

    def __init__(self, by_id: FindById, by_fqn: FindByFqn) -> None:
        self._by_id = by_id
        self._by_fqn = by_fqn
        self._seen: dict[tuple[str, str], Document | None] = {}

    def document(self, entity_type: str, name: str) -> Document:
        """The entity that an id or an FQN names. Raises EntityNotFound."""
        found = self.find(entity_type, name)
        if found is None:
            raise not_found(entity_type, name)
        return found

    def find(self, entity_type: str, name: str) -> Document | None:
        key = (entity_type, name)
        if key not in self._seen:
            self._seen[key] = self._by_id(entity_type, name) if is_uuid(name) else self._by_fqn(entity_type, name)
        return self._seen[key]

    def named(self, value: Any, default_type: str, field: str) -> tuple[str, Document | None]:
        """The type and the entity that a string or an EntityReference-like value means; None for an unknown id.

        Raises EntityNotFound for an FQN of nothing, InvalidInput for what is neither.
        """
        if isinstance(value, str):
            return default_type, self.document(default_type, value)
        if not isinstance(value, dict):
            raise InvalidInput("is neither a name nor an entity reference", field=field)
        entity_type = str(value.get("type") or default_type)
        if isinstance(value.get("id"), str):
            return entity_type, self.find(entity_type, value["id"])
        name = value.get("fullyQualifiedName") or value.get("name")
        if not isinstance(name, str):
            raise InvalidInput("an entity reference needs an id or a name", field=field)
        return entity_type, self.document(entity_type, name)

    def expanded(self, value: Any, default_type: str, field: str) -> Document:
        """The full EntityReference; a reference with an id that nobody has stays as it was sent."""
        entity_type, found = self.named(value, default_type, field)
        if found is not None:
            return reference_to(entity_type, found)
        return {key: value[key] for key in _KEPT if value.get(key) is not None} | {"type": entity_type}

    def expand_fields(self, document: Document, fields: Mapping[str, str]) -> Document:
        """The document with every field that refers to entities, or to a list of them, expanded."""
        expanded = dict(document)
        for field, entity_type in fields.items():
            value = document.get(field)
            if isinstance(value, list):
                expanded[field] = [self.expanded(item, entity_type, field) for item in value]
            elif value is not None:
                expanded[field] = self.expanded(value, entity_type, field)
        return expanded
