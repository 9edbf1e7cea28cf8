"""Lineage: edges between entities, put, patched, read and deleted by ids and by FQNs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from minisched.domain.errors import InvalidInput, NotFound
from minisched.domain.pipeline import Document
from minisched.sandbox import patching, shaping
from minisched.sandbox.attached import LINEAGE_EDGE
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.references import reference_to

_DEEPEST = 3
_NAMESPACE = uuid.UUID("3f1c9d0e-6f0b-5d0a-9a55-1d1f6f3b8a10")


class Lineage:
    """The handlers of /lineage.

    An edge is a document `{"id", "name", "fullyQualifiedName": "<from id>.<to id>", "fromEntity", "toEntity",
    "lineageDetails"}` with full references.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def endpoints(self) -> list[Endpoint]:
        by_id = "lineage/{_from_type}/{from_id}/{_to_type}/{to_id}"
        by_name = "lineage/{from_type}/name/{from_fqn}/{to_type}/name/{to_fqn}"
        return [
            Endpoint("PUT", "lineage", self.put),
            Endpoint("GET", "lineage/getLineageEdge/{from_id}/{to_id}", self.edge),
            Endpoint("GET", by_name.replace("lineage/", "lineage/getLineageEdge/", 1), self.edge_by_name),
            Endpoint("PUT", by_name, self.put_by_name),
            Endpoint("PATCH", by_name, self.patch_by_name),
            Endpoint("DELETE", by_name, self.delete_by_name),
            Endpoint("DELETE", "lineage/source/name/{entity_type}/{fqn}/type/{source}", self.delete_source_by_name),
            Endpoint("DELETE", "lineage/{entity_type}/{entity_id}/type/{source}", self.delete_source),
            Endpoint("PATCH", by_id, self.patch),
            Endpoint("DELETE", by_id, self.delete),
            Endpoint("GET", "lineage/{entity_type}/name/{fqn*}", self.graph_by_name),
            Endpoint("GET", "lineage/{entity_type}/{entity_id}", self.graph),
        ]

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, call: Call) -> Answer:
        edge = call.document().get("edge")
        edge = shaping.without_nulls(edge) if isinstance(edge, dict) else {}
        references = self._catalog.references()
        ends = []
        for side in ("fromEntity", "toEntity"):
            entity_type, found = references.named(edge.get(side), "table", side)
            if found is None:
                raise NotFound(f"{entity_type} instance for {edge[side].get('id')} not found")
            ends.append(reference_to(entity_type, found))
        self._store(ends[0], ends[1], edge.get("lineageDetails"), edge.get("description"))
        return Answer()

    def put_by_name(self, call: Call, from_type: str, from_fqn: str, to_type: str, to_fqn: str) -> Answer:
        origin, target = self._ends(from_type, from_fqn, to_type, to_fqn)
        self._store(origin, target, shaping.without_nulls(call.json()), None)
        return Answer()

    def _store(self, origin: Document, target: Document, details: Any, description: Any) -> None:
        details = {} if details is None else details
        if not isinstance(details, dict):
            raise InvalidInput("must be an object", field="lineageDetails")
        if details.get("pipeline"):
            pipeline = self._catalog.references().expanded(details["pipeline"], "pipeline", "pipeline")
            details = {**details, "pipeline": pipeline}
        key = f"{origin['id']}.{target['id']}"
        edge = {
            "id": edge_id(origin["id"], target["id"]),
            "name": target["id"],
            "fullyQualifiedName": key,
            "fromEntity": origin,
            "toEntity": target,
            "lineageDetails": details,
        }
        self._catalog.put_raw(LINEAGE_EDGE, [edge if description is None else {**edge, "description": description}])

    def patch(self, call: Call, _from_type: str, from_id: str, _to_type: str, to_id: str) -> Answer:
        return self._patched(call, from_id, to_id)

    def patch_by_name(self, call: Call, from_type: str, from_fqn: str, to_type: str, to_fqn: str) -> Answer:
        origin, target = self._ends(from_type, from_fqn, to_type, to_fqn)
        return self._patched(call, origin["id"], target["id"])

    def _patched(self, call: Call, from_id: str, to_id: str) -> Answer:
        with self._catalog.lock:
            edge = self._edge(from_id, to_id)
            details = shaping.without_nulls(patching.patched(edge["lineageDetails"], call.json()))
            self._catalog.put_raw(LINEAGE_EDGE, [{**edge, "lineageDetails": details}])
        return Answer(_shown(edge, details))

    def delete(self, _call: Call, _from_type: str, from_id: str, _to_type: str, to_id: str) -> Answer:
        self._catalog.remove_raw(LINEAGE_EDGE, [self._edge(from_id, to_id)["id"]])
        return Answer()

    def delete_by_name(self, _call: Call, from_type: str, from_fqn: str, to_type: str, to_fqn: str) -> Answer:
        origin, target = self._ends(from_type, from_fqn, to_type, to_fqn)
        self._catalog.remove_raw(LINEAGE_EDGE, [self._edge(origin["id"], target["id"])["id"]])
        return Answer()

    def delete_source(self, _call: Call, entity_type: str, entity_id: str, source: str) -> Answer:
        return self._without_source(self._catalog.require(entity_type, entity_id), source)

    def delete_source_by_name(self, _call: Call, entity_type: str, fqn: str, source: str) -> Answer:
        return self._without_source(self._catalog.require_fqn(entity_type, fqn), source)

    def _without_source(self, entity: Document, source: str) -> Answer:
        """Edges into the entity, or drawn by it if it is a pipeline, that come from the source are gone."""
        gone = []
        for edge in self.edges():
            details = edge["lineageDetails"]
            pipeline = details.get("pipeline")
            drawn_by = pipeline.get("id") if isinstance(pipeline, dict) else None
            if entity["id"] in (edge["toEntity"]["id"], drawn_by) and details.get("source", "Manual") == source:
                gone.append(edge["id"])
        self._catalog.remove_raw(LINEAGE_EDGE, gone)
        return Answer()

    # --- reading ------------------------------------------------------------------------------------------------------

    def edges(self) -> Iterable[Document]:
        return self._catalog.every(LINEAGE_EDGE)

    def incoming(self) -> Mapping[str, list[Document]]:
        """The edges into each entity that has any, by its id."""
        found: dict[str, list[Document]] = {}
        for edge in self.edges():
            found.setdefault(edge["toEntity"]["id"], []).append(edge)
        return found

    def edge(self, _call: Call, from_id: str, to_id: str) -> Answer:
        edge = self._edge(from_id, to_id)
        return Answer(_shown(edge, edge["lineageDetails"]))

    def edge_by_name(self, call: Call, from_type: str, from_fqn: str, to_type: str, to_fqn: str) -> Answer:
        origin, target = self._ends(from_type, from_fqn, to_type, to_fqn)
        return self.edge(call, origin["id"], target["id"])

    def graph(self, call: Call, entity_type: str, entity_id: str) -> Answer:
        return self._graph(call, entity_type, self._catalog.require(entity_type, entity_id))

    def graph_by_name(self, call: Call, entity_type: str, fqn: str) -> Answer:
        return self._graph(call, entity_type, self._catalog.require_fqn(entity_type, fqn))

    def _graph(self, call: Call, entity_type: str, entity: Document) -> Answer:
        edges = list(self.edges())
        up = _walk(edges, entity["id"], call.number("upstreamDepth", 1) or 0, "toEntity", "fromEntity")
        down = _walk(edges, entity["id"], call.number("downstreamDepth", 1) or 0, "fromEntity", "toEntity")
        nodes = {end["id"]: end for edge in [*up, *down] for end in (edge["fromEntity"], edge["toEntity"])}
        nodes.pop(entity["id"], None)
        return Answer(
            {
                "entity": reference_to(entity_type, entity),
                "nodes": list(nodes.values()),
                "upstreamEdges": [_line(edge) for edge in up],
                "downstreamEdges": [_line(edge) for edge in down],
            }
        )

    def _edge(self, from_id: str, to_id: str) -> Document:
        edge = self._catalog.get(LINEAGE_EDGE, edge_id(from_id, to_id))
        if edge is None:
            raise NotFound(f"lineage edge from {from_id} to {to_id} not found")
        return edge

    def _ends(self, from_type: str, from_fqn: str, to_type: str, to_fqn: str) -> tuple[Document, Document]:
        origin = reference_to(from_type, self._catalog.require_fqn(from_type, from_fqn))
        return origin, reference_to(to_type, self._catalog.require_fqn(to_type, to_fqn))


def edge_id(from_id: str, to_id: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{from_id}.{to_id}"))


def _shown(edge: Document, details: Document) -> Document:
    return {"edge": {**details, "fromEntity": edge["fromEntity"], "toEntity": edge["toEntity"]}}


def _line(edge: Document) -> Document:
    ends = {"fromEntity": edge["fromEntity"]["id"], "toEntity": edge["toEntity"]["id"]}
    return {**ends, "lineageDetails": edge["lineageDetails"]}


def _walk(edges: list[Document], start: str, depth: int, here: str, there: str) -> list[Document]:
    """The edges that lead from `start` in one direction, at most `depth` (3) steps away."""
    found: dict[str, Document] = {}
    frontier, seen = {start}, {start}
    for _ in range(min(max(depth, 0), _DEEPEST)):
        step = [edge for edge in edges if edge[here]["id"] in frontier]
        found |= {edge["id"]: edge for edge in step}
        frontier = {edge[there]["id"] for edge in step} - seen
        seen |= frontier
    return list(found.values())
