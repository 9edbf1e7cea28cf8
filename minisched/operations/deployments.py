"""Deployments by name: pipelines of an OpenMetadata server, without an entity here, taken over and managed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from minisched.domain.errors import (
    ConfigurationError,
    Conflict,
    NameCollision,
    OrchestratorRejected,
    PipelineNotFound,
)
from minisched.domain.pipeline import Deployment, Document, PipelineRef, clean_name
from minisched.operations.pipelines import ValidateSchedule
from minisched.operations.runs import Runs
from minisched.ports import ClientResponse, DeploymentStore, PipelineServiceClient, PipelineStore, RunOptions

# The platform that is this machine.
LOCAL = "local"


class Standing(StrEnum):
    """How a document stands to what is deployed: OUTDATED when OpenMetadata has deployed a later one meanwhile."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What became of a document, or would become of it; `response` is None when nothing had to be done."""

    standing: Standing
    enabled: bool
    runtime: str | None = None
    response: ClientResponse | None = None


class HasEntity(Conflict):
    """The pipeline has an entity on this server, which would not know of the change."""


class Deployments:
    """Of this machine only: what goes to another orchestrator is known there. What has an entity is changed by it."""

    def __init__(
        self,
        *,
        store: DeploymentStore,
        pipelines: PipelineStore,
        runs: Runs,
        client: PipelineServiceClient,
        validate_schedule: ValidateSchedule,
    ) -> None:
        self._store = store
        self._pipelines = pipelines
        self._runs = runs
        self._client = client
        self._validate_schedule = validate_schedule

    def plan(self, document: Document, *, enabled: bool | None, runtime: str | None = None) -> TakenOver:
        """What `take_over` would do, as far as that can be told without a runtime. Raises as it does."""
        self._require_local()
        self._refuse_entity(str(document["id"]))
        self._validate_schedule(document.get("airflowConfig") or {})
        stored = self._stored(str(document["id"]))
        self._refuse_taken_name(document)
        wanted = _wanted(stored, enabled)
        chosen = runtime or (stored.runtime if stored else None)
        return TakenOver(_standing(stored, document, wanted, chosen), wanted, chosen)

    def take_over(self, document: Document, *, enabled: bool | None, runtime: str | None = None) -> TakenOver:
        """Deploy a document, whole, as if its OpenMetadata server had; only its `enabled` is decided here.

        Without `enabled` a deployment stays as it is, and a new one is disabled; without `runtime` it keeps the one it
        has, and for a new one the settings choose. Idempotent; never replaces a later document of the same pipeline.
        Raises HasEntity, NameCollision, InvalidPipelineConfig, InvalidSchedule, RuntimeNotFound, OrchestratorError.
        """
        planned = self.plan(document, enabled=enabled, runtime=runtime)
        if planned.standing is Standing.OUTDATED:
            return self._keep(document, planned)
        if planned.standing is Standing.UNCHANGED:
            return planned
        response = self._client.deploy_pipeline({**document, "enabled": planned.enabled}, runtime=planned.runtime)
        if response.platform != LOCAL:
            note = f"The rules of this server have given it to {response.platform}."
            response = replace(response, notes=(*response.notes, note))
        return replace(planned, response=response)

    def trigger(self, key: str, options: RunOptions) -> ClientResponse:
        """`key` is an id, an FQN or a name, here and below. Raises PipelineNotFound when it is not deployed."""
        return self._client.run_pipeline(self._ref(key), options)

    def enable(self, key: str, *, enabled: bool) -> ClientResponse:
        """Let the schedule fire or not. Raises PipelineNotFound, HasEntity."""
        ref = self._ref(key)
        self._refuse_entity(str(ref.id))
        return self._done(self._client.toggle_ingestion(ref, enabled=enabled), key)

    def kill(self, key: str, *, user: str) -> ClientResponse:
        """End all its runs. Raises PipelineNotFound; OrchestratorRejected when there are none."""
        response = self._client.kill_ingestion(self._ref(key), by=user)
        if response.code != 200:
            raise OrchestratorRejected(response.reason or f"{key} has no running or pending runs")
        return response

    def delete(self, key: str) -> ClientResponse:
        """Forget it and end its runs. Raises PipelineNotFound, HasEntity."""
        ref = self._ref(key)
        self._refuse_entity(str(ref.id))
        return self._client.delete_pipeline(ref)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _keep(self, document: Document, planned: TakenOver) -> TakenOver:
        stored = self._stored(str(document["id"]))
        if stored is None or stored.enabled is planned.enabled:
            return planned
        return replace(planned, response=self.enable(stored.id, enabled=planned.enabled))

    def _require_local(self) -> None:
        if self._client.platform != LOCAL:
            raise OrchestratorRejected(
                f"This server hands its pipelines to {self._client.platform}, so none can be taken over.",
                hint="Set client: local.",
            )

    def _refuse_entity(self, pipeline_id: str) -> None:
        try:
            pipeline = self._pipelines.get(pipeline_id)
        except PipelineNotFound:
            return
        raise HasEntity(
            f"{pipeline.fqn} is a pipeline of this server itself.", hint="Change it as one: `minisched pipeline`."
        )

    def _refuse_taken_name(self, document: Document) -> None:
        name = clean_name(str(document["name"]))
        try:
            other = self._store.find(name)
        except ConfigurationError:
            return  # sealed with a key that was lost: whose it is, the store will tell when it is written
        if other is not None and other.id != str(document["id"]):
            raise NameCollision(
                f"its workflow id {name!r} belongs to {other.fqn} already.",
                hint="Rename one of the two, or delete the other one first.",
            )

    def _stored(self, pipeline_id: str) -> Deployment | None:
        try:
            return self._store.get(pipeline_id)
        except ConfigurationError:
            return None  # sealed with a key that was lost: what is deployed now replaces it

    def _ref(self, key: str) -> PipelineRef:
        deployment = self._store.get(self._runs.pipeline_id(key))
        if deployment is None:
            raise PipelineNotFound(f"Pipeline {key} is not deployed")
        return PipelineRef(name=deployment.name, id=deployment.id, fqn=deployment.fqn)

    @staticmethod
    def _done(response: ClientResponse, key: str) -> ClientResponse:
        if response.code == 404:
            raise PipelineNotFound(f"Pipeline {key} is not deployed")
        return response


def _wanted(stored: Deployment | None, enabled: bool | None) -> bool:
    if enabled is not None:
        return enabled
    return stored.enabled if stored is not None else False


def _standing(stored: Deployment | None, document: Document, enabled: bool, runtime: str | None) -> Standing:
    if stored is None:
        return Standing.NEW
    if _changed_at(stored.document) > _changed_at(document):
        return Standing.OUTDATED
    same = _without_enabled(stored.document) == _without_enabled(document)
    kept = stored.enabled is enabled and stored.runtime == runtime
    return Standing.UNCHANGED if same and kept else Standing.CHANGED


def _changed_at(document: Document) -> float:
    moment = document.get("updatedAt")
    return moment if isinstance(moment, int | float) and not isinstance(moment, bool) else 0.0


def _without_enabled(document: Document) -> str:
    """As JSON, where 1 and true are two things."""
    return json.dumps({key: value for key, value in document.items() if key != "enabled"}, sort_keys=True)
