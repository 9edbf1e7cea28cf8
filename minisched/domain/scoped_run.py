"""A run of a pipeline for one entity alone: which pipelines can do it, and how its source is narrowed (§3.10)."""

from __future__ import annotations

import re

from minisched.domain import names
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document, Pipeline

TABLE, TEST_CASE = "table", "testCase"

# Usage and lineage read query logs, which a filter of tables does not bound.
_TYPES = {TABLE: ("metadata", "profiler", "autoClassification"), TEST_CASE: ("TestSuite",)}

# A metadata run takes for deleted what it does not see, and this one sees nothing but one table.
_NOTHING_DELETED: Document = {
    "markDeletedTables": False,
    "markDeletedSchemas": False,
    "markDeletedDatabases": False,
    "markDeletedStoredProcedures": False,
    "includeStoredProcedures": False,
    "includeTables": True,
}


def scope(link: str, pipeline_type: str) -> names.EntityLink:
    """The table or test case of an entity link. Raises InvalidInput when no such pipeline runs for it alone."""
    found = names.parse_link(link)
    if found is None:
        raise InvalidInput("is not a link to an entity", field="entityLink", hint="Such as <#E::table::s.d.s.t>.")
    is_field = link.count("::") > 2
    if is_field or pipeline_type not in _TYPES.get(found.entity_type, ()):
        raise InvalidInput(f"A {pipeline_type} pipeline cannot be run scoped to {link[:512]}.")
    if found.entity_type == TABLE and len(names.split(found.fqn)) != 4:
        raise InvalidInput("is not the name of a table", field="entityLink", hint="service.database.schema.table")
    return found


def table_ancestors(table_fqn: str) -> tuple[str, str, str]:
    """The FQNs of the service, the database and the schema of a table."""
    service, database, schema, _ = names.split(table_fqn)
    return names.join(None, service), names.join(None, service, database), names.join(None, service, database, schema)


def table_override(table_fqn: str, pipeline_type: str) -> Document:
    """The changes of a source configuration that leave one table of it."""
    _, database, schema = table_ancestors(table_fqn)
    override: Document = {
        # By FQN, or a table of the same name in another schema would be taken too.
        "useFqnForFiltering": True,
        "databaseFilterPattern": _only(database),
        "schemaFilterPattern": _only(schema),
        "tableFilterPattern": _only(table_fqn),
        "includeViews": True,
    }
    return override | _NOTHING_DELETED if pipeline_type == "metadata" else override


def test_case_override(name: str) -> Document:
    """The change of a source configuration that leaves one test case of a suite."""
    return {"testCases": [name]}


def refuse_incremental(pipeline: Pipeline) -> None:
    """Raises InvalidInput for a metadata pipeline that reads what changed since its last run.

    A run for one table would be such a last run, and the next one would miss what changed elsewhere.
    """
    config = (pipeline.document.get("sourceConfig") or {}).get("config") or {}
    incremental = config.get("incremental")
    if pipeline.pipeline_type == "metadata" and isinstance(incremental, dict) and incremental.get("enabled"):
        raise InvalidInput(
            f"Ingestion pipeline '{pipeline.fqn}' extracts metadata incrementally, and a run scoped to one table would "
            "move the point its next scheduled run starts from."
        )


def _only(fqn: str) -> Document:
    return {"includes": [f"^{re.escape(fqn)}$"]}
