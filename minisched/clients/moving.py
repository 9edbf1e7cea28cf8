"""Moving a pipeline from one orchestrator to another, so that it is always in one place and never fires in two.

The order, each step durable before the next: note where it is to go; disable it where it is; deploy it there, disabled,
and see that it is known there; place it there; enable it there; have it forgotten where it was. While a placement is
`also_in` another orchestrator, that one is disabled, or was never enabled: whoever finds it so has it forgotten there
and enables it where it is placed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus

import structlog

from minisched import failpoints
from minisched.clients.places import Places
from minisched.domain.client_rules import ClientName
from minisched.domain.errors import (
    MinischedError,
    OrchestratorRejected,
    OrchestratorUnavailable,
    PipelineNotFound,
    RunsActive,
)
from minisched.domain.pipeline import Document, PipelineRef
from minisched.domain.placement import Placement, place, placement_of
from minisched.domain.run import ACTIVE_STATES
from minisched.ports import Clock, Moved, PipelineServiceClient

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Handover:
    """A pipeline between two orchestrators: where it is, placed as it was found, and what the other one is to get."""

    placement: Placement
    document: Document
    source: PipelineServiceClient
    target: PipelineServiceClient


class Mover:
    """Implements `ports.PipelineMover`."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self._places = places
        self._placements = places.placements
        self._clock = clock

    def where(self, pipeline: PipelineRef) -> ClientName:
        return self._places.of(pipeline)

    def placement(self, pipeline: PipelineRef) -> Placement | None:
        return self._places.placement(pipeline)

    def check(self, pipeline: PipelineRef, to: ClientName, *, force: bool = False) -> None:
        source = self._places.client(self._places.of(pipeline))
        _refuse_ill(to, self._places.client(to))
        deployment = self._places.deployed_here(pipeline)
        if to != "local" and deployment is not None and deployment.runtime is not None:
            raise OrchestratorRejected(
                f"{deployment.fqn} was deployed for the runtime {deployment.runtime!r}, which only this machine has.",
                hint="Deploy it through an endpoint without /runtimes/ first.",
            )
        if not force:
            self._refuse_active(pipeline, source)

    def move(
        self, pipeline: PipelineRef, to: ClientName, *, document: Document | None = None, force: bool = False
    ) -> Moved:
        with self._places.alone(pipeline):
            self.end_cut_off(pipeline)
            if (placement := self._places.placement(pipeline)) is not None and placement.client == to:
                return Moved(placement)
            self.check(pipeline, to, force=force)
            handover = self._handover(pipeline, to, document)
            self._intend(handover.placement, to)
            try:
                notes = self._hand_over(handover, force=force)
            except MinischedError:
                self._take_back(pipeline)
                raise
            return self._complete(handover, to, notes)

    def unfinished(self) -> list[Placement]:
        return [placement for placement in self._placements.all() if placement.also_in is not None]

    def settle(self, pipeline: PipelineRef) -> None:
        with self._places.alone(pipeline):
            self.end_cut_off(pipeline)

    def end_cut_off(self, pipeline: PipelineRef) -> None:
        """As `settle`, for whoever is alone with the pipeline."""
        placement = self._places.placement(pipeline)
        if placement is None or placement.also_in is None:
            return
        self._places.client(placement.also_in).delete_pipeline(placement.ref)
        if placement.enabled:
            done = self._places.client(placement.client).toggle_ingestion(placement.ref, enabled=True)
            if done.code != HTTPStatus.OK:
                _log.warning("move.pipeline_gone", pipeline=placement.fqn, client=placement.client)
        self._placements.update(replace(placement, also_in=None))
        _log.info("move.settled", pipeline=placement.fqn, client=placement.client, forgotten_by=placement.also_in)

    # --- the steps --------------------------------------------------------------------------------------------------

    def _handover(self, pipeline: PipelineRef, to: ClientName, document: Document | None) -> _Handover:
        """Raises PipelineNotFound when nobody has it."""
        name, placement = self._places.of(pipeline), self._places.placement(pipeline)
        deployment = self._places.deployed_here(pipeline) if name == "local" else None
        if document is None and deployment is not None:
            document = deployment.document
        if document is None and placement is not None:
            document = self._placements.document(placement.pipeline_id)
        if document is None:
            raise _not_deployed(pipeline)
        if placement is None:
            placement = placement_of(document, name, self._clock.now(), enabled=bool(document.get("enabled", True)))
        if deployment is not None:
            placement = replace(placement, enabled=deployment.enabled)
        return _Handover(placement, document, self._places.client(name), self._places.client(to))

    def _intend(self, placement: Placement, to: ClientName) -> None:
        noted = replace(placement, also_in=to)
        if self._placements.get(placement.pipeline_id) is None:
            self._placements.put(noted, None)
        else:
            self._placements.update(noted)
        failpoints.reach("after_move_intended")

    def _hand_over(self, handover: _Handover, *, force: bool) -> tuple[str, ...]:
        ref = handover.placement.ref
        if handover.source.toggle_ingestion(ref, enabled=False).code != HTTPStatus.OK:
            raise _not_deployed(ref)
        failpoints.reach("after_move_disabled")
        if not force:  # what its schedule began before it was disabled
            self._refuse_active(ref, handover.source)
        done = handover.target.deploy_pipeline({**handover.document, "enabled": False})
        failpoints.reach("after_move_deployed")
        if done.code != HTTPStatus.OK:
            raise OrchestratorRejected(done.reason or f"{ref.name} was not deployed: code {done.code}")
        _refuse_unknown(ref, handover.target, done.notes)
        return done.notes

    def _complete(self, handover: _Handover, to: ClientName, notes: tuple[str, ...]) -> Moved:
        source, ref = handover.placement.client, handover.placement.ref
        placed = replace(handover.placement, client=to, since=self._clock.now(), came_from=source, also_in=source)
        self._placements.put(placed, None if to == "local" else handover.document)
        failpoints.reach("after_move_placed")
        try:
            if placed.enabled:
                handover.target.deploy_pipeline({**handover.document, "enabled": True})
            failpoints.reach("after_move_enabled")
            handover.source.delete_pipeline(ref)
            failpoints.reach("after_move_forgotten")
            self._placements.update(over := replace(placed, also_in=None))
        except MinischedError as error:
            _log.warning("move.unfinished", pipeline=placed.fqn, client=to, error=str(error))
            return Moved(placed, notes, unfinished=str(error))
        return Moved(over, notes)

    def _take_back(self, pipeline: PipelineRef) -> None:
        try:
            self.end_cut_off(pipeline)
        except MinischedError as error:
            _log.warning("move.not_taken_back", pipeline=pipeline.fqn or pipeline.name, error=str(error))

    def _refuse_active(self, pipeline: PipelineRef, source: PipelineServiceClient) -> None:
        active = [
            status
            for status in source.get_pipeline_status(pipeline, only_queued=False)
            if status.get("pipelineState") in ACTIVE_STATES
        ]
        if active:
            what = "a run that is" if len(active) == 1 else f"{len(active)} runs that are"
            raise RunsActive(
                f"{pipeline.fqn or pipeline.name} has {what} not over.",
                hint="Move it later, or with force, which ends them.",
            )


def _not_deployed(pipeline: PipelineRef) -> PipelineNotFound:
    return PipelineNotFound(f"Pipeline {pipeline.fqn or pipeline.name} is not deployed", hint="Deploy it first.")


def _refuse_ill(name: ClientName, target: PipelineServiceClient) -> None:
    status = target.get_service_status()
    if status.code != HTTPStatus.OK:
        raise OrchestratorUnavailable(f"Nothing can be moved to {place(name)}: {status.reason}")


def _refuse_unknown(pipeline: PipelineRef, target: PipelineServiceClient, notes: tuple[str, ...]) -> None:
    try:
        target.get_pipeline_status(pipeline, only_queued=True)
    except PipelineNotFound as error:
        told = " ".join(["It was deployed, and is not known there yet, so it stays where it was.", *notes])
        raise OrchestratorUnavailable(told, hint="Raise airflow.parse_wait_s, or try again.") from error
