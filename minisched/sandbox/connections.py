"""Test-connection definitions: which steps a connector's connection test has (public facts of the ingestion package).

A server ships one per connector; a run asks for it and executes its steps by name before it reads anything. A step
that the installed package does not know breaks the run up to 1.13, so what is answered depends on the release line: the
steps that SQL connectors have had in every line, and those of other connectors only for the line they were taken from.
A connector that is in neither gets no steps: its test passes, and what is wrong shows when the source is read.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from minisched.domain.pipeline import Document
from minisched.domain.versions import Line
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.references import not_found

_SUFFIX = ".testConnectionDefinition"
_NAMESPACE = uuid.UUID("6a1d3c52-9f6e-5e53-8d6b-2f4a5d0c7e11")

# From this line on a step says whether it gates the others; earlier models refuse the field.
_CATEGORIES_SINCE: Line = (2, 0)
_STEPS_OF_LINE: Line = (2, 0)

_SQL_STEPS = "CheckAccess GetSchemas GetTables GetViews"
_SQL = frozenset(
    (
        "Athena", "AzureSQL", "BigQuery", "Clickhouse", "Cockroach", "Databricks", "Db2", "Doris", "Druid",
        "Exasol", "Greenplum", "Hive", "Impala", "Iomete", "MariaDB", "Mssql", "Mysql", "Oracle", "PinotDB",
        "Postgres", "QuestDB", "Redshift", "SapHana", "SingleStore", "Snowflake", "SQLite", "StarRocks",
        "Teradata", "Timescale", "Trino", "UnityCatalog", "Vertica",
    )
)  # fmt: skip
# The first step is the one without which nothing works.
_OTHERS: Mapping[str, str] = {
    "Airbyte": "GetPipelines",
    "Airflow": "CheckAccess PipelineDetailsAccess TaskDetailAccess",
    "AlationSink": "CheckAccess",
    "Amundsen": "CheckAccess",
    "Atlas": "CheckAccess",
    "BigTable": "GetInstances GetTables",
    "BurstIQ": "CheckAccess GetDictionaries GetEdges",
    "Cassandra": "CheckAccess GetSchemas GetTables GetViews",
    "Couchbase": "GetDatabases GetCollections",
    "DBTCloud": "CheckAccess GetJobs GetRuns",
    "Dagster": "GetPipelines",
    "DatabricksPipeline": "GetPipelines GetLineage",
    "Datalake": "ListBuckets",
    "DeltaLake": "GetDatabases GetTables",
    "DomoDashboard": "GetDashboards GetCharts",
    "DomoDatabase": "GetTables",
    "DomoPipeline": "GetPipelines",
    "DynamoDB": "ListTables",
    "ElasticSearch": "CheckAccess GetSearchIndexes",
    "Fivetran": "GetPipelines",
    "Flink": "GetPipelines",
    "GCS": "ListBuckets GetBucket ListBlobs GetBlob GetMetrics",
    "Glue": "GetDatabases GetTables",
    "GluePipeline": "GetPipelines",
    "GoogleDrive": "CheckAccess GetDriveFiles GetSpreadsheets",
    "Grafana": "GetDashboards",
    "Hex": "GetProjects",
    "Kafka": "GetTopics CheckSchemaRegistry",
    "KafkaConnect": "GetClusterInfo GetPipelines GetPlugins",
    "Kinesis": "GetTopics",
    "Lightdash": "GetDashboards",
    "Looker": "CheckAccess ValidateVersion ListDashboards ListLookMLModels",
    "Metabase": "GetDashboards",
    "MicroStrategy": "GetToken GetProjects",
    "Mlflow": "GetModels",
    "Mode": "CheckDashboards",
    "MongoDB": "CheckAccess GetDatabases GetCollections",
    "Nifi": "GetPipelines",
    "Omni": "CheckAccess GetDashboards",
    "OpenLineage": "CheckBrokerConnectivity",
    "OpenSearch": "CheckAccess GetSearchIndexes",
    "PowerBI": "CheckAccess GetDashboards",
    "Prefect": "CheckAccess GetPipelines",
    "Presto": "CheckAccess GetDatabases GetSchemas GetTables",
    "PubSub": "GetTopics CheckSchemaRegistry",
    "QlikCloud": "GetDashboards",
    "QlikSense": "GetDashboards",
    "QuickSight": "GetDashboards",
    "Redash": "GetDashboards",
    "Redpanda": "GetTopics CheckSchemaRegistry",
    "Rest": "CheckURL CheckSchema",
    "S3": "ListBuckets GetMetrics",
    "SAS": "CheckAccess",
    "SageMaker": "GetModels",
    "Salesforce": "CheckAccess",
    "SapErp": "GetTables GetColumns",
    "Sftp": "CheckAccess ListDirectories",
    "Sigma": "GetToken GetWorkbooks",
    "Spline": "GetPipelines",
    "Ssrs": "CheckAccess GetDashboards",
    "Tableau": "ServerInfo GetWorkbooks",
}
# What tables and queries can be listed without; a missing privilege there is only a warning.
_OPTIONAL = frozenset({"GetViews", "GetMetrics", "CheckSchemaRegistry", "GetPlugins", "GetLineage", "ListLookMLModels"})


class Connections:
    """The handlers of services/testConnectionDefinitions. `line` is the release line of the runs."""

    def __init__(self, line: Callable[[], Line]) -> None:
        self._line = line

    def endpoints(self) -> list[Endpoint]:
        base = "services/testConnectionDefinitions"
        return [
            Endpoint("GET", base, self.list_all),
            Endpoint("GET", f"{base}/name/{{fqn*}}", self.get_by_name),
            Endpoint("GET", f"{base}/{{definition_id}}", self.get),
        ]

    def list_all(self, _call: Call) -> Answer:
        data = [definition(service, self._line()) for service in sorted({*_SQL, *_OTHERS})]
        return Answer({"data": data, "paging": {"total": len(data)}})

    def get_by_name(self, _call: Call, fqn: str) -> Answer:
        if not fqn.endswith(_SUFFIX):
            raise not_found("testConnectionDefinition", fqn)
        return Answer(definition(fqn.removesuffix(_SUFFIX), self._line()))

    def get(self, _call: Call, definition_id: str) -> Answer:
        for service in (*_SQL, *_OTHERS):
            if _definition_id(service) == definition_id:
                return Answer(definition(service, self._line()))
        raise not_found("testConnectionDefinition", definition_id)


def definition(service_type: str, line: Line) -> Document:
    """The TestConnectionDefinition of a connector for clients of a release line."""
    names = _steps(service_type, line).split()
    return {
        "id": _definition_id(service_type),
        "name": service_type,
        "displayName": f"{service_type} Test Connection",
        "fullyQualifiedName": f"{service_type}{_SUFFIX}",
        "description": f"The steps of a connection test of {service_type}.",
        "steps": [_step(name, line, first=index == 0) for index, name in enumerate(names)],
    }


def _steps(service_type: str, line: Line) -> str:
    if service_type in _SQL:
        return _SQL_STEPS
    return _OTHERS.get(service_type, "") if line == _STEPS_OF_LINE else ""


def _step(name: str, line: Line, *, first: bool) -> Document:
    step: Document = {
        "name": name,
        "description": f"The step {name} of the connection test.",
        "errorMessage": f"{name} failed; see the error of this step.",
        "mandatory": name not in _OPTIONAL,
        "shortCircuit": first,
    }
    if line >= _CATEGORIES_SINCE:
        step["category"] = "ConnectionGate" if first else "Capability"
    return step


def _definition_id(service_type: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, service_type))
