"""What every collection answers: create, read, list, change, delete, restore, follow (contract §3 for its shapes)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minisched.domain.errors import InvalidInput, MinischedError, NotFound
from minisched.domain.pipeline import Document
from minisched.sandbox import shaping
from minisched.sandbox.callers import Caller
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog, Refused
from minisched.sandbox.deletion import Deletion
from minisched.sandbox.dependents import Dependents
from minisched.sandbox.kinds import Kind
from minisched.sandbox.listing import included, list_page
from minisched.sandbox.presentation import Presenter
from minisched.sandbox.references import not_found

Prepare = Callable[[Document, Caller], Document]
"""Completes a create request of one kind before it becomes an entity."""


class EntityEndpoints:
    """The handlers of collections. `prepare` completes create requests by kind."""

    def __init__(
        self, catalog: Catalog, presenter: Presenter, prepare: Mapping[str, Prepare], dependents: Dependents
    ) -> None:
        self._catalog = catalog
        self._presenter = presenter
        self._prepare = prepare
        self._deletion = Deletion(catalog, dependents)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "", self.list_all),
            Endpoint("POST", "", self.create),
            Endpoint("PUT", "", self.create_or_update),
            Endpoint("PUT", "bulk", self.bulk),
            Endpoint("PUT", "restore", self.restore),
            Endpoint("DELETE", "deleteStale", self.delete_stale),
            Endpoint("DELETE", "async/{entity_id}", self.delete_async),
            Endpoint("GET", "{entity_id}", self.get),
            Endpoint("PATCH", "{entity_id}", self.patch),
            Endpoint("DELETE", "{entity_id}", self.delete),
            Endpoint("GET", "{entity_id}/versions", self.versions),
            Endpoint("GET", "{entity_id}/versions/{version}", self.version),
            Endpoint("PUT", "{entity_id}/followers", self.follow),
            Endpoint("DELETE", "{entity_id}/followers/{user_id}", self.unfollow),
            Endpoint("PUT", "{entity_id}/vote", self.vote),
            Endpoint("PUT", "{entity_id}/testConnectionResult", self.put_test_connection_result),
            Endpoint("GET", "name/{fqn*}", self.get_by_name),
            Endpoint("PATCH", "name/{fqn*}", self.patch_by_name),
            Endpoint("DELETE", "name/{fqn*}", self.delete_by_name),
        ]

    # --- reading ------------------------------------------------------------------------------------------------------

    def list_all(self, kind: Kind, call: Call) -> Answer:
        page = list_page(self._catalog, kind.type, call)
        data = [self._show(kind, document, call) for document in page.documents]
        return Answer({"data": data, "paging": page.paging()})

    def get(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        return self._seen(kind, call, self._catalog.get(kind.type, entity_id), entity_id)

    def get_by_name(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._seen(kind, call, self._catalog.find(kind.type, fqn), fqn)

    def _seen(self, kind: Kind, call: Call, found: Document | None, name: str) -> Answer:
        if found is None or not included(found, call):
            raise not_found(kind.type, name)
        return Answer(self._show(kind, found, call))

    def versions(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        shown = self._show(kind, self._catalog.require(kind.type, entity_id), call)
        return Answer({"entityType": kind.type, "versions": [json.dumps(shown)]})

    def version(self, kind: Kind, call: Call, entity_id: str, version: str) -> Answer:
        """Only the present version is kept."""
        found = self._catalog.require(kind.type, entity_id)
        if str(found.get("version")) != version:
            raise NotFound(f"{kind.type} instance for {entity_id} and version {version} not found")
        return Answer(self._show(kind, found, call))

    # --- creating and changing ----------------------------------------------------------------------------------------

    def create(self, kind: Kind, call: Call) -> Answer:
        request = self._prepared(kind, call.document(), call.caller)
        return Answer(self._show(kind, self._catalog.create(kind, request, call.caller), call), status=201)

    def create_or_update(self, kind: Kind, call: Call) -> Answer:
        request = self._prepared(kind, call.document(), call.caller)
        saved = self._catalog.save(kind, request, call.caller, override=call.flag("overrideMetadata"))
        return Answer(self._show(kind, saved.document, call), status=201 if saved.created else 200)

    def bulk(self, kind: Kind, call: Call) -> Answer:
        """BulkOperationResult: what could not be stored is named and does not stop the rest."""
        requests, refused = self._all_prepared(kind, call)
        results = self._catalog.save_all(kind, requests, call.caller, override=call.flag("overrideMetadata"))
        refused.extend(result for result in results if isinstance(result, Refused))
        stored = [result.document for result in results if not isinstance(result, Refused)]
        return Answer(bulk_result([document["fullyQualifiedName"] for document in stored], refused))

    def _all_prepared(self, kind: Kind, call: Call) -> tuple[list[Document], list[Refused]]:
        prepared: list[Document] = []
        refused: list[Refused] = []
        for request in call.documents():
            try:
                prepared.append(self._prepared(kind, request, call.caller))
            except MinischedError as error:
                refused.append(Refused(request, error))
        return prepared, refused

    def _prepared(self, kind: Kind, request: Document, caller: Caller) -> Document:
        prepare = self._prepare.get(kind.type)
        if prepare is not None:
            return prepare(request, caller)
        if not kind.known:
            return _named_somehow(request)
        return request

    def patch(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        return self._patched(kind, call, self._catalog.require(kind.type, entity_id))

    def patch_by_name(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._patched(kind, call, self._catalog.require_fqn(kind.type, fqn))

    def _patched(self, kind: Kind, call: Call, stored: Document) -> Answer:
        return Answer(self._show(kind, self._catalog.patch(kind, stored["id"], call.json(), call.caller), call))

    def restore(self, kind: Kind, call: Call) -> Answer:
        entity_id = str(call.document().get("id"))
        if call.flag("async"):
            self._catalog.restore(kind, entity_id, call.caller)
            return _accepted(f"Restore operation initiated for {entity_id}")
        return Answer(self._show(kind, self._catalog.restore(kind, entity_id, call.caller), call))

    def put_test_connection_result(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        changes = {"testConnectionResult": call.document()}
        return Answer(self._show(kind, self._catalog.update(kind, entity_id, changes, call.caller), call))

    # --- people and their marks ---------------------------------------------------------------------------------------

    def follow(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        user_id = call.json()
        if not isinstance(user_id, str):
            raise InvalidInput("the body must be the id of a user, in quotes")
        follower = self._catalog.references().expanded({"id": user_id, "type": "user"}, "user", "followers")
        return self._set_followers(kind, call, entity_id, [follower], without=user_id)

    def unfollow(self, kind: Kind, call: Call, entity_id: str, user_id: str) -> Answer:
        return self._set_followers(kind, call, entity_id, [], without=user_id)

    def _set_followers(
        self, kind: Kind, call: Call, entity_id: str, added: Sequence[Document], *, without: str
    ) -> Answer:
        before = self._catalog.require(kind.type, entity_id)
        kept = [item for item in shaping.kept_objects(before, "followers") if item.get("id") != without]
        after = self._catalog.update(kind, entity_id, {"followers": [*kept, *added]}, call.caller)
        return Answer(self._change_event(kind, call, before, after))

    def vote(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        """Votes are not kept; the answer says that nothing changed."""
        entity = self._catalog.require(kind.type, entity_id)
        return Answer(self._change_event(kind, call, entity, entity))

    def _change_event(self, kind: Kind, call: Call, before: Document, after: Document) -> Document:
        return {
            "id": str(uuid.uuid4()),
            "eventType": "entityUpdated" if after["version"] != before["version"] else "entityNoChange",
            "entityType": kind.type,
            "entityId": after["id"],
            "entityFullyQualifiedName": after["fullyQualifiedName"],
            "previousVersion": before["version"],
            "currentVersion": after["version"],
            "userName": call.caller.name,
            "timestamp": self._catalog.now_ms(),
            "entity": self._show(kind, after, call),
        }

    # --- deleting -----------------------------------------------------------------------------------------------------

    def delete(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        return Answer(self._deleted(kind, call, self._catalog.require(kind.type, entity_id)))

    def delete_by_name(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return Answer(self._deleted(kind, call, self._catalog.require_fqn(kind.type, fqn)))

    def delete_async(self, kind: Kind, call: Call, entity_id: str) -> Answer:
        """Done before the answer, which is that of a server that does it afterwards."""
        deleted = self._deleted(kind, call, self._catalog.require(kind.type, entity_id))
        return _accepted(f"Delete operation initiated for {deleted['name']}")

    def _deleted(self, kind: Kind, call: Call, entity: Document) -> Document:
        gone = self._deletion.delete(
            kind, entity, call.caller, hard=call.flag("hardDelete"), recursive=call.flag("recursive")
        )
        return self._show(kind, gone, call)

    def delete_stale(self, kind: Kind, call: Call) -> Answer:
        """Soft-delete what is below `scopeFqn` and not among `seenFqns`."""
        request = call.document()
        scope, seen = request.get("scopeFqn"), request.get("seenFqns")
        if not isinstance(scope, str) or not isinstance(seen, list):
            raise InvalidInput("scopeFqn must be a text and seenFqns a list")
        gone = self._deletion.delete_stale(
            kind, scope, {str(fqn) for fqn in seen}, call.caller, recursive=bool(request.get("recursive", True))
        )
        return Answer(bulk_result(gone, []))

    def _show(self, kind: Kind, document: Document, call: Call) -> Document:
        return self._presenter.show(kind, document, call.caller, call.fields())


def _named_somehow(request: Document) -> Document:
    """A document of a collection that we do not know may have no name: its id serves."""
    if isinstance(request.get("name"), str) and request["name"]:
        return request
    own_id = request.get("id") if isinstance(request.get("id"), str) else str(uuid.uuid4())
    return {**request, "id": own_id, "name": own_id}


def _accepted(message: str) -> Answer:
    return Answer({"jobId": str(uuid.uuid4()), "message": message}, status=202)


def bulk_result(stored: Sequence[str], refused: Sequence[Refused]) -> Document:
    """OpenMetadata's BulkOperationResult over FQNs that were stored and requests that were not."""
    done: list[Document] = [{"request": fqn, "status": 200} for fqn in stored]
    failed: list[Document] = [
        {"request": _request_name(item.request), "message": str(item.error), "status": 400} for item in refused
    ]
    status = "success" if not failed else "partialSuccess" if done else "failure"
    return {
        "dryRun": False,
        "status": status,
        "numberOfRowsProcessed": len(done) + len(failed),
        "numberOfRowsPassed": len(done),
        "numberOfRowsFailed": len(failed),
        "successRequest": done,
        "failedRequest": failed,
    }


def _request_name(request: Document) -> Any:
    return str(request.get("name") or "unknown")
