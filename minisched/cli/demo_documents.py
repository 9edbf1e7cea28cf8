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


def with_views() -> list[Document]:
    """The one change to it that the demo makes, as the UI would: views are to be ingested too."""
    return [{"op": "replace", "path": "/sourceConfig/config/includeViews", "value": True}]
