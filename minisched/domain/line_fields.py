"""What an ingestion line refuses because it came later: its models forbid what they do not know (contract §4.9).

Found in the models of the lines 1.3 to 2.0. Only fields that entities have without anybody having asked for them: the
defaults of a source configuration, and what the entity itself is kept with.
"""

from __future__ import annotations

from collections.abc import Mapping

from minisched.domain.pipeline import Document
from minisched.domain.source_config import DEFAULTS
from minisched.domain.versions import Line

_SINCE: Mapping[str, Line] = {
    "incrementalChangeDescription": (1, 6),
    "followers": (1, 7),
    "raiseOnError": (1, 7),
    "ingestionRunner": (1, 7),
    "domains": (1, 9),
    "processingEngine": (1, 9),
    "enableStreamableLogs": (1, 10),
    "impersonatedBy": (1, 11),
    "owners": (1, 5),
    "applicationType": (1, 5),
}
_LINEAGE: Line = (1, 6)
_CONFIG_SINCE: Mapping[str, Mapping[str, Line]] = {
    "DatabaseMetadata": {
        "includeDDL": (1, 4),
        "threads": (1, 4),
        "overrideMetadata": (1, 5),
        "markDeletedSchemas": (1, 8),
        "markDeletedDatabases": (1, 8),
        "includeCustomProperties": (1, 12),
        "extractJsonSchema": (1, 12),
        "jsonSchemaSampleSize": (1, 12),
    },
    "DatabaseUsage": {"processQueryCostAnalysis": (1, 7)},
    "DatabaseLineage": {
        "overrideViewLineage": _LINEAGE,
        "processViewLineage": _LINEAGE,
        "processQueryLineage": _LINEAGE,
        "processStoredProcedureLineage": _LINEAGE,
        "threads": _LINEAGE,
        "processCrossDatabaseLineage": (1, 7),
        "enableTempTableLineage": _LINEAGE,
        "incrementalLineageProcessing": _LINEAGE,
    },
    "DashboardMetadata": {
        "includeDraftDashboard": (1, 4),
        "overrideMetadata": (1, 5),
        "overrideLineage": (1, 5),
        "markDeletedCharts": (1, 13),
        "includeUsage": (1, 13),
    },
    "MessagingMetadata": {"overrideMetadata": (1, 5)},
    "PipelineMetadata": {
        "includeUnDeployedPipelines": (1, 4),
        "overrideMetadata": (1, 5),
        "overrideLineage": (1, 5),
        "statusLookbackDays": (1, 11),
        "ownershipUpdateMode": (2, 0),
    },
    "MlModelMetadata": {"overrideMetadata": (1, 5), "overrideLineage": (1, 10)},
    "StorageMetadata": {"overrideMetadata": (1, 5), "includeTags": (1, 5)},
    "SearchMetadata": {"overrideMetadata": (1, 5), "includeIndexTemplate": (1, 6)},
    "Profiler": {
        "computeTableMetrics": (1, 6),
        "computeColumnMetrics": (1, 6),
        "useStatistics": (1, 6),
        "randomizedSample": (1, 7),
        "processingEngine": (1, 9),
    },
    "AutoClassification": {"classificationLanguage": (1, 12)},
    "DBT": {
        "searchAcrossDatabases": (1, 6),
        "dbtUpdateOwners": (1, 6),
        "overrideLineage": (1, 11),
        "includeMetrics": (2, 0),
    },
}


def for_line(pipeline: Document, line: Line) -> Document:
    """The pipeline without what this line does not know.

    What its source is asked beyond the defaults stays: the line should refuse what it cannot do.
    """
    kept = {key: value for key, value in pipeline.items() if _SINCE.get(key, line) <= line}
    source = kept.get("sourceConfig")
    if not isinstance(source, dict) or not isinstance(config := source.get("config"), dict):
        return kept
    kind = str(config.get("type"))
    since, defaults = _CONFIG_SINCE.get(kind, {}), DEFAULTS.get(kind, {})
    known = {
        key: value
        for key, value in config.items()
        if since.get(key, line) <= line or (value is not None and value != defaults.get(key))
    }
    return {**kept, "sourceConfig": {**source, "config": known}}
