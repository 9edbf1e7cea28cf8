"""How documents leave the house: secrets masked, addresses added, only what was asked for (contract §3.3, §3.18).

The one place where documents become answers; whatever a handler returns goes through `EntityView` or `shown`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from minisched.api import cursors
from minisched.api.schemas import ENTITY_FIELDS
from minisched.domain.entity import ENTITY_TYPE
from minisched.domain.errors import InvalidInput
from minisched.domain.line_fields import for_line
from minisched.domain.pipeline import Document, Pipeline
from minisched.domain.secrets import mask
from minisched.domain.versions import Line
from minisched.operations.pipelines import FollowerChange
from minisched.operations.statuses import StatusChange
from minisched.ports import ClientResponse, PipelinePage

PIPELINES_PATH = "/api/v1/services/ingestionPipelines"

# Left out of an answer unless `fields` names them.
_ON_REQUEST = frozenset({"owners", "followers", "domains", "pipelineStatuses"})
_NEVER_SHOWN = frozenset({"openMetadataServerConnection"})
_REFERENCES = ("owners", "followers", "domains")

_COLLECTIONS = {
    "databaseService": "services/databaseServices",
    "messagingService": "services/messagingServices",
    "dashboardService": "services/dashboardServices",
    "pipelineService": "services/pipelineServices",
    "mlmodelService": "services/mlmodelServices",
    "metadataService": "services/metadataServices",
    "storageService": "services/storageServices",
    "searchService": "services/searchServices",
    "apiService": "services/apiServices",
    "driveService": "services/driveServices",
    "securityService": "services/securityServices",
    "mcpService": "services/mcpServices",
    "testSuite": "dataQuality/testSuites",
    "user": "users",
    "team": "teams",
    "domain": "domains",
}


def shown(document: Any) -> Any:
    """Anything that is not an entity, as a caller may see it."""
    return mask(document)


def requested_fields(fields: str | None) -> frozenset[str]:
    """The names in a `fields` parameter; `*` is all. Raises InvalidInput for one that no entity has."""
    names = frozenset(name.strip() for name in (fields or "").split(",") if name.strip())
    if "*" in names:
        return ENTITY_FIELDS
    for name in sorted(names - ENTITY_FIELDS):
        raise InvalidInput(f"Invalid field name {name[:100]}")
    return names


@dataclass(frozen=True, slots=True)
class EntityView:
    """Pipelines as seen from one base URL (`http://127.0.0.1:8580`, no slash at the end).

    `line` is that of the run that asks: it is told nothing that its models refuse. None for everybody else.
    """

    base_url: str
    line: Line | None = None

    def entity(
        self, pipeline: Pipeline, *, fields: Collection[str], statuses: list[Document] | None = None
    ) -> Document:
        """The entity with the asked fields; `statuses` are shown when they are given."""
        hidden = (_ON_REQUEST - set(fields)) | _NEVER_SHOWN
        document = {key: value for key, value in pipeline.document.items() if key not in hidden}
        if self.line is not None:
            document = for_line(document, self.line)
        answer: Document = mask(self.with_addresses(document))
        if statuses is not None:
            answer["pipelineStatuses"] = mask(statuses)
        return answer

    def whole(self, pipeline: Pipeline) -> Document:
        """Every stored field, as answers to writes have it."""
        return self.entity(pipeline, fields=ENTITY_FIELDS)

    def with_addresses(self, document: Document) -> Document:
        """The document and its references with their `href`."""
        answer = {**document, "href": self.href(str(document["id"]))}
        for field in _REFERENCES:
            if isinstance(references := document.get(field), list):
                answer[field] = self._references(references)
        if isinstance(service := document.get("service"), dict):
            answer["service"] = self._reference(service)
        return answer

    def href(self, pipeline_id: str) -> str:
        return f"{self.base_url}{PIPELINES_PATH}/{pipeline_id}"

    def etag(self, pipeline: Pipeline) -> str:
        """A strong ETag of the entity, whichever fields an answer shows."""
        serialized = json.dumps(self.whole(pipeline), separators=(",", ":"), sort_keys=True)
        return f'"{hashlib.sha256(serialized.encode()).hexdigest()[:16]}"'

    def page(
        self,
        page: PipelinePage,
        *,
        fields: Collection[str],
        statuses: dict[str, list[Document]] | None,
        by_display_name: bool,
    ) -> Document:
        data = [
            self.entity(pipeline, fields=fields, statuses=None if statuses is None else statuses.get(pipeline.fqn, []))
            for pipeline in page.pipelines
        ]
        before = cursors.encode(page.before, by_display_name=by_display_name)
        after = cursors.encode(page.after, by_display_name=by_display_name)
        return {"data": data, "paging": without_nulls(before=before, after=after, total=page.total)}

    def history(self, versions: Iterable[Pipeline]) -> Document:
        """Versions are JSON strings, newest first (contract §3.4)."""
        texts = [json.dumps(self.whole(pipeline), ensure_ascii=False) for pipeline in versions]
        return {"entityType": ENTITY_TYPE, "versions": texts}

    def status_event(self, change: StatusChange, *, user: str) -> Document:
        """The ChangeEvent that answers a PUT of a pipelineStatus (contract §3.11)."""
        updated = without_nulls(name="pipelineStatus", newValue=mask(change.new), oldValue=mask(change.old))
        return self._event("entityFieldsChanged", change.pipeline, user, change.at_ms, updated=[updated])

    def follower_event(self, change: FollowerChange, *, user: str, at_ms: int) -> Document:
        """The ChangeEvent that answers whoever begins or ceases to follow."""
        added = [{"name": "followers", "newValue": self._references(change.added)}] if change.added else []
        deleted = [{"name": "followers", "oldValue": self._references(change.removed)}] if change.removed else []
        return self._event("entityUpdated", change.pipeline, user, at_ms, added=added, deleted=deleted)

    def _event(
        self,
        event_type: str,
        pipeline: Pipeline,
        user: str,
        at_ms: int,
        *,
        added: Sequence[Document] = (),
        updated: Sequence[Document] = (),
        deleted: Sequence[Document] = (),
    ) -> Document:
        """A ChangeEvent of something that makes no version."""
        description = {
            "fieldsAdded": list(added),
            "fieldsUpdated": list(updated),
            "fieldsDeleted": list(deleted),
            "previousVersion": pipeline.version,
        }
        return {
            "id": str(uuid4()),
            "eventType": event_type,
            "entityType": ENTITY_TYPE,
            "entityId": pipeline.id,
            "entityFullyQualifiedName": pipeline.fqn,
            "previousVersion": pipeline.version,
            "currentVersion": pipeline.version,
            "userName": user,
            "timestamp": at_ms,
            "changeDescription": description,
            "incrementalChangeDescription": description,
            "entity": self.whole(pipeline),
        }

    def _references(self, references: Iterable[Document]) -> list[Document]:
        return [self._reference(reference) for reference in references]

    def _reference(self, reference: Document) -> Document:
        collection = _COLLECTIONS.get(str(reference.get("type")))
        if "href" in reference or collection is None:
            return reference
        return {**reference, "href": f"{self.base_url}/api/v1/{collection}/{reference['id']}"}


def client_response(response: ClientResponse) -> Document:
    """PipelineServiceClientResponse (contract §2.2): keys without a value are left out."""
    return without_nulls(
        code=response.code,
        reason=response.reason,
        platform=response.platform,
        version=response.version,
        runId=response.run_id,
    )


def without_nulls(**members: Any) -> Document:
    return {key: value for key, value in members.items() if value is not None}
