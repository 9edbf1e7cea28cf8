"""Usage: how often an entity was used on a day, and which queries used it."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from typing import Any

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached
from minisched.sandbox.attached import USAGE
from minisched.sandbox.callers import Caller
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import Kind
from minisched.sandbox.presentation import Presenter

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WITH_USAGE = ("table", "dashboard", "pipeline", "chart", "mlmodel", "database", "databaseSchema", "storedProcedure")


class Usage:
    """The handlers of /usage and of what queries are sent after they were created."""

    def __init__(self, catalog: Catalog, presenter: Presenter) -> None:
        self._catalog = catalog
        self._presenter = presenter
        for kind in _WITH_USAGE:
            presenter.attach(kind, "usageSummary", self.summary)

    def endpoints(self) -> list[Endpoint]:
        """Those of /usage."""
        return [
            Endpoint("POST", "usage/compute.percentile/{entity_type}/{day}", self.rank),
            Endpoint("POST", "usage/{entity_type}/name/{fqn*}", self.add),
            Endpoint("PUT", "usage/{entity_type}/name/{fqn*}", self.add),
            Endpoint("GET", "usage/{entity_type}/name/{fqn*}", self.get),
            Endpoint("POST", "usage/{entity_type}/{fqn}", self.add),
            Endpoint("PUT", "usage/{entity_type}/{fqn}", self.add),
            Endpoint("GET", "usage/{entity_type}/{fqn}", self.get),
        ]

    def query_endpoints(self) -> list[Endpoint]:
        """Those of the collection of queries."""
        query = ("query",)
        return [
            Endpoint("PUT", "{query_id}/usage", self.query_used_in, kinds=query),
            Endpoint("PUT", "{query_id}/users", self.query_users, kinds=query),
            Endpoint("PUT", "{query_id}/usedBy", self.query_used_by, kinds=query),
        ]

    # --- counts per day -----------------------------------------------------------------------------------------------

    def add(self, call: Call, entity_type: str, fqn: str) -> Answer:
        """Counts of one day add up. `fqn` may be an id."""
        request = call.document()
        day, count = request.get("date"), request.get("count", 1)
        if not isinstance(day, str) or _DATE.fullmatch(day) is None or not isinstance(count, int):
            raise InvalidInput("usage needs a date such as 2026-01-31 and a count")
        with self._catalog.lock:
            entity = self._catalog.require_either(entity_type, fqn)
            before = self._of_day(entity["id"], day)
            value = {"entityType": entity_type, "date": day, "count": count + (before["count"] if before else 0)}
            self._catalog.put_raw(USAGE, [attached.point(entity, day, {**(before or {}), **value})])
        return Answer({}, status=201)

    def get(self, _call: Call, entity_type: str, fqn: str) -> Answer:
        entity = self._catalog.require_either(entity_type, fqn)
        days = [
            {"date": value["date"], "dailyStats": _stats(value["count"], value.get("percentileRank"))}
            for value in self._days(entity["id"])
        ]
        reference = {"id": entity["id"], "type": entity_type, "name": entity["name"]}
        return Answer({"entity": reference, "usage": days})

    def rank(self, _call: Call, entity_type: str, day: str) -> Answer:
        """Give each entity of a type its percentile rank by the usage of a day."""
        with self._catalog.lock:
            used = [
                point
                for point in self._catalog.every(USAGE)
                if point["value"]["date"] == day and point["value"]["entityType"] == entity_type
            ]
            counts = [point["value"]["count"] for point in used]
            ranked = [
                {**point, "value": {**point["value"], "percentileRank": _rank(point["value"]["count"], counts)}}
                for point in used
            ]
            self._catalog.put_raw(USAGE, ranked)
        return Answer({}, status=201)

    def summary(self, entity: Document) -> Document | None:
        """OpenMetadata's UsageDetails as of the last day with usage, or None without any."""
        days = self._days(entity["id"])
        if not days:
            return None
        newest = days[0]
        return {
            "date": newest["date"],
            "dailyStats": _stats(newest["count"], newest.get("percentileRank")),
            "weeklyStats": _stats(_sum_of_days(days, 7), None),
            "monthlyStats": _stats(_sum_of_days(days, 30), None),
        }

    def _of_day(self, entity_id: str, day: str) -> Document | None:
        return next((value for value in self._days(entity_id) if value["date"] == day), None)

    def _days(self, entity_id: str) -> list[Any]:
        entries = self._catalog.below(USAGE, entity_id)
        points = (self._catalog.get(USAGE, entry.id) for entry in reversed(entries))
        return [point["value"] for point in points if point is not None]

    # --- queries ------------------------------------------------------------------------------------------------------

    def prepare_query(self, request: Document, _caller: Caller) -> Document:
        """A query without a name is called by the MD5 of its text, which the clients compute too."""
        text = request.get("query")
        if not isinstance(text, str):
            raise InvalidInput("query must not be null", field="query")
        checksum = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return {**request, "name": request.get("name") or checksum, "checksum": checksum}

    def query_used_in(self, kind: Kind, call: Call, query_id: str) -> Answer:
        return self._extended(kind, call, query_id, "queryUsedIn", call.documents())

    def query_users(self, kind: Kind, call: Call, query_id: str) -> Answer:
        references = self._catalog.references()
        users = [references.expanded(name, "user", "users") for name in _texts(call)]
        return self._extended(kind, call, query_id, "users", users)

    def query_used_by(self, kind: Kind, call: Call, query_id: str) -> Answer:
        query = self._catalog.require(kind.type, query_id)
        before = query.get("usedBy")
        used_by = list(before) if isinstance(before, list) else []
        used_by += [name for name in dict.fromkeys(_texts(call)) if name not in used_by]
        return self._changed(kind, call, query_id, {"usedBy": used_by})

    def _extended(self, kind: Kind, call: Call, query_id: str, field: str, added: list[Document]) -> Answer:
        query = self._catalog.require(kind.type, query_id)
        references = self._catalog.references()
        items = [references.expanded(item, "table", field) for item in added]
        merged = {item["id"]: item for item in [*query.get(field, []), *items]}
        return self._changed(kind, call, query_id, {field: list(merged.values())})

    def _changed(self, kind: Kind, call: Call, query_id: str, changes: Document) -> Answer:
        changed = self._catalog.update(kind, query_id, changes, call.caller)
        return Answer(self._presenter.show(kind, changed, call.caller, call.fields()))


def _texts(call: Call) -> list[str]:
    texts = call.json()
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput("the body must be a JSON list of texts")
    return texts


def _stats(count: int, rank: float | None) -> Document:
    return {"count": count, "percentileRank": rank or 0.0}


def _sum_of_days(days: list[Any], length: int) -> int:
    first = (date.fromisoformat(days[0]["date"]) - timedelta(days=length - 1)).isoformat()
    return sum(value["count"] for value in days if value["date"] >= first)


def _rank(count: int, counts: list[int]) -> float:
    """The share of the others that are used less, in percent."""
    if len(counts) < 2:
        return 100.0
    return round(100 * sum(other < count for other in counts) / (len(counts) - 1), 2)
