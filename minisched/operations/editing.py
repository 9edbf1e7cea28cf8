"""How a stored pipeline changes: one at a time, the orchestrator told first, then stored if nobody was faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from minisched.domain import entity
from minisched.domain.entity_versions import Stamp, same, stamped
from minisched.domain.errors import (
    Forbidden,
    MinischedError,
    OrchestratorError,
    OrchestratorRejected,
    PipelineNotFound,
    StoreUnavailable,
    VersionConflict,
)
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document, Pipeline
from minisched.keyed_locks import KeyedLocks
from minisched.ports import ClientResponse, Clock, PipelineServiceClient, PipelineStore

Include = Literal["non-deleted", "deleted", "all"]

# Another process may change the same entity; three losses in a row are worth telling the caller.
_ATTEMPTS = 3


class DeploymentFailed(OrchestratorRejected):
    """The orchestrator did not take the changed pipeline; nothing was saved."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A pipeline as it is now, and whether the request changed it."""

    pipeline: Pipeline
    changed: bool


class PipelineEditor:
    """Reads and changes entities for every use case that does."""

    def __init__(self, *, store: PipelineStore, client: PipelineServiceClient, clock: Clock) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._locks = KeyedLocks()

    def get(self, pipeline_id: str, *, include: Include = "non-deleted") -> Pipeline:
        """Raises PipelineNotFound, also for what is not a UUID."""
        if not is_uuid(pipeline_id):
            raise not_found(pipeline_id)
        return self._visible(pipeline_id.lower(), self._store.get, include)

    def get_by_fqn(self, fqn: str, *, include: Include = "non-deleted") -> Pipeline:
        """Raises PipelineNotFound."""
        return self._visible(fqn, self._store.get_by_fqn, include)

    def find(self, id_or_fqn: str, *, include: Include = "non-deleted") -> Pipeline:
        """By id when it looks like one (an FQN never does), else by FQN. Raises PipelineNotFound."""
        return (self.get if is_uuid(id_or_fqn) else self.get_by_fqn)(id_or_fqn, include=include)

    def _visible(self, key: str, read: Callable[[str], Pipeline], include: Include) -> Pipeline:
        try:
            pipeline = read(key)
        except PipelineNotFound:
            raise not_found(key) from None
        if include != "all" and pipeline.deleted != (include == "deleted"):
            raise not_found(key)
        return pipeline

    def stamp(self, user: str) -> Stamp:
        return Stamp(by=user, at_ms=to_ms(self._clock.now()))

    @contextmanager
    def alone(self, pipeline_id: str) -> Iterator[None]:
        """Nobody else in this process changes the pipeline meanwhile."""
        with self._locks.hold(pipeline_id):
            yield

    def edit(
        self,
        pipeline_id: str,
        change: Callable[[Document], Document],
        *,
        user: str,
        include: Include = "non-deleted",
        may_deploy: bool = True,
    ) -> Edited:
        """Apply `change` to the stored document and store the next version, if it differs.

        What the orchestrator acts on reaches it first; Forbidden is raised when that is needed and not `may_deploy`.
        `change` may be called again when somebody was faster. Raises PipelineNotFound, DeploymentFailed,
        VersionConflict, and whatever `change` raises; then nothing changed.
        """
        with self.alone(pipeline_id):
            for _ in range(_ATTEMPTS - 1):
                with suppress(VersionConflict):
                    return self._edit_once(pipeline_id, change, user, include, may_deploy)
            return self._edit_once(pipeline_id, change, user, include, may_deploy)

    def _edit_once(
        self, pipeline_id: str, change: Callable[[Document], Document], user: str, include: Include, may_deploy: bool
    ) -> Edited:
        stored = self.get(pipeline_id, include=include)
        return self.save(stored, change(stored.document), user=user, may_deploy=may_deploy)

    def save(self, stored: Pipeline, changed: Document, *, user: str, may_deploy: bool = True) -> Edited:
        """Store `changed` as the next version of `stored`; the caller is `alone`. Raises as `edit`."""
        document = stamped(stored.document, changed, self.stamp(user))
        if document is stored.document:
            return Edited(self._refreshed(stored, changed), changed=False)
        redeployed = entity.needs_deploy(stored.document, document)
        if (redeployed or stored.deleted) and not may_deploy:
            raise Forbidden(f"{stored.fqn} is deployed, or deleted: this would change what runs.")
        if redeployed:
            self._redeploy(document, stored)
        try:
            self._store.replace(Pipeline(document), expected=stored)
        except (StoreUnavailable, VersionConflict):
            if redeployed:
                with suppress(MinischedError):
                    self._client.deploy_pipeline(stored.document)
            raise
        return Edited(Pipeline(document), changed=True)

    def annotate(self, pipeline_id: str, change: Callable[[Document], Document]) -> Pipeline:
        """Change what no version tells of (followers). Raises PipelineNotFound, VersionConflict, as `change` does."""
        with self.alone(pipeline_id):
            stored = self.get(pipeline_id)
            document = change(stored.document)
            if document == stored.document:
                return stored
            self._store.replace(Pipeline(document), expected=stored)
            return Pipeline(document)

    def _redeploy(self, document: Document, stored: Pipeline) -> None:
        try:
            response = self._client.deploy_pipeline(document)
        except StoreUnavailable:
            raise
        except OrchestratorRejected as error:
            # Airflow overwrites what it had before it finds out that it cannot have the new one.
            with suppress(MinischedError):
                self._client.deploy_pipeline(stored.document)
            raise _deployment_failed(str(error)) from error
        except MinischedError as error:
            raise _deployment_failed(str(error)) from error
        if response.code != 200:
            raise _deployment_failed(response.reason or f"code {response.code}")

    def _refreshed(self, stored: Pipeline, changed: Document) -> Pipeline:
        """With what its service passes on to it now, which is no change of its own and makes no version."""
        passed_on: Document = {field: changed[field] for field in ("owners", "domains") if field in changed}
        if all(same(stored.document.get(field), references) for field, references in passed_on.items()):
            return stored
        refreshed = Pipeline({**stored.document, **passed_on})
        self._store.replace(refreshed, expected=stored)
        return refreshed

    def deploy(self, pipeline_id: str, *, user: str) -> ClientResponse:
        """Tell the orchestrator of the pipeline and note that it knows; raises what the client raises."""
        with self.alone(pipeline_id):
            stored = self.get(pipeline_id)
            document = stamped(stored.document, entity.deployed(stored.document, is_deployed=True), self.stamp(user))
            # What is sent is what will be stored, so that deploying it once more is seen to change nothing.
            response = self._client.deploy_pipeline(document)
            if response.code == 200 and document is not stored.document:
                self._store.replace(Pipeline(document), expected=stored)
            return response


def not_found(key: str) -> PipelineNotFound:
    return PipelineNotFound(f"{entity.ENTITY_TYPE} instance for {key[:512]} not found")


def _deployment_failed(context: str) -> DeploymentFailed:
    return DeploymentFailed(f"Deployment failed: {context.rstrip('. ')}. Changes not saved.")


def is_uuid(text: str) -> bool:
    """True for the canonical form of a UUID; other spellings would be other keys."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def not_deployed(pipeline: Pipeline) -> OrchestratorError:
    return OrchestratorRejected(f"Pipeline {pipeline.fqn} is not deployed.", hint="Deploy it first.")
