"""The contents of the sandbox for people: as a tree of what was ingested, and as lines of JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from minisched.domain import names
from minisched.domain.pipeline import Document
from minisched.domain.secrets import mask
from minisched.ports import DocumentStore
from minisched.sandbox import attached
from minisched.sandbox.kinds import KINDS, Kind, kinds_below

_PAGE = 500
_SERVICE = "Service"
# Below a service, but no part of what it holds; they are counted, or told of at the table.
_ASIDE = frozenset({"query", "testSuite", "testCase", "dataContract"})
# What a node says besides its name, where the entity has it.
_SHOWN = ("serviceType", "tableType", "description")


def kind_counts(documents: DocumentStore) -> dict[str, int]:
    """How many documents there are of each kind."""
    return dict(sorted(documents.kinds().items()))


def export(documents: DocumentStore) -> Iterator[str]:
    """Every document as one line of JSON, `{"kind": …, "document": …}`, by kind and FQN, with secrets masked."""
    for kind in kind_counts(documents):
        for document in _every(documents, kind):
            yield json.dumps({"kind": kind, "document": mask(document)}, ensure_ascii=False)


def tree(documents: DocumentStore) -> Document:
    """What was ingested: `{"services": [node…], "lineageEdges": n, "counts": {kind: n}}`.

    A node is `{"type", "name", "fullyQualifiedName", "children": [node…]}`; tables and their like have `columns`
    (name and dataType), with what is known of them: `tests` (name and status), `rowCount` of the newest profile,
    `upstream` and `downstream` edges. What is deleted is left out. No secrets are in it.
    """
    edges = list(_every(documents, attached.LINEAGE_EDGE))
    grower = _Grower(
        tests=_tests(documents),
        rows=_row_counts(documents),
        upstream=Counter(edge["toEntity"]["id"] for edge in edges),
        downstream=Counter(edge["fromEntity"]["id"] for edge in edges),
    )
    for kind in _asset_kinds():
        for document in _every(documents, kind.type):
            if not document.get("deleted"):
                grower.add(kind, document)
    return {"services": grower.roots, "lineageEdges": len(edges), "counts": kind_counts(documents)}


def _every(documents: DocumentStore, kind: str) -> Iterator[Document]:
    after: str | None = None
    while page := documents.page(kind, limit=_PAGE, after=after):
        yield from page
        after = page[-1]["fullyQualifiedName"]


def _asset_kinds() -> list[Kind]:
    """Services, and then whatever may be in one."""
    services = [kind for kind in KINDS if kind.type.endswith(_SERVICE)]
    below = {child.type: child for service in services for child in kinds_below(service.type)}
    return [*services, *(kind for kind in KINDS if kind.type in below and kind.type not in _ASIDE)]


def _tests(documents: DocumentStore) -> Mapping[str, list[Document]]:
    """Test cases by the FQN of what they test."""
    found: dict[str, list[Document]] = {}
    for case in _every(documents, "testCase"):
        if not case.get("deleted"):
            test = {"name": case["name"], "status": case.get("testCaseStatus")}
            found.setdefault(str(case.get("entityFQN")), []).append(test)
    return found


def _row_counts(documents: DocumentStore) -> Mapping[str, Any]:
    """The row count of the newest profile of each table, by the table's FQN."""
    return {
        point["entity"]: point["value"]["rowCount"]
        for point in _every(documents, attached.TABLE_PROFILE)
        if point["value"].get("rowCount") is not None
    }


class _Grower:
    """Puts nodes below their nearest ancestor."""

    def __init__(
        self,
        *,
        tests: Mapping[str, list[Document]],
        rows: Mapping[str, Any],
        upstream: Mapping[str, int],
        downstream: Mapping[str, int],
    ) -> None:
        self.roots: list[Document] = []
        self._nodes: dict[tuple[str, str], Document] = {}
        self._tests = tests
        self._rows = rows
        self._edges = {"upstream": upstream, "downstream": downstream}

    def add(self, kind: Kind, document: Document) -> None:
        # Services of different types may have the same name.
        family = kind.type if kind.type.endswith(_SERVICE) else str((document.get("service") or {}).get("type"))
        node = self._node(kind, document)
        siblings = self._siblings(family, document["fullyQualifiedName"])
        siblings.append(node)
        self._nodes[family, document["fullyQualifiedName"]] = node

    def _siblings(self, family: str, fqn: str) -> list[Document]:
        parts = names.split(fqn)
        for length in range(len(parts) - 1, 0, -1):
            parent = self._nodes.get((family, names.join(None, *parts[:length])))
            if parent is not None:
                children: list[Document] = parent["children"]
                return children
        return self.roots

    def _node(self, kind: Kind, document: Document) -> Document:
        fqn = document["fullyQualifiedName"]
        node: Document = {"type": kind.type, "name": document["name"], "fullyQualifiedName": fqn, "children": []}
        node |= {field: document[field] for field in _SHOWN if document.get(field)}
        columns = document.get("columns")
        if isinstance(columns, list):
            node["columns"] = [{"name": column["name"], "dataType": column.get("dataType")} for column in columns]
        tests = [test for owner in (fqn, *_column_fqns(columns)) for test in self._tests.get(owner, ())]
        if tests:
            node["tests"] = tests
        if fqn in self._rows:
            node["rowCount"] = self._rows[fqn]
        for direction, counts in self._edges.items():
            if counts.get(document["id"]):
                node[direction] = counts[document["id"]]
        return node


def _column_fqns(columns: Any) -> list[str]:
    return [column["fullyQualifiedName"] for column in columns] if isinstance(columns, list) else []
