"""The rules of an IngestionPipeline entity: how one is made, changed, deleted and restored (contract §3.5-§3.7, §4).

Pure functions from documents to documents; references arrive resolved, schedules validated. Documents are as stored:
without `href`, without statuses, with secrets in clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minisched.domain.entity_versions import Stamp, own, same
from minisched.domain.errors import InvalidInput, InvalidPipelineConfig
from minisched.domain.pipeline import Document, quote_name
from minisched.domain.secrets import MASK, map_secrets, unmask
from minisched.domain.source_config import with_defaults

ENTITY_TYPE = "ingestionPipeline"
FIRST_VERSION = 0.1

SERVICE_TYPES = (
    "databaseService",
    "messagingService",
    "dashboardService",
    "pipelineService",
    "mlmodelService",
    "metadataService",
    "storageService",
    "searchService",
    "apiService",
    "driveService",
    "securityService",
    "mcpService",
    "testSuite",
)

AIRFLOW_CONFIG_DEFAULTS: Document = {
    "pausePipeline": False,
    "concurrency": 1,
    "pipelineTimezone": "UTC",
    "retries": 0,
    "retryDelay": 300,
    "pipelineCatchup": False,
    "maxActiveRuns": 1,
    "workflowDefaultView": "tree",
    "workflowDefaultViewOrientation": "LR",
}

_ENTITY_DEFAULTS: Document = {
    "loggerLevel": "INFO",
    "raiseOnError": True,
    "provider": "user",
    "enableStreamableLogs": False,
}

# What a caller may send in a create request and finds unchanged in the entity.
_COPIED = (
    "name",
    "displayName",
    "description",
    "pipelineType",
    "loggerLevel",
    "raiseOnError",
    "provider",
    "enableStreamableLogs",
    "processingEngine",
)
# A PUT that does not name one of these leaves it as it is (contract §3.6).
_KEPT_BY_PUT = ("loggerLevel", "raiseOnError", "enableStreamableLogs", "processingEngine", "owners", "domains")
_REMOVED_BY_PUT = ("displayName", "description")

# What a patch may change; the rest of the entity is the server's.
PATCHABLE = (
    "displayName",
    "description",
    "owners",
    "domains",
    "pipelineType",
    "sourceConfig",
    "airflowConfig",
    "loggerLevel",
    "raiseOnError",
    "enabled",
    "enableStreamableLogs",
    "processingEngine",
)
_RESTRICTED = ("id", "name", "service", "deleted", "deployed")

# What the orchestrator acts on: a change of one of these has to reach it (contract §3.9).
_DEPLOYED_FIELDS = (
    "pipelineType",
    "sourceConfig",
    "airflowConfig",
    "loggerLevel",
    "raiseOnError",
    "enabled",
    "enableStreamableLogs",
)

_REFERENCE_FIELDS = ("id", "type", "name", "fullyQualifiedName", "description", "displayName", "deleted", "inherited")


@dataclass(frozen=True, slots=True)
class References:
    """The entities that a pipeline points to, as resolved EntityReference documents (contract §4.5).

    `inherited_…` are those of the service, marked so; they stand where the pipeline has none of its own.
    """

    service: Document
    owners: Sequence[Document] = ()
    domains: Sequence[Document] = ()
    inherited_owners: Sequence[Document] = ()
    inherited_domains: Sequence[Document] = ()


def fully_qualified_name(service: Document, name: str) -> str:
    """`<service FQN>.<name>`, the name quoted when it holds a dot or a quote."""
    return f"{service['fullyQualifiedName']}.{quote_name(name)}"


def new_entity(request: Document, references: References, *, entity_id: str, stamp: Stamp) -> Document:
    """The entity that a create request makes: version 0.1, enabled, not deployed, defaults filled in.

    Raises InvalidPipelineConfig when the request holds `*********`, for there is nothing it could stand for.
    """
    sent = {field: request[field] for field in _COPIED if request.get(field) is not None}
    entity = {
        "id": entity_id,
        **_ENTITY_DEFAULTS,
        **sent,
        "fullyQualifiedName": fully_qualified_name(references.service, str(request["name"])),
        "service": references.service,
        "sourceConfig": request["sourceConfig"],
        "airflowConfig": request["airflowConfig"],
        "owners": list(references.owners or references.inherited_owners),
        "domains": list(references.domains or references.inherited_domains),
        "deployed": False,
        "enabled": True,
        "deleted": False,
        "version": FIRST_VERSION,
        "updatedAt": stamp.at_ms,
        "updatedBy": stamp.by,
    }
    return _normal(entity)


def replaced(stored: Document, request: Document, references: References) -> Document:
    """The entity after a PUT of a create request over it (contract §3.6), not stamped yet.

    Owners and domains can be replaced but not removed; a deleted entity comes back; `*********` keeps the secret.
    """
    kept = {field: stored[field] for field in _KEPT_BY_PUT if field in stored}
    sent = {field: request[field] for field in _COPIED if request.get(field) is not None and field != "provider"}
    entity = {
        **{field: value for field, value in stored.items() if field not in _REMOVED_BY_PUT},
        **kept,
        **sent,
        "sourceConfig": unmask(request["sourceConfig"], stored["sourceConfig"]),
        "airflowConfig": request["airflowConfig"],
        "owners": list(references.owners or own(stored.get("owners")) or references.inherited_owners),
        "domains": list(references.domains or own(stored.get("domains")) or references.inherited_domains),
        "deleted": False,
    }
    return _normal(entity)


def patched(stored: Document, candidate: Document, references: References) -> Document:
    """The entity after a patch whose result is `candidate` (secrets revealed), not stamped yet.

    Whatever the patch did to fields that belong to the server is undone; `refuse_restricted` comes before.
    """
    entity = {field: value for field, value in stored.items() if field not in PATCHABLE}
    entity |= {field: candidate[field] for field in PATCHABLE if candidate.get(field) is not None}
    for field in ("sourceConfig", "airflowConfig", "pipelineType"):
        if field not in entity:
            raise InvalidInput("is required", field=field)
    entity |= {
        "owners": list(references.owners or references.inherited_owners),
        "domains": list(references.domains or references.inherited_domains),
    }
    entity.setdefault("enabled", stored.get("enabled", True))
    return _normal({**_ENTITY_DEFAULTS, **entity})


def refuse_restricted(stored: Document, candidate: Document) -> None:
    """Raises InvalidInput when the patch changed what a patch may not change (contract §3.7)."""
    for field in _RESTRICTED:
        if _identity(field, stored.get(field)) != _identity(field, candidate.get(field)):
            hint = "Deploy the pipeline instead." if field == "deployed" else None
            raise InvalidInput(f"{ENTITY_TYPE} attribute {field} can't be modified", hint=hint)


def _identity(field: str, value: Any) -> Any:
    if field == "service" and isinstance(value, dict):
        return value.get("id"), value.get("type")
    return value


def needs_deploy(old: Document, new: Document) -> bool:
    """True when the orchestrator knows `old` and has to be told of `new`."""
    if not (old.get("deployed") and new.get("deployed")):
        return False
    return any(not same(old.get(field), new.get(field)) for field in _DEPLOYED_FIELDS)


def deployed(stored: Document, *, is_deployed: bool) -> Document:
    return {**stored, "deployed": is_deployed}


def enabled(stored: Document, *, is_enabled: bool) -> Document:
    return {**stored, "enabled": is_enabled}


def marked_deleted(stored: Document, *, deleted: bool) -> Document:
    """Soft deletion and its undoing."""
    return {**stored, "deleted": deleted}


def refuse_deletion(stored: Document) -> None:
    """Raises InvalidInput for what the system itself provides."""
    if stored.get("provider") == "system":
        raise InvalidInput(f"System entity [{stored['name']}] of type {ENTITY_TYPE} can not be deleted.")


# --- normal form ------------------------------------------------------------------------------------------------------


def _normal(entity: Document) -> Document:
    service_type = str(entity["service"].get("type"))
    normal = {
        **entity,
        "sourceConfig": with_defaults(entity["sourceConfig"], service_type),
        "airflowConfig": AIRFLOW_CONFIG_DEFAULTS | _without_nulls(entity["airflowConfig"]),
    }
    application = _application_type(normal["sourceConfig"])
    normal.pop("applicationType", None)
    if application is not None:
        normal["applicationType"] = application
    _refuse_masks(normal["sourceConfig"])
    return {key: value for key, value in normal.items() if value is not None}


def _without_nulls(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def _application_type(source_config: Document) -> str | None:
    config = source_config.get("config")
    app_config = config.get("appConfig") if isinstance(config, dict) else None
    name = app_config.get("type") if isinstance(app_config, dict) else None
    return name if isinstance(name, str) else None


def _refuse_masks(source_config: Document) -> None:
    def refuse(value: str) -> str:
        if value == MASK:
            hint = "Send the secret itself; ********* only stands for one that is stored already."
            raise InvalidPipelineConfig(
                "a secret is masked and nothing is stored that it could stand for.", field="sourceConfig", hint=hint
            )
        return value

    map_secrets(source_config, refuse)


def reference(resolved: Document) -> Document:
    """The part of an EntityReference that is stored: what does not depend on who asks."""
    kept = {field: resolved[field] for field in _REFERENCE_FIELDS if resolved.get(field) is not None}
    if isinstance(href := resolved.get("href"), str):
        kept["href"] = href
    return kept


# --- secrets that travel through a patch ------------------------------------------------------------------------------


class _Hidden(str):
    """Looks like `*********` to whoever reads or compares it, and remembers the secret that it hides.

    A patch may move list items about; the secret moves with its item instead of staying at its old index.
    """

    __slots__ = ("secret",)
    secret: str

    def __new__(cls, secret: str) -> _Hidden:
        hidden = super().__new__(cls, MASK)
        hidden.secret = secret
        return hidden

    def __deepcopy__(self, _memo: object) -> _Hidden:
        return self


def hide(document: Document) -> Document:
    """The document for a patch to be applied to: secrets look like `*********`."""
    hidden: Document = map_secrets(document, _Hidden)
    return hidden


def reveal(candidate: Document, stored: Document) -> Document:
    """The patched document with its secrets back, where they still stand in the place of a secret.

    A secret that was moved or copied to a place that is not secret stays `*********` there, so that a patch cannot
    be used to read it.
    """
    moved = map_secrets(candidate, lambda value: value.secret if isinstance(value, _Hidden) else value)
    revealed: Document = unmask(_plain(moved), stored)
    return revealed


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return MASK if isinstance(node, _Hidden) else node
