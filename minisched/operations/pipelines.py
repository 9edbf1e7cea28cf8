"""The front API's pipelines: make, read, change, delete and restore them (contract §3.2-§3.7, §3.14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from minisched.domain import entity
from minisched.domain.entity_versions import own
from minisched.domain.errors import (
    EntityExists,
    InvalidInput,
    NotFound,
    OrchestratorError,
    OrchestratorRejected,
    PipelineNotFound,
)
from minisched.domain.pipeline import Document, Pipeline
from minisched.operations.editing import Edited, Include, PipelineEditor, not_found
from minisched.operations.references import References, Service
from minisched.ports import (
    EntityDirectory,
    PipelinePage,
    PipelineQuery,
    PipelineServiceClient,
    PipelineStore,
    ReceivedLogs,
)

# Sees what is stored now, or None, and raises PreconditionFailed when that is not what the caller meant.
Require = Callable[[Pipeline | None], None]
# Checks an airflowConfig; raises InvalidSchedule.
ValidateSchedule = Callable[[Document], object]


def _anything(_: Pipeline | None) -> None:
    """Whatever is stored is fine."""


@dataclass(frozen=True, slots=True)
class Put:
    """What a create-or-update did."""

    pipeline: Pipeline
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """A pipeline that was deleted; `runner_skipped` when the orchestrator could not be told and was not waited for."""

    pipeline: Pipeline
    runner_skipped: bool = False


@dataclass(frozen=True, slots=True)
class FollowerChange:
    """A pipeline after somebody began or ceased to follow it."""

    pipeline: Pipeline
    added: Sequence[Document] = ()
    removed: Sequence[Document] = ()


class Pipelines:
    """Entities of the front API. Requests are documents of the schema's form, nulls left out."""

    def __init__(
        self,
        *,
        store: PipelineStore,
        editor: PipelineEditor,
        directory: EntityDirectory,
        client: PipelineServiceClient,
        received_logs: ReceivedLogs,
        validate_schedule: ValidateSchedule,
    ) -> None:
        self._store = store
        self._editor = editor
        self._references = References(directory)
        self._client = client
        self._received_logs = received_logs
        self._validate_schedule = validate_schedule

    def create(self, request: Document, *, user: str) -> Pipeline:
        """Raises EntityExists, EntityNotFound (service, owner, domain), InvalidInput; then nothing is stored."""
        return self._create(request, self._resolved(request), user)

    def put(self, request: Document, *, user: str, require: Require = _anything, may_deploy: bool = True) -> Put:
        """Create, or update what has the same FQN; a deleted one comes back. Raises as `create` and `patch` do, and
        Forbidden when it would change what runs and not `may_deploy`."""
        references = self._resolved(request)
        fqn = entity.fully_qualified_name(references.service, request["name"])
        if (stored := self._stored(fqn)) is None:
            require(None)
            try:
                return Put(self._create(request, references, user), created=True, changed=True)
            except EntityExists:  # somebody was faster
                stored = self._editor.get_by_fqn(fqn, include="all")

        def replace(document: Document) -> Document:
            require(Pipeline(document))
            return entity.replaced(document, request, references)

        edited = self._editor.edit(stored.id, replace, user=user, include="all", may_deploy=may_deploy)
        return Put(edited.pipeline, created=False, changed=edited.changed)

    def patch(self, pipeline_id: str, change: Callable[[Document], Document], *, user: str) -> Edited:
        """Change an entity by a function of its document, in which secrets look like `*********`.

        Raises PipelineNotFound, InvalidInput, EntityNotFound, DeploymentFailed, and what `change` raises.
        """

        def apply(stored: Document) -> Document:
            candidate = entity.reveal(change(entity.hide(stored)), stored)
            entity.refuse_restricted(stored, candidate)
            self._validate_schedule(candidate.get("airflowConfig") or {})
            return entity.patched(stored, candidate, self._patched_references(stored, candidate))

        return self._editor.edit(pipeline_id, apply, user=user)

    def get(self, pipeline_id: str, *, include: Include = "non-deleted") -> Pipeline:
        """Raises PipelineNotFound."""
        return self._editor.get(pipeline_id, include=include)

    def get_by_fqn(self, fqn: str, *, include: Include = "non-deleted") -> Pipeline:
        """Raises PipelineNotFound."""
        return self._editor.get_by_fqn(fqn, include=include)

    def find(self, id_or_fqn: str, *, include: Include = "non-deleted") -> Pipeline:
        """Raises PipelineNotFound."""
        return self._editor.find(id_or_fqn, include=include)

    def page(self, query: PipelineQuery) -> PipelinePage:
        return self._store.page(query)

    def versions(self, pipeline_id: str) -> list[Pipeline]:
        """Every version, newest first, of a deleted one too. Raises PipelineNotFound."""
        self._editor.get(pipeline_id, include="all")
        return self._store.history(pipeline_id)

    def version(self, pipeline_id: str, version: float) -> Pipeline:
        """Raises PipelineNotFound for the pipeline, NotFound for the version."""
        for pipeline in self.versions(pipeline_id):
            if pipeline.version == version:
                return pipeline
        raise NotFound(f"{entity.ENTITY_TYPE} instance for {pipeline_id} and version {version} not found")

    def require_service(self, service_type: str, fqn: str) -> None:
        """Raises EntityNotFound unless a pipeline belongs to this service or the catalog knows it."""
        query = PipelineQuery(service=fqn, service_type=service_type, include="all", limit=1)
        if not self._store.page(query).pipelines:
            self._references.require(service_type, fqn)

    def deletable(self, pipeline_id: str, *, hard: bool, force: bool) -> Pipeline:
        """What `delete` would delete. Raises PipelineNotFound, InvalidInput."""
        if force and not hard:
            raise InvalidInput("Force deleting an ingestion pipeline requires hardDelete=true")
        stored = self._editor.get(pipeline_id, include="all" if hard else "non-deleted")
        entity.refuse_deletion(stored.document)
        return stored

    def delete(self, pipeline_id: str, *, hard: bool, force: bool, user: str, require: Require = _anything) -> Deleted:
        """Soft: the entity is marked and the orchestrator goes on. Hard: both forget it, runs are ended.

        An orchestrator that does not comply is ignored for a pipeline that is not deployed, and with `force` (which
        asks for `hard`). Raises PipelineNotFound, InvalidInput, OrchestratorError; then nothing was deleted.
        """
        with self._editor.alone(pipeline_id):
            stored = self.deletable(pipeline_id, hard=hard, force=force)
            require(stored)
            if hard:
                return self._delete_hard(stored, force=force)
            edited = self._editor.save(stored, entity.marked_deleted(stored.document, deleted=True), user=user)
            return Deleted(edited.pipeline)

    def restorable(self, pipeline_id: str) -> Pipeline:
        """What `restore` would restore. Raises as it does."""
        stored = self._editor.get(pipeline_id, include="all")
        if not stored.deleted:
            raise InvalidInput(f"{entity.ENTITY_TYPE} instance for {pipeline_id} is not deleted")
        return stored

    def restore(self, pipeline_id: str, *, user: str) -> Pipeline:
        """Undo a soft delete. Raises PipelineNotFound, InvalidInput when it is not deleted."""
        with self._editor.alone(pipeline_id):
            stored = self.restorable(pipeline_id)
            edited = self._editor.save(stored, entity.marked_deleted(stored.document, deleted=False), user=user)
            return edited.pipeline

    def follow(self, pipeline_id: str, user_id: str) -> FollowerChange:
        """Add a follower; following twice is following. Raises PipelineNotFound, EntityNotFound for the user."""
        self._editor.get(pipeline_id)
        follower = self._references.user(user_id)

        def add(document: Document) -> Document:
            others = [known for known in document.get("followers") or [] if known["id"] != user_id]
            return {**document, "followers": [*others, follower]}

        return FollowerChange(self._editor.annotate(pipeline_id, add), added=[follower])

    def unfollow(self, pipeline_id: str, user_id: str) -> FollowerChange:
        """Remove a follower; absent afterwards. Raises PipelineNotFound, EntityNotFound for a user of nowhere."""
        followers = self._editor.get(pipeline_id).document.get("followers") or []
        follower = next((known for known in followers if known["id"] == user_id), None) or self._references.user(
            user_id
        )

        def remove(document: Document) -> Document:
            return {
                **document,
                "followers": [known for known in document.get("followers") or [] if known["id"] != user_id],
            }

        return FollowerChange(self._editor.annotate(pipeline_id, remove), removed=[follower])

    # --- parts --------------------------------------------------------------------------------------------------------

    def _create(self, request: Document, references: entity.References, user: str) -> Pipeline:
        stamp = self._editor.stamp(user)
        pipeline = Pipeline(entity.new_entity(request, references, entity_id=str(uuid4()), stamp=stamp))
        self._store.create(pipeline)
        return pipeline

    def _resolved(self, request: Document) -> entity.References:
        self._validate_schedule(request["airflowConfig"])
        service = self._references.service(request["service"])
        return entity.References(
            service=service.reference,
            owners=self._references.owners(request.get("owners") or ()),
            domains=self._references.domains_by_name(request.get("domains") or ()),
            inherited_owners=service.owners,
            inherited_domains=service.domains,
        )

    def _patched_references(self, stored: Document, candidate: Document) -> entity.References:
        known_owners, known_domains = own(stored.get("owners")), own(stored.get("domains"))
        service = self._service_of(stored, candidate)
        return entity.References(
            service=stored["service"],
            owners=self._references.owners(own(candidate.get("owners")), known=known_owners),
            domains=self._references.domains(own(candidate.get("domains")), known=known_domains),
            inherited_owners=service.owners,
            inherited_domains=service.domains,
        )

    def _service_of(self, stored: Document, candidate: Document) -> Service:
        """Asked for what it passes on only when the patch takes away all that the pipeline had of its own."""
        kept = {field: stored.get(field) or [] for field in ("owners", "domains")}
        if any(own(references) and not own(candidate.get(field)) for field, references in kept.items()):
            with suppress(NotFound, OrchestratorError):  # it is gone, or out of reach: nothing is inherited now
                return self._references.service(stored["service"])
        return Service(stored["service"], *([ref for ref in kept[field] if ref.get("inherited")] for field in kept))

    def _stored(self, fqn: str) -> Pipeline | None:
        try:
            return self._editor.get_by_fqn(fqn, include="all")
        except PipelineNotFound:
            return None

    def _delete_hard(self, stored: Pipeline, *, force: bool) -> Deleted:
        runner_skipped = False
        try:
            self._forget(stored)
        except OrchestratorError:
            if stored.deployed and not force:
                raise
            runner_skipped = True
        try:
            self._store.remove(stored.id)
        except PipelineNotFound:
            raise not_found(stored.id) from None
        self._received_logs.remove(stored.id)
        return Deleted(stored, runner_skipped=runner_skipped)

    def _forget(self, stored: Pipeline) -> None:
        response = self._client.delete_pipeline(stored.ref)
        if response.code != 200:
            raise OrchestratorRejected(response.reason or f"Failed to delete {stored.fqn}: code {response.code}")
