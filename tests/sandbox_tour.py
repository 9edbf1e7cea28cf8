"""Takes the real client round every collection: executed by the interpreter of a runtime, never imported.

Arguments: the address of the API, the bot's token, the file for the results. For every create request of the package
that `REQUESTS` has a body for it creates the entity, reads it by name with all fields and by id, lists it, patches its
description and deletes it; each answer is parsed by the package's own models, which refuse what they do not know. One
line of JSON per entity: `{"name", "error": null | text}`.
"""

import gc

gc.disable()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import quote  # noqa: E402

REF = {"id": "00000000-0000-4000-8000-000000000001", "type": "table"}
COLUMNS = [{"name": "id", "dataType": "INT"}, {"name": "a.b", "dataType": "STRUCT", "dataTypeDisplay": "struct<x:int>",
            "children": [{"name": "x", "dataType": "INT"}]}]  # fmt: skip
TAG = {"tagFQN": "PII.Sensitive", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("CreateDatabaseServiceRequest", {"name": "db", "serviceType": "Mysql",
      "connection": {"config": {"type": "Mysql", "username": "u", "authType": {"password": "p"}, "hostPort": "h:1"}}}),
    ("CreateMessagingServiceRequest", {"name": "kafka", "serviceType": "Kafka"}),
    ("CreateDashboardServiceRequest", {"name": "boards", "serviceType": "Superset"}),
    ("CreatePipelineServiceRequest", {"name": "flows", "serviceType": "Airflow", "scheduleInterval": "1 * * * *"}),
    ("CreateMlModelServiceRequest", {"name": "models", "serviceType": "Mlflow"}),
    ("CreateMetadataServiceRequest", {"name": "meta", "serviceType": "Amundsen"}),
    ("CreateStorageServiceRequest", {"name": "lake", "serviceType": "S3"}),
    ("CreateSearchServiceRequest", {"name": "finder", "serviceType": "ElasticSearch"}),
    ("CreateApiServiceRequest", {"name": "rest", "serviceType": "Rest"}),
    ("CreateDriveServiceRequest", {"name": "drive", "serviceType": "GoogleDrive"}),
    ("CreateSecurityServiceRequest", {"name": "guard", "serviceType": "Ranger"}),
    ("CreateMcpServiceRequest", {"name": "mcp", "serviceType": "Mcp"}),
    ("CreateDomainRequest", {"name": "Sales", "description": "d", "domainType": "Aggregate", "experts": ["admin"]}),
    ("CreateDataProductRequest", {"name": "orders", "description": "d", "domains": ["Sales"]}),
    ("CreateDatabaseRequest", {"name": "shop", "service": "db", "domains": ["Sales"], "tags": [TAG]}),
    ("CreateDatabaseSchemaRequest", {"name": "pub.lic", "database": "db.shop"}),
    ("CreateTableRequest", {"name": "a/b c", "databaseSchema": 'db.shop."pub.lic"', "columns": COLUMNS, "tags": [TAG],
      "owners": [{"id": "@user.admin", "type": "user"}], "dataProducts": ["orders"]}),
    ("CreateStoredProcedureRequest", {"name": "sp", "databaseSchema": 'db.shop."pub.lic"',
      "storedProcedureCode": {"language": "SQL", "code": "select 1"}}),
    ("CreateQueryRequest", {"query": "select 1", "service": "db", "users": ["admin"], "dialect": "mysql",
      "queryDate": 1700000000000}),
    ("CreateChartRequest", {"name": "pie", "service": "boards", "chartType": "Pie"}),
    ("CreateDashboardDataModelRequest", {"name": "dm", "service": "boards", "dataModelType": "SupersetDataModel",
      "columns": COLUMNS}),
    ("CreateDashboardRequest", {"name": "sales", "service": "boards", "charts": ["boards.pie"],
      "dataModels": ["boards.model.dm"]}),
    ("CreatePipelineRequest", {"name": "etl", "service": "flows", "tasks": [{"name": "t1", "downstreamTasks": []}]}),
    ("CreateTopicRequest", {"name": "events", "service": "kafka", "partitions": 1, "messageSchema": {
      "schemaType": "JSON", "schemaFields": [{"name": "f", "dataType": "RECORD", "children": [
        {"name": "g", "dataType": "STRING"}]}]}}),
    ("CreateMlModelRequest", {"name": "churn", "service": "models", "algorithm": "tree", "dashboard": "boards.sales",
      "mlFeatures": [{"name": "age", "dataType": "numerical"}]}),
    ("CreateContainerRequest", {"name": "bucket", "service": "lake", "dataModel": {"isPartitioned": False,
      "columns": COLUMNS}}),
    ("CreateSearchIndexRequest", {"name": "idx", "service": "finder", "fields": [{"name": "f", "dataType": "TEXT"}]}),
    ("CreateAPICollectionRequest", {"name": "pets", "service": "rest", "endpointURL": "http://x/y"}),
    ("CreateAPIEndpointRequest", {"name": "get", "apiCollection": "rest.pets", "endpointURL": "http://x/y"}),
    ("CreateDirectoryRequest", {"name": "docs", "service": "drive"}),
    ("CreateFileRequest", {"name": "a.txt", "service": "drive", "directory": "drive.docs"}),
    ("CreateSpreadsheetRequest", {"name": "sheet", "service": "drive"}),
    ("CreateWorksheetRequest", {"name": "w1", "spreadsheet": "drive.sheet", "columns": COLUMNS}),
    ("CreateMcpServerRequest", {"name": "srv", "service": "mcp", "serverType": "Custom", "transportType": "Stdio"}),
    ("CreateMetricRequest", {"name": "revenue"}),
    ("CreateClassificationRequest", {"name": "Tier", "description": "d"}),
    ("CreateTagRequest", {"name": "Tier1", "description": "d", "classification": "Tier"}),
    ("CreateGlossaryRequest", {"name": "words", "description": "d"}),
    ("CreateGlossaryTermRequest", {"name": "order", "description": "d", "glossary": "words"}),
    ("CreatePolicyRequest", {"name": "pol", "rules": [{"name": "r", "resources": ["All"], "operations": ["All"],
      "effect": "allow"}]}),
    ("CreateRoleRequest", {"name": "reader", "policies": ["pol"]}),
    ("CreateTeamRequest", {"name": "data", "teamType": "Group", "users": ["@user.admin"]}),
    ("CreateUserRequest", {"name": "ann.lee", "email": "ann@example.com", "teams": ["@team.data"],
      "roles": ["@role.reader"]}),
    ("CreatePersonaRequest", {"name": "analyst", "users": ["@user.admin"]}),
    ("CreateBot", {"name": "robot", "botUser": "ingestion-bot"}),
    ("CreateTestDefinitionRequest", {"name": "mine", "description": "d", "entityType": "TABLE",
      "testPlatforms": ["dbt"]}),
    ("CreateTestSuiteRequest", {"name": "logical", "description": "d"}),
    ("CreateTestCaseRequest", {"name": "rows", "testDefinition": "tableRowCountToEqual",
      "entityLink": '<#E::table::db.shop."pub.lic".a/b c>', "parameterValues": [{"name": "value", "value": "1"}]}),
    ("CreateDocumentRequest", {"name": "page", "fullyQualifiedName": "persona.x.Page.y", "entityType": "Page",
      "data": {"page": {}}}),
    ("CreateDataContractRequest", {"name": "contract", "entity": {"id": '@table.db.shop."pub.lic".a/b c',
      "type": "table"}}),
    ("CreateAppRequest", {"name": "app"}),
    ("CreateEventSubscription", {"name": "alert", "alertType": "Notification", "resources": ["all"],
      "destinations": [{"category": "External", "type": "Webhook", "config": {}}]}),
    ("CreateWorkflowRequest", {"name": "wf", "workflowType": "TEST_CONNECTION", "request": {"serviceType": "Database",
      "connectionType": "Mysql", "connection": {"config": {"type": "Mysql", "username": "u", "hostPort": "h:1"}}}}),
]  # fmt: skip


def main() -> None:
    client = connect(sys.argv[1], sys.argv[2])
    with Path(sys.argv[3]).open("a", encoding="utf-8") as results:
        for name, body in REQUESTS:
            print(json.dumps({"name": name, "error": tour(client, name, body)}), file=results, flush=True)
    os._exit(0)


def connect(url: str, token: str) -> Any:
    from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
        OpenMetadataConnection,
    )
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    security = {"jwtToken": token}
    config = {"hostPort": url, "authProvider": "openmetadata", "securityConfig": security}
    return OpenMetadata(OpenMetadataConnection.model_validate(config))


def tour(client: Any, name: str, body: dict[str, Any]) -> str | None:
    """None, or what went wrong; "absent" when this release has no such request."""
    from metadata.ingestion.ometa import routes

    create = getattr(routes, name, None)
    if create is None or name not in routes.ROUTES:
        return "absent"
    done = "created"
    try:
        created = client.create_or_update(create.model_validate(resolved(client, body)))
        entity, fqn = type(created), created.fullyQualifiedName
        visits: dict[str, Callable[[], Any]] = {
            "read by name": lambda: client.get_by_name(entity, fqn, fields=["*"], nullable=False),
            "read by id": lambda: client.get_by_id(entity, created.id, nullable=False),
            "listed": lambda: next(one for one in client.list_all_entities(entity, limit=2) if one.id == created.id),
            "patched": lambda: client.patch_description(entity, created, "patched", force=True, skip_on_failure=False),
            "sent again": lambda: client.create_or_update(create.model_validate(resolved(client, body))),
        }
        for what, visit in visits.items():
            done = what
            found = visit()
            assert found is not None, "nothing came back"
            assert found.id == created.id, f"{found.id} is not {created.id}"
    except Exception as error:  # noqa: BLE001 - whatever the client says is the result
        traceback.print_exc()
        return f"not {done}: {type(error).__name__}: {error}"
    return None


def resolved(client: Any, node: Any) -> Any:
    """The body with `@type.fqn` replaced by the id of that entity."""
    if isinstance(node, dict):
        return {key: resolved(client, value) for key, value in node.items()}
    if isinstance(node, list):
        return [resolved(client, item) for item in node]
    if isinstance(node, str) and node.startswith("@"):
        kind, _, fqn = node[1:].partition(".")
        return client.client.get(f"/{kind}s/name/{quote(fqn, safe='')}")["id"]
    return node


main()
