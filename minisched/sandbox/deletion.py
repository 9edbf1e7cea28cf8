"""Deleting entities, softly or for good, with what is below them and what hangs on them."""

from __future__ import annotations

from collections.abc import Set

from minisched.domain.errors import Forbidden, InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached
from minisched.sandbox.callers import Caller
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.dependents import Dependents, may_have_some
from minisched.sandbox.kinds import Kind


class Deletion:
    """Deletes entities of a catalog."""

    def __init__(self, catalog: Catalog, dependents: Dependents) -> None:
        self._catalog = catalog
        self._dependents = dependents

    def delete(self, kind: Kind, entity: Document, caller: Caller, *, hard: bool, recursive: bool) -> Document:
        """The entity as it was last. Kinds that cannot be marked as deleted are always gone for good.

        Raises InvalidInput when something is below it and `recursive` does not say that it shall go too.
        """
        self._delete_dependents(kind, entity, caller, hard=hard, recursive=recursive)
        with self._catalog.lock:
            below = self._catalog.descendants(kind, entity["fullyQualifiedName"])
            if not recursive and any(not entry.deleted for _, entry in below):
                raise InvalidInput(f"{kind.type} is not empty")
            for child, entry in below:
                document = self._catalog.get(child.type, entry.id)
                if document is not None:
                    self._delete_one(child, document, caller, hard=hard)
            return self._delete_one(kind, entity, caller, hard=hard)

    def _delete_dependents(self, kind: Kind, entity: Document, caller: Caller, *, hard: bool, recursive: bool) -> None:
        """Without the lock: a run that is ended with its pipeline may be about to write to the catalog."""
        fqn = str(entity["fullyQualifiedName"])
        if not recursive:
            if may_have_some(kind.type) and self._dependents.exist(kind.type, fqn):
                raise InvalidInput(f"{kind.type} is not empty")
            return
        below = [(child.type, entry.fqn) for child, entry in self._catalog.descendants(kind, fqn)]
        for entity_type, name in ((kind.type, fqn), *below):
            if may_have_some(entity_type):
                if not caller.may_change and self._dependents.exist(entity_type, name, deleted=hard):
                    raise Forbidden(f"{name} has pipelines, which only those may delete who may change them.")
                self._dependents.delete(entity_type, name, hard=hard, user=caller.name)

    def _delete_one(self, kind: Kind, entity: Document, caller: Caller, *, hard: bool) -> Document:
        if not hard and kind.can_be_soft_deleted:
            return self._catalog.soft_delete(kind, entity, caller)
        attached.remove(self._catalog, entity)
        self._catalog.remove_raw(kind.type, [entity["id"]])
        return {**entity, "deleted": True} if kind.can_be_soft_deleted else entity

    def delete_stale(self, kind: Kind, scope: str, seen: Set[str], caller: Caller, *, recursive: bool) -> list[str]:
        """Soft-delete what is below the scope and was not seen; the FQNs of what went."""
        gone = []
        with self._catalog.lock:
            for entry in self._catalog.below(kind.type, scope):
                if entry.deleted or entry.fqn in seen:
                    continue
                entity = self._catalog.get(kind.type, entry.id)
                if entity is not None:
                    self.delete(kind, entity, caller, hard=False, recursive=recursive)
                    gone.append(entry.fqn)
        return gone
