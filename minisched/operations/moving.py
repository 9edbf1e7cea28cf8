"""Where pipelines are, and moving them from one orchestrator of this node to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import structlog

from minisched.domain.client_rules import ClientName
from minisched.domain.errors import Conflict, InvalidInput, PipelineNotFound
from minisched.domain.pipeline import Deployment, Document, Pipeline, clean_name
from minisched.domain.placement import Placement, place, placement_of
from minisched.operations.editing import PipelineEditor, is_uuid, not_found
from minisched.ports import Clock, DeploymentStore, Moved, PipelineMover, PipelineQuery, PipelineStore, PlacementStore

_log = structlog.get_logger(__name__)

_PAGE = 500


class Verdict(StrEnum):
    """What came of a move that was not refused."""

    MOVED = "moved"
    WOULD_MOVE = "would_move"
    THERE_ALREADY = "there_already"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Move:
    """A move that was done, or tried out. `origin` is where the pipeline was; `notes` are sentences for people."""

    placement: Placement
    origin: ClientName
    to: ClientName
    verdict: Verdict
    notes: tuple[str, ...] = ()


class Moves:
    """`key` is a pipeline's id, its FQN, or the name of one that is deployed."""

    def __init__(
        self,
        *,
        editor: PipelineEditor,
        pipelines: PipelineStore,
        deployments: DeploymentStore,
        placements: PlacementStore,
        mover: PipelineMover,
        clock: Clock,
    ) -> None:
        self._editor = editor
        self._pipelines = pipelines
        self._deployments = deployments
        self._placements = placements
        self._mover = mover
        self._clock = clock

    def placements(self) -> list[Placement]:
        """Of every deployed pipeline, by FQN."""
        found = {placement.pipeline_id: placement for placement in self._placements.all()}
        for deployment in self._deployments.all():
            found.setdefault(deployment.id, _here(deployment))
        for pipeline in self._deployed_entities():
            if pipeline.id not in found:
                found[pipeline.id] = self._unplaced(pipeline)
        return sorted(found.values(), key=lambda placement: placement.fqn)

    def placement(self, key: str) -> Placement:
        """Raises PipelineNotFound for what does not exist, or is not deployed."""
        return self._find(key)[0]

    def move(
        self,
        key: str,
        *,
        to: ClientName | None = None,
        undo: bool = False,
        force: bool = False,
        dry_run: bool = False,
        user: str,
    ) -> Move:
        """Move it to `to`, or with `undo` to where it came from; by `force` runs that are not over are ended.

        With `dry_run` nothing is changed, and what would be refused is. Raises what `PipelineMover.move` does,
        Conflict when there is nothing to undo, InvalidInput for anything but one of `to` and `undo`.
        """
        if (to is None) is not undo:
            raise InvalidInput("Say either where to move it or that the last move is to be undone.")
        placement, _ = self._find(key)
        with self._editor.alone(placement.pipeline_id):
            placement, entity = self._find(placement.pipeline_id)
            target = _origin(placement) if to is None else to
            if placement.client == target and placement.also_in is None:
                return Move(placement, placement.client, target, Verdict.THERE_ALREADY)
            if dry_run:
                self._mover.check(placement.ref, target, force=force)
                return Move(placement, placement.client, target, Verdict.WOULD_MOVE)
            moved = self._mover.move(placement.ref, target, document=entity, force=force)
        _log.info("pipeline.moved", pipeline=placement.fqn, origin=placement.client, to=target, by=user)
        return _told(moved, placement.client, target)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _find(self, key: str) -> tuple[Placement, Document | None]:
        """Where it is, and the entity if there is one here."""
        pipeline = self._entity(key)
        pipeline_id = pipeline.id if pipeline else key.lower() if is_uuid(key) else None
        name = None if pipeline_id else clean_name(key)
        placement = self._placements.get(pipeline_id) if pipeline_id else self._placements.find(name or "")
        if placement is None:
            deployment = self._deployments.get(pipeline_id) if pipeline_id else self._deployments.find(name or "")
            if deployment is not None:
                placement = _here(deployment)
            elif pipeline is not None and pipeline.deployed:
                placement = self._unplaced(pipeline)
        if placement is None:
            raise not_found(key) if pipeline is None else _not_deployed(pipeline)
        return placement, pipeline.document if pipeline else None

    def _entity(self, key: str) -> Pipeline | None:
        try:
            return self._editor.find(key, include="all")
        except PipelineNotFound:
            return None

    def _unplaced(self, pipeline: Pipeline) -> Placement:
        """Deployed before there was a choice."""
        return placement_of(pipeline.document, self._mover.where(pipeline.ref), self._clock.now())

    def _deployed_entities(self) -> Iterator[Pipeline]:
        query = PipelineQuery(include="all", limit=_PAGE)
        while True:
            page = self._pipelines.page(query)
            yield from (pipeline for pipeline in page.pipelines if pipeline.deployed)
            if page.after is None:
                return
            query = PipelineQuery(include="all", limit=_PAGE, after=page.after)


def _here(deployment: Deployment) -> Placement:
    return placement_of(deployment.document, "local", deployment.deployed_at, enabled=deployment.enabled)


def _not_deployed(pipeline: Pipeline) -> PipelineNotFound:
    return PipelineNotFound(f"Pipeline {pipeline.fqn} is not deployed.", hint="Deploy it first.")


def _origin(placement: Placement) -> ClientName:
    if placement.came_from is None:
        raise Conflict(f"{placement.fqn} was never moved: it was deployed in {place(placement.client)}.")
    return placement.came_from


def _told(moved: Moved, origin: ClientName, to: ClientName) -> Move:
    if moved.unfinished is None:
        return Move(moved.placement, origin, to, Verdict.MOVED, moved.notes)
    still = f"{place(origin)} has not forgotten it yet, and does not fire it; that is tried again: {moved.unfinished}"
    return Move(moved.placement, origin, to, Verdict.UNFINISHED, (*moved.notes, still[:1].upper() + still[1:]))
