"""Statuses of the sources' own pipelines, applications and key figures: small things that workflows send."""

from __future__ import annotations

from collections.abc import Iterable

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached, shaping
from minisched.sandbox.attached import KPI_RESULT, PIPELINE_STATUS
from minisched.sandbox.callers import Caller
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import Kind
from minisched.sandbox.presentation import Presenter

# An app's entity has these, a request to install one has not: a server takes them from its marketplace.
_APP_DEFAULTS: Document = {
    "className": "org.openmetadata.service.apps.AbstractNativeApplication",
    "appType": "external",
    "scheduleType": "Scheduled",
    "permission": "All",
    "runtime": {"enabled": True},
}


class Machinery:
    """The handlers of statuses of pipeline entities, apps and KPI results."""

    def __init__(self, catalog: Catalog, presenter: Presenter) -> None:
        self._catalog = catalog
        self._presenter = presenter
        presenter.attach(
            "pipeline", "pipelineStatus", lambda pipeline: attached.latest(catalog, PIPELINE_STATUS, pipeline["id"])
        )

    def endpoints(self) -> list[Endpoint]:
        pipeline, kpi, app = ("pipeline",), ("kpi",), ("app",)
        return [
            Endpoint("PUT", "{fqn}/status/bulk", self.put_statuses, kinds=pipeline),
            Endpoint("PUT", "{fqn}/status", self.put_status, kinds=pipeline),
            Endpoint("GET", "{fqn}/status", self.statuses, kinds=pipeline),
            Endpoint("PUT", "{fqn}/kpiResult", self.put_kpi_result, kinds=kpi),
            Endpoint("GET", "{fqn}/kpiResult", self.kpi_results, kinds=kpi),
            Endpoint("POST", "trigger/{name}", self.refuse_trigger, kinds=app),
            Endpoint("GET", "name/{name}/status", self.app_runs, kinds=app),
        ]

    # --- pipeline entities --------------------------------------------------------------------------------------------

    def put_status(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._put_statuses(kind, call, fqn, [call.document()])

    def put_statuses(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._put_statuses(kind, call, fqn, call.documents())

    def _put_statuses(self, kind: Kind, call: Call, fqn: str, statuses: Iterable[Document]) -> Answer:
        pipeline = self._catalog.require_either(kind.type, fqn)
        points = [_timed(pipeline, shaping.without_nulls(status)) for status in statuses]
        self._catalog.put_raw(PIPELINE_STATUS, points)
        return Answer(self._presenter.show(kind, pipeline, call.caller, [*call.fields(), "pipelineStatus"]))

    def statuses(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._series(kind, call, fqn, PIPELINE_STATUS)

    def _series(self, kind: Kind, call: Call, fqn: str, series: str) -> Answer:
        owner = self._catalog.require_either(kind.type, fqn)
        values = attached.series(
            self._catalog, series, owner["id"], start=call.number("startTs"), end=call.number("endTs")
        )
        return Answer(attached.paged(values, call.number("limit")))

    # --- apps ---------------------------------------------------------------------------------------------------------

    def prepare_app(self, request: Document, _caller: Caller) -> Document:
        return {**_APP_DEFAULTS, **request}

    def refuse_trigger(self, _kind: Kind, _call: Call, name: str) -> Answer:
        raise InvalidInput(f"the sandbox cannot run {name}: only workflows run here")

    def app_runs(self, kind: Kind, _call: Call, name: str) -> Answer:
        """The apps of a server never run in the sandbox."""
        self._catalog.require_fqn(kind.type, name)
        return Answer({"data": [], "paging": {"total": 0}})

    # --- key figures --------------------------------------------------------------------------------------------------

    def put_kpi_result(self, kind: Kind, call: Call, fqn: str) -> Answer:
        result = call.document()
        self._catalog.put_raw(KPI_RESULT, [_timed(self._catalog.require_either(kind.type, fqn), result)])
        return Answer(result)

    def kpi_results(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._series(kind, call, fqn, KPI_RESULT)


def _timed(owner: Document, value: Document) -> Document:
    timestamp = value.get("timestamp")
    if not isinstance(timestamp, int):
        raise InvalidInput("must be epoch milliseconds", field="timestamp")
    return attached.point(owner, timestamp, value)
