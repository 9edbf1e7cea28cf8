"""Profiles of tables and columns, profiler settings, custom metrics, data models and whatever else a table is sent."""

from __future__ import annotations

from collections.abc import Callable

from minisched.domain import names
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached, shaping
from minisched.sandbox.attached import COLUMN_PROFILE, SYSTEM_PROFILE, TABLE_PROFILE
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE, Kind
from minisched.sandbox.merging import with_tags
from minisched.sandbox.presentation import Presenter
from minisched.sandbox.references import not_found

_CONFIG_FIELDS = {
    "tableProfilerConfig": "table",
    "databaseProfilerConfig": "database",
    "databaseSchemaProfilerConfig": "databaseSchema",
}
_OBSERVED = "pipelineObservability"


class Profiles:
    """The handlers of what the profiler sends and asks."""

    def __init__(self, catalog: Catalog, presenter: Presenter) -> None:
        self._catalog = catalog
        self._presenter = presenter
        presenter.attach("table", "profile", lambda table: attached.latest(catalog, TABLE_PROFILE, table["id"]))

    def endpoints(self) -> list[Endpoint]:
        table = ("table",)
        endpoints = [
            Endpoint("PUT", "{table_id}/tableProfile", self.put_profile, kinds=table),
            Endpoint("GET", "{fqn}/tableProfile/latest", self.latest, kinds=table),
            Endpoint("GET", "{fqn}/tableProfile", self.reader(TABLE_PROFILE), kinds=table),
            Endpoint("GET", "{fqn}/systemProfile", self.reader(SYSTEM_PROFILE), kinds=table),
            Endpoint("GET", "{fqn}/columnProfile", self.column_profiles, kinds=table),
            Endpoint("PUT", "{table_id}/dataModel", self.put_data_model, kinds=table),
            Endpoint("PUT", "{table_id}/customMetric", self.put_custom_metric, kinds=table),
            Endpoint("PUT", "{table_id}/pipelineObservability", self.put_observability, kinds=table),
            Endpoint("PUT", "{table_id}/pipelineObservability/{pipeline*}", self.add_observability, kinds=table),
            Endpoint("GET", "name/{fqn}/columns", self.columns, kinds=table),
            Endpoint("GET", "{table_id}/columns", self.columns_by_id, kinds=table),
        ]
        for field, entity_type in _CONFIG_FIELDS.items():
            endpoints += self._config_endpoints(field, entity_type)
        return endpoints

    def _config_endpoints(self, field: str, entity_type: str) -> list[Endpoint]:
        def put(kind: Kind, call: Call, entity_id: str) -> Answer:
            return self._set(kind, call, entity_id, {field: call.document()})

        def get(kind: Kind, call: Call, entity_id: str) -> Answer:
            return Answer(self._show(self._catalog.require(kind.type, entity_id), call, kind))

        def delete(kind: Kind, call: Call, entity_id: str) -> Answer:
            return self._set(kind, call, entity_id, {field: None})

        handlers = {"PUT": put, "GET": get, "DELETE": delete}
        return [
            Endpoint(verb, f"{{entity_id}}/{field}", handler, kinds=(entity_type,))
            for verb, handler in handlers.items()
        ]

    def _set(self, kind: Kind, call: Call, entity_id: str, changes: Document) -> Answer:
        return Answer(self._show(self._catalog.update(kind, entity_id, changes, call.caller), call, kind))

    # --- profiles -----------------------------------------------------------------------------------------------------

    def put_profile(self, kind: Kind, call: Call, table_id: str) -> Answer:
        table = self._catalog.require(kind.type, table_id)
        request = shaping.without_nulls(call.document())
        table_profile = request.get("tableProfile")
        columns = shaping.objects(request.get("columnProfile", []), "columnProfile")
        system = shaping.objects(request.get("systemProfile", []), "systemProfile")
        points = {
            TABLE_PROFILE: [_point(table, table_profile)] if isinstance(table_profile, dict) else [],
            COLUMN_PROFILE: [_point(table, item, shaping.text(item, "name", "columnProfile")) for item in columns],
            SYSTEM_PROFILE: [_point(table, item, detail=str(item.get("operation"))) for item in system],
        }
        for series, found in points.items():
            self._catalog.put_raw(series, found)
        return Answer(self._show(table, call))

    def reader(self, series: str) -> Callable[..., Answer]:
        """The handler that answers the series of a table in the range of the query."""

        def read(kind: Kind, call: Call, fqn: str) -> Answer:
            table = self._catalog.require_either(kind.type, fqn)
            return Answer(self._range(series, call, table["id"]))

        return read

    def column_profiles(self, _kind: Kind, call: Call, fqn: str) -> Answer:
        table, column = self._table_of_column(fqn)
        return Answer(self._range(COLUMN_PROFILE, call, table["id"], column))

    def _range(self, series: str, call: Call, *owner: str) -> Document:
        values = attached.series(self._catalog, series, *owner, start=call.number("startTs"), end=call.number("endTs"))
        return attached.paged(values, call.number("limit"))

    def _table_of_column(self, fqn: str) -> tuple[Document, str]:
        """The table and the column's dotted name in it."""
        parts = names.split(fqn)
        for length in range(len(parts) - 1, 0, -1):
            table = self._catalog.find("table", names.join(None, *parts[:length]))
            if table is not None:
                return table, ".".join(parts[length:])
        raise not_found("table", fqn)

    def latest(self, kind: Kind, call: Call, fqn: str) -> Answer:
        """The table with its newest profile and the newest one of each column."""
        table = self._catalog.require_either(kind.type, fqn)
        shown = self._presenter.show(kind, table, call.caller, [*call.fields(), "profile"])
        return Answer({**shown, "columns": [self._with_profile(table, column) for column in table.get("columns", [])]})

    def _with_profile(self, table: Document, column: Document) -> Document:
        profile = attached.latest(self._catalog, COLUMN_PROFILE, table["id"], column["name"])
        return {**column, "profile": profile} if profile is not None else column

    # --- other things about a table -----------------------------------------------------------------------------------

    def put_data_model(self, kind: Kind, call: Call, table_id: str) -> Answer:
        """The model; its tags are the table's too, its descriptions and owners where the table has none yet."""
        table = self._catalog.require(kind.type, table_id)
        model = shaping.with_tag_names(shaping.without_nulls(call.document()))
        model["columns"] = shaping.named_members(model.get("columns", []), table["fullyQualifiedName"], "columns")
        described = {column["name"]: column for column in model["columns"]}
        columns = [_modelled(column, described.get(column["name"], {})) for column in table.get("columns", [])]
        changes = {
            field: model[field] for field in ("description", "owners") if model.get(field) and not table.get(field)
        }
        changes |= with_tags(table, model)
        return self._set(kind, call, table_id, {**changes, "dataModel": model, "columns": columns})

    def put_custom_metric(self, kind: Kind, call: Call, table_id: str) -> Answer:
        table = self._catalog.require(kind.type, table_id)
        metric = shaping.without_nulls(call.document())
        shaping.text(metric, "name", "customMetric")
        column = metric.get("columnName")
        if column is None:
            return self._set(kind, call, table_id, {"customMetrics": _with_item(table, metric)})
        columns = [
            {**item, "customMetrics": _with_item(item, metric)} if item["name"] == column else item
            for item in table.get("columns", [])
        ]
        return self._set(kind, call, table_id, {"columns": columns})

    def put_observability(self, kind: Kind, call: Call, table_id: str) -> Answer:
        return self._set(kind, call, table_id, {_OBSERVED: [_observed(item) for item in call.documents()]})

    def add_observability(self, kind: Kind, call: Call, table_id: str, pipeline: str) -> Answer:
        before = shaping.kept_objects(self._catalog.require(kind.type, table_id), _OBSERVED)
        others = [item for item in before if (item.get("pipeline") or {}).get("fullyQualifiedName") != pipeline]
        return self._set(kind, call, table_id, {_OBSERVED: [*others, _observed(call.document())]})

    def columns(self, kind: Kind, call: Call, fqn: str) -> Answer:
        return self._columns(self._catalog.require_fqn(kind.type, fqn), call)

    def columns_by_id(self, kind: Kind, call: Call, table_id: str) -> Answer:
        return self._columns(self._catalog.require(kind.type, table_id), call)

    def _columns(self, table: Document, call: Call) -> Answer:
        columns = table.get("columns", [])
        offset = call.number("offset", 0) or 0
        limit = call.number("limit") or len(columns)
        paging = {"offset": offset, "limit": limit, "total": len(columns)}
        return Answer({"data": columns[offset : offset + limit], "paging": paging})

    def _show(self, entity: Document, call: Call, kind: Kind | None = None) -> Document:
        return self._presenter.show(kind or BY_TYPE["table"], entity, call.caller, call.fields())


def _modelled(column: Document, model: Document) -> Document:
    described = (
        {} if column.get("description") or not model.get("description") else {"description": model["description"]}
    )
    return {**column, **described, **with_tags(column, model)}


def _observed(item: Document) -> Document:
    if not isinstance(item.get("pipeline"), dict):
        raise InvalidInput("must be a reference to a pipeline", field="pipeline")
    observed: Document = shaping.without_nulls(item)
    return observed


def _point(table: Document, item: Document, *parts: str, detail: str | None = None) -> Document:
    timestamp = item.get("timestamp")
    if not isinstance(timestamp, int):
        raise InvalidInput("must be epoch milliseconds", field="timestamp")
    return attached.point(table, timestamp, item, *parts, detail=detail)


def _with_item(owner: Document, metric: Document) -> list[Document]:
    """The metrics of the owner with this one in the place of the one of its name."""
    others = shaping.kept_objects(owner, "customMetrics")
    return [*(other for other in others if other.get("name") != metric["name"]), metric]
