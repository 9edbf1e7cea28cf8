"""What the demo sends: the pipeline of OpenMetadata's page on deploying ingestion pipelines, and what it refers to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Document = dict[str, Any]

SERVICE_NAME = "sample_shop"
PIPELINE_NAME = "mysql_metadata_cFjZmNAR"
PIPELINE_FQN = f"{SERVICE_NAME}.{PIPELINE_NAME}"

OWNER_ID = "e4b4bf36-4be6-41be-a551-b9b8d3fd9f54"
_SERVICE_ID = "891b373d-a253-4639-ad54-fc17491a7d5d"


def owner() -> Document:
    """The user that owns the pipeline; the sandbox has an `admin` of its own, with another id."""
    return {"id": OWNER_ID, "name": "shop_owner", "displayName": "Shop owner", "email": "shop_owner@example.com"}


def service(database: Path) -> Document:
    """The service of the sample database, in the place of the page's MySQL server."""
    connection = {
        "type": "SQLite",
        "scheme": "sqlite+pysqlite",
        "hostPort": "",
        "database": database.stem,
        "databaseMode": str(database),
        "supportsMetadataExtraction": True,
    }
    return {
        "id": _SERVICE_ID,
        "name": SERVICE_NAME,
        "displayName": "Sample shop",
        "description": "The sample database of `minisched demo`.",
        "serviceType": "SQLite",
        "connection": {"config": connection},
    }


def pipeline() -> Document:
    """The page's POST body, to the letter."""
    return {
        "airflowConfig": {"scheduleInterval": "0 * * * *"},
        "loggerLevel": "INFO",
        "name": PIPELINE_NAME,
        "displayName": PIPELINE_NAME,
        "owner": {"id": OWNER_ID, "type": "user"},
        "pipelineType": "metadata",
        "service": {"id": _SERVICE_ID, "type": "databaseService"},
        "sourceConfig": {
            "config": {
                "includeViews": False,
                "includeTags": False,
                "markDeletedTables": True,
                "markDeletedTablesFromFilterOnly": False,
                "type": "DatabaseMetadata",
            }
        },
    }


def changes(stored: Document) -> list[Document]:
    """The patch after which the pipeline shows more: views are ingested too, as a click in the UI would have it.

    An option of the page that later releases of OpenMetadata do not know any more goes, so that their workflows can
    read the pipeline back without complaint. Empty when nothing is left to change.
    """
    config = stored["sourceConfig"]["config"]
    path = "/sourceConfig/config/"
    operations: list[Document] = []
    if not config.get("includeViews"):
        operations.append({"op": "add", "path": path + "includeViews", "value": True})
    if "markDeletedTablesFromFilterOnly" in config:
        operations.append({"op": "remove", "path": path + "markDeletedTablesFromFilterOnly"})
    return operations
