"""The catalog: entities by kind, one writer at a time, over a DocumentStore."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minisched.domain import names
from minisched.domain.entity_versions import Stamp
from minisched.domain.errors import EntityExists, MinischedError
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.domain.secrets import unmask
from minisched.ports import DocumentStore
from minisched.sandbox import merging, patching, shaping
from minisched.sandbox.callers import Caller
from minisched.sandbox.fqn_index import Entry, FqnIndex
from minisched.sandbox.kinds import BY_TYPE, Kind, kinds_below
from minisched.sandbox.references import References, is_uuid, not_found

# What no patch changes.
_FIXED = ("id", "name", "fullyQualifiedName", "version", "updatedAt", "updatedBy")


@dataclass(frozen=True, slots=True)
class Saved:
    """An entity after a PUT or POST; `created` when there was none of its FQN."""

    document: Document
    created: bool
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """One request of a bulk that could not be stored."""

    request: Document
    error: MinischedError


class Catalog:
    """Entities and whatever hangs on them. Thread-safe: every method that changes something is one step.

    Documents are in clear and without href; presentation is not its business. The catalog must be the only writer of
    its DocumentStore.
    """

    def __init__(self, documents: DocumentStore, now: Callable[[], datetime]) -> None:
        self.documents = documents
        self.index = FqnIndex(documents)
        self.lock = threading.RLock()
        self._now = now

    def now_ms(self) -> int:
        return to_ms(self._now())

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, kind: str, entity_id: str) -> Document | None:
        return self.documents.get(kind, entity_id)

    def find(self, kind: str, fqn: str) -> Document | None:
        """By FQN; for kinds whose FQN is their name, a name that needs quotes is found without them too."""
        found = self.documents.get_by_fqn(kind, fqn)
        known = BY_TYPE.get(kind)
        if found is None and known is not None and not known.parents:
            quoted = names.part(fqn)
            found = self.documents.get_by_fqn(kind, quoted) if quoted != fqn else None
        return found

    def require(self, kind: str, entity_id: str) -> Document:
        """Soft-deleted ones too. Raises EntityNotFound."""
        found = self.get(kind, entity_id)
        if found is None:
            raise not_found(kind, entity_id)
        return found

    def require_fqn(self, kind: str, fqn: str) -> Document:
        """Soft-deleted ones too. Raises EntityNotFound."""
        found = self.find(kind, fqn)
        if found is None:
            raise not_found(kind, fqn)
        return found

    def require_either(self, kind: str, id_or_fqn: str) -> Document:
        """By id when it looks like one, else by FQN. Raises EntityNotFound."""
        return self.require(kind, id_or_fqn) if is_uuid(id_or_fqn) else self.require_fqn(kind, id_or_fqn)

    def exists(self, kind: str, fqn: str) -> bool:
        with self.lock:
            return self.index.find(kind, fqn) is not None

    def below(self, kind: str, prefix: str | None) -> Sequence[Entry]:
        with self.lock:
            return self.index.below(kind, prefix)

    def matching(self, kind: str, pattern: str) -> Sequence[Entry]:
        with self.lock:
            return self.index.matching(kind, pattern)

    def every(self, kind: str, prefix: str | None = None, *, page: int = 500) -> Iterable[Document]:
        """All documents of a kind in the order of their FQNs, read page by page."""
        after: str | None = None
        while documents := self.documents.page(kind, limit=page, after=after, prefix=prefix):
            yield from documents
            after = documents[-1]["fullyQualifiedName"]

    def references(self) -> References:
        return References(self.get, self.find)

    # --- writing ------------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, request: Document, caller: Caller) -> Document:
        """A POST. Raises EntityExists when the FQN, deleted or not, or the id that the request asks for is taken."""
        with self.lock:
            entity = shaping.entity_from(kind, request, self.references())
            if self.index.find(kind.type, entity["fullyQualifiedName"]) or self.get(kind.type, str(entity.get("id"))):
                raise EntityExists
            return self._store_new(kind, entity, caller)

    def save(self, kind: Kind, request: Document, caller: Caller, *, override: bool = False) -> Saved:
        """A PUT: create the entity, or merge the request into the one of the same FQN."""
        with self.lock:
            saved = self._saved(kind, request, caller, self.references(), override=override)
            if saved.changed:
                self._put(kind.type, [saved.document])
            return saved

    def save_all(
        self, kind: Kind, requests: Sequence[Document], caller: Caller, *, override: bool
    ) -> list[Saved | Refused]:
        """A bulk PUT: as many `save`s in one write to the store. One that cannot be done does not stop the others."""
        with self.lock:
            references = self.references()
            results: list[Saved | Refused] = []
            pending: dict[str, Document] = {}
            for request in requests:
                try:
                    saved = self._saved(kind, request, caller, references, override=override, pending=pending)
                except MinischedError as error:
                    results.append(Refused(request, error))
                    continue
                if saved.changed:
                    pending[saved.document["fullyQualifiedName"]] = saved.document
                results.append(saved)
            self._put(kind.type, list(pending.values()))
            return results

    def _saved(
        self,
        kind: Kind,
        request: Document,
        caller: Caller,
        references: References,
        *,
        override: bool,
        pending: dict[str, Document] | None = None,
    ) -> Saved:
        entity = shaping.entity_from(kind, request, references)
        fqn = entity["fullyQualifiedName"]
        stored = (pending or {}).get(fqn) or self._stored(kind.type, fqn)
        if stored is None:
            return Saved(self._new(kind, entity, caller), created=True)
        combined = merging.merged(kind, stored, entity, keep_curated=caller.is_bot and not override)
        new = merging.next_state(stored, combined, self._stamp(caller))
        return Saved(new, created=False, changed=new is not stored)

    def _stored(self, kind: str, fqn: str) -> Document | None:
        entry = self.index.find(kind, fqn)
        return self.get(kind, entry.id) if entry is not None else None

    def _new(self, kind: Kind, entity: Document, caller: Caller) -> Document:
        wished = entity.get("id")
        new = {**entity, "id": wished.lower() if is_uuid(wished) and wished else str(uuid.uuid4())}
        if kind.can_be_soft_deleted:
            new["deleted"] = False
        return merging.first_version(new, self._stamp(caller))

    def _store_new(self, kind: Kind, entity: Document, caller: Caller) -> Document:
        new = self._new(kind, entity, caller)
        self._put(kind.type, [new])
        return new

    def update(self, kind: Kind, entity_id: str, changes: Document, caller: Caller) -> Document:
        """Set some fields of an entity, null removes one; a new version if that changes it. Raises EntityNotFound."""
        with self.lock:
            stored = self.require(kind.type, entity_id)
            return self._replaced(kind, stored, shaping.without_nulls({**stored, **changes}), caller)

    def patch(self, kind: Kind, id_or_fqn: str, operations: Any, caller: Caller) -> Document:
        """A PATCH. Raises EntityNotFound, InvalidInput."""
        with self.lock:
            stored = self.require_either(kind.type, id_or_fqn)
            changed = shaping.without_nulls(unmask(patching.patched(stored, operations), stored))
            changed |= {field: stored[field] for field in _FIXED if field in stored}
            changed = shaping.with_references(kind, changed, self.references())
            return self._replaced(kind, stored, shaping.with_member_names(kind, changed), caller)

    def _replaced(self, kind: Kind, stored: Document, entity: Document, caller: Caller) -> Document:
        new = merging.next_state(stored, entity, self._stamp(caller))
        if new is not stored:
            self._put(kind.type, [new])
        return new

    def put_raw(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents that are no entities (profiles, edges, …); each with id, name and FQN."""
        with self.lock:
            self._put(kind, documents)

    def _put(self, kind: str, documents: Sequence[Document]) -> None:
        if documents:
            self.documents.put(kind, documents)
            self.index.note(kind, documents)

    def _stamp(self, caller: Caller) -> Stamp:
        return Stamp(by=caller.name, at_ms=self.now_ms())

    # --- deleting -----------------------------------------------------------------------------------------------------

    def remove_raw(self, kind: str, document_ids: Iterable[str]) -> None:
        with self.lock:
            for document_id in document_ids:
                self.documents.delete(kind, document_id)
                self.index.forget(kind, document_id)

    def soft_delete(self, kind: Kind, entity: Document, caller: Caller) -> Document:
        return self.update(kind, entity["id"], {"deleted": True}, caller)

    def restore(self, kind: Kind, entity_id: str, caller: Caller) -> Document:
        return self.update(kind, entity_id, {"deleted": False}, caller)

    def descendants(self, kind: Kind, fqn: str) -> list[tuple[Kind, Entry]]:
        """Everything below an entity of this kind, deleted or not."""
        return [(below, entry) for below in kinds_below(kind.type) for entry in self.below(below.type, fqn)]
