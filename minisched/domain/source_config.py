"""What a source configuration means where it says nothing: the defaults of each `type` (contract §4.8), as data.

Only defaults that are not null: an absent value and a null one are the same to OpenMetadata. Fields that a default does
not cover, and types that are not listed, pass unchanged: newer ones are none of our business (D10).
"""

from __future__ import annotations

from copy import deepcopy

from minisched.domain.pipeline import Document

_AUTO_CLASSIFICATION: Document = {
    "useFqnForFiltering": False,
    "storeSampleData": False,
    "enableAutoClassification": True,
    "confidence": 80,
    "sampleDataCount": 50,
    "classificationLanguage": "en",
}

DEFAULTS: dict[str, Document] = {
    "DatabaseMetadata": {
        "markDeletedTables": True,
        "markDeletedStoredProcedures": True,
        "markDeletedSchemas": False,
        "markDeletedDatabases": False,
        "includeTables": True,
        "includeViews": True,
        "includeTags": True,
        "includeCustomProperties": False,
        "includeOwners": False,
        "includeStoredProcedures": True,
        "includeDDL": False,
        "overrideMetadata": False,
        "queryLogDuration": 1,
        "queryParsingTimeoutLimit": 300,
        "useFqnForFiltering": False,
        "threads": 1,
        "extractJsonSchema": False,
        "jsonSchemaSampleSize": 10,
    },
    "DatabaseUsage": {
        "queryLogDuration": 1,
        "stageFileLocation": "/tmp/query_log",  # noqa: S108  OpenMetadata's own default; each run gets its own directory
        "resultLimit": 1000,
        "processQueryCostAnalysis": True,
    },
    "DatabaseLineage": {
        "queryLogDuration": 1,
        "resultLimit": 1000,
        "parsingTimeoutLimit": 300,
        "overrideViewLineage": False,
        "processViewLineage": True,
        "processQueryLineage": True,
        "processStoredProcedureLineage": True,
        "threads": 1,
        "processCrossDatabaseLineage": False,
        "enableTempTableLineage": False,
        "incrementalLineageProcessing": True,
    },
    "DashboardMetadata": {
        "includeOwners": False,
        "markDeletedDashboards": True,
        "markDeletedDataModels": True,
        "markDeletedCharts": True,
        "includeTags": True,
        "includeDataModels": True,
        "includeDraftDashboard": True,
        "includeUsage": True,
        "overrideMetadata": False,
        "overrideLineage": False,
    },
    "MessagingMetadata": {"generateSampleData": False, "markDeletedTopics": True, "overrideMetadata": False},
    "PipelineMetadata": {
        "includeLineage": True,
        "includeOwners": True,
        "ownershipUpdateMode": "replace",
        "overrideLineage": False,
        "markDeletedPipelines": True,
        "includeTags": True,
        "includeUnDeployedPipelines": True,
        "statusLookbackDays": 1,
        "overrideMetadata": False,
    },
    "MlModelMetadata": {"markDeletedMlModels": True, "overrideMetadata": False, "overrideLineage": False},
    "StorageMetadata": {"markDeletedContainers": True, "overrideMetadata": False, "includeTags": False},
    "SearchMetadata": {
        "markDeletedSearchIndexes": True,
        "includeSampleData": True,
        "sampleSize": 10,
        "overrideMetadata": False,
        "includeIndexTemplate": False,
    },
    "ApiMetadata": {"markDeletedApiCollections": True, "overrideMetadata": False},
    "DriveMetadata": {
        "markDeletedDirectories": True,
        "markDeletedFiles": True,
        "markDeletedSpreadsheets": True,
        "markDeletedWorksheets": True,
        "includeDirectories": True,
        "includeFiles": True,
        "includeSpreadsheets": True,
        "includeWorksheets": True,
        "includeTags": True,
        "includeOwners": False,
        "overrideMetadata": False,
        "useFqnForFiltering": False,
        "threads": 1,
    },
    "McpMetadata": {"overrideMetadata": False},
    # `metrics` means all metrics when absent; the list of all belongs to the ingestion line.
    "Profiler": {
        "processingEngine": {"type": "Native"},
        "includeViews": False,
        "useFqnForFiltering": False,
        "computeTableMetrics": True,
        "computeColumnMetrics": True,
        "useStatistics": False,
        "randomizedSample": False,
        "timeoutSeconds": 43200,
    },
    "AutoClassification": _AUTO_CLASSIFICATION,
    "MetadataToElasticSearch": {
        "timeout": 30,
        "useSSL": False,
        "verifyCerts": False,
        "useAwsCredentials": False,
        "searchIndexMappingLanguage": "EN",
        "batchSize": 1000,
        "recreateIndex": True,
    },
    "DBT": {
        "searchAcrossDatabases": False,
        "dbtUpdateDescriptions": False,
        "dbtUpdateOwners": False,
        "includeTags": True,
        "overrideLineage": False,
        "dbtClassificationName": "dbtTags",
        "parsingTimeoutLimit": 300,
        "includeMetrics": False,
    },
}

# Types whose defaults depend on the kind of service that is read.
_DEFAULTS_BY_SERVICE: dict[tuple[str, str], Document] = {
    ("AutoClassification", "databaseService"): {"includeViews": True},
}


def with_defaults(source_config: Document, service_type: str) -> Document:
    """`{"config": …}` with what was not sent filled in; a config without a known `type` comes back as it is."""
    config = source_config.get("config")
    if not isinstance(config, dict):
        return source_config
    config_type = str(config.get("type"))
    defaults = DEFAULTS.get(config_type, {}) | _DEFAULTS_BY_SERVICE.get((config_type, service_type), {})
    sent = {key: value for key, value in config.items() if value is not None}
    return {**source_config, "config": deepcopy(defaults) | sent}
