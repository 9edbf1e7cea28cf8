"""PipelineServiceClient over several others: each pipeline is asked about where it is."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from minisched.clients.moving import Mover
from minisched.clients.places import Places
from minisched.domain.client_rules import ClientName, automation_subject
from minisched.domain.errors import InvalidPipelineConfig, MinischedError, OrchestratorUnavailable, StoreUnavailable
from minisched.domain.pipeline import Document, PipelineRef
from minisched.domain.placement import Placement, name_collision, place, placement_of
from minisched.ports import ClientResponse, Clock, LogPage, PipelineServiceClient, RunOptions


class RoutedClient:
    """Implements `ports.PipelineServiceClient`.

    Rules choose where a pipeline is deployed first; from then on it is there, whatever they say, until it is moved. A
    move that was cut off is ended by `mover` before the pipeline is changed.
    """

    def __init__(self, places: Places, mover: Mover, clock: Clock) -> None:
        self._places = places
        self._placements = places.placements
        self._mover = mover
        self._clock = clock
        self.platform = places.client(places.default).platform

    def get_service_status(self, *, runtime: str | None = None) -> ClientResponse:
        """As the default orchestrator is, unless another one that is in use is not well.

        Whoever names a runtime asks about this machine alone.
        """
        if runtime is not None:
            return self._places.client(self._places.wanted({}, runtime)).get_service_status(runtime=runtime)
        statuses = {name: self._status_of(name) for name in self._places.in_use()}
        status = statuses[self._places.default]
        ill = {name: one for name, one in statuses.items() if one.code != HTTPStatus.OK}
        if len(statuses) == 1 or not ill:
            return status
        told = [f"{name}: {one.reason if name in ill else 'well'}" for name, one in statuses.items()]
        return replace(status, code=int(HTTPStatus.INTERNAL_SERVER_ERROR), reason="; ".join(told))

    def _status_of(self, name: ClientName) -> ClientResponse:
        try:
            return self._places.client(name).get_service_status()
        except MinischedError as error:
            return ClientResponse(500, str(error), name)

    def run_automation(self, workflow: Document, *, runtime: str | None = None) -> ClientResponse:
        name = self._places.wanted(automation_subject(workflow), runtime)
        return self._places.client(name).run_automation(workflow, runtime=runtime)

    def deploy_pipeline(
        self, pipeline: Document, *, keep_toggled: bool = False, runtime: str | None = None
    ) -> ClientResponse:
        for field in ("id", "name"):
            if not pipeline.get(field):
                raise InvalidPipelineConfig(f"Missing parameter '{field}'", field=field)
        wanted = self._places.wanted(pipeline, runtime)
        new = placement_of(pipeline, wanted, self._clock.now(), enabled=bool(pipeline.get("enabled", True)))
        with self._places.alone(new.ref):
            self._mover.end_cut_off(new.ref)
            known = self._placements.get(new.pipeline_id)
            placement = replace(new, client=self._places.holder(new.ref) or wanted)
            if known is not None:
                said_before = keep_toggled or pipeline.get("enabled") is None
                enabled = known.enabled if said_before else placement.enabled
                placement = replace(placement, since=known.since, came_from=known.came_from, enabled=enabled)
            done = self._deploy(placement, known, pipeline, keep_toggled=keep_toggled, runtime=runtime)
        return done if placement.client == wanted else _with_note(done, _stays(placement, wanted))

    def _deploy(
        self,
        placement: Placement,
        known: Placement | None,
        pipeline: Document,
        *,
        keep_toggled: bool,
        runtime: str | None,
    ) -> ClientResponse:
        client = self._places.client(placement.client)
        if (holder := self._places.namesake(placement)) is not None:
            raise name_collision(placement.fqn, placement.name, holder)
        # Placed before it is deployed: what was deployed and is placed nowhere could be deployed elsewhere, too.
        if known is None:
            self._placements.put(placement, None)
        try:
            done = client.deploy_pipeline(pipeline, keep_toggled=keep_toggled, runtime=runtime)
        except (OrchestratorUnavailable, StoreUnavailable):
            raise  # it may have arrived
        except MinischedError:
            if known is None:
                self._placements.remove(placement.pipeline_id)
            raise
        if placement.client != "local":
            self._placements.put(placement, pipeline)
        elif known is not None and placement != known:
            self._placements.update(placement)
        return done

    def run_pipeline(self, pipeline: PipelineRef, options: RunOptions) -> ClientResponse:
        with self._places.alone(pipeline):  # or a move would end the run that it did not see begin
            return self._client_of(pipeline).run_pipeline(pipeline, options)

    def delete_pipeline(self, pipeline: PipelineRef) -> ClientResponse:
        with self._places.alone(pipeline):
            self._mover.end_cut_off(pipeline)
            placement = self._places.placement(pipeline)
            done = self._client_of(pipeline).delete_pipeline(pipeline)
            if placement is not None and done.code == HTTPStatus.OK:
                self._placements.remove(placement.pipeline_id)
        return done

    def toggle_ingestion(self, pipeline: PipelineRef, *, enabled: bool) -> ClientResponse:
        with self._places.alone(pipeline):
            self._mover.end_cut_off(pipeline)
            placement = self._places.placement(pipeline)
            done = self._client_of(pipeline).toggle_ingestion(pipeline, enabled=enabled)
            if placement is not None and placement.enabled != enabled and done.code == HTTPStatus.OK:
                self._placements.update(replace(placement, enabled=enabled))
        return done

    def get_pipeline_status(self, pipeline: PipelineRef, *, only_queued: bool) -> list[Document]:
        return self._client_of(pipeline).get_pipeline_status(pipeline, only_queued=only_queued)

    def get_last_ingestion_logs(self, pipeline: PipelineRef, after: int | None, run_id: str | None = None) -> LogPage:
        return self._client_of(pipeline).get_last_ingestion_logs(pipeline, after, run_id)

    def kill_ingestion(self, pipeline: PipelineRef, *, run_id: str | None = None, by: str = "admin") -> ClientResponse:
        return self._client_of(pipeline).kill_ingestion(pipeline, run_id=run_id, by=by)

    def request_get_host_ip(self) -> str:
        """That of the default orchestrator; others may connect from elsewhere."""
        return self._places.client(self._places.default).request_get_host_ip()

    def _client_of(self, pipeline: PipelineRef) -> PipelineServiceClient:
        return self._places.client(self._places.of(pipeline))


def _stays(placement: Placement, wanted: ClientName) -> str:
    return (
        f"It stays in {place(placement.client)}, where it is placed, although the settings would choose "
        f"{place(wanted)}. To move it: minisched pipeline move {placement.fqn} --to {wanted}"
    )


def _with_note(done: ClientResponse, note: str) -> ClientResponse:
    return replace(done, reason=f"{done.reason or ''} {note}".strip(), notes=(*done.notes, note))
