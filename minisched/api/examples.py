"""An example of every answer, for the description at /schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from minisched.api.answers import (
    ClientAnswer,
    ErrorAnswer,
    EventAnswer,
    HostIpAnswer,
    JobAnswer,
    LastLogAnswer,
    LogErrorAnswer,
    LogPieceAnswer,
    MessageAnswer,
    PipelineAnswer,
    PipelinesAnswer,
    ProgressAnswer,
    RunsWithLogsAnswer,
    StatusAnswer,
    StatusesAnswer,
    VersionsAnswer,
)
from minisched.api.own_answers import (
    AliveAnswer,
    AuditAnswer,
    BackfillAnswer,
    DeploymentsAnswer,
    MoveAnswer,
    OutboxAnswer,
    PlacementAnswer,
    PlacementsAnswer,
    PreviewAnswer,
    QueueAnswer,
    ReadyAnswer,
    RunAnswer,
    RunsAnswer,
    RuntimesAnswer,
    SimulationAnswer,
    TakenOverAnswer,
    TicksAnswer,
    WholeRunAnswer,
    WhyAnswer,
)

_ID = "891b373d-a253-4639-ad54-fc17491a7d5d"
_RUN_ID = "1f6c0c5e-9a53-4c3b-8a2f-3c5a1c0f7d11"
_AT_MS = 1735689600000

_PIPELINE: dict[str, Any] = {
    "id": _ID,
    "name": "mysql_metadata",
    "fullyQualifiedName": "mysql.mysql_metadata",
    "pipelineType": "metadata",
    "service": {"id": _ID, "type": "databaseService", "name": "mysql", "fullyQualifiedName": "mysql"},
    "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
    "airflowConfig": {
        "pausePipeline": False,
        "concurrency": 1,
        "pipelineTimezone": "UTC",
        "retries": 0,
        "retryDelay": 300,
        "pipelineCatchup": False,
        "maxActiveRuns": 1,
        "workflowDefaultView": "tree",
        "workflowDefaultViewOrientation": "LR",
        "scheduleInterval": "0 * * * *",
    },
    "loggerLevel": "INFO",
    "raiseOnError": True,
    "provider": "user",
    "enableStreamableLogs": False,
    "deployed": False,
    "enabled": True,
    "deleted": False,
    "version": 0.1,
    "updatedAt": _AT_MS,
    "updatedBy": "admin",
    "href": f"http://127.0.0.1:8580/api/v1/services/ingestionPipelines/{_ID}",
}
_STATUS: dict[str, Any] = {"runId": _RUN_ID, "pipelineState": "success", "startDate": _AT_MS, "timestamp": _AT_MS}
_RUN: dict[str, Any] = {
    "id": _RUN_ID,
    "pipelineId": _ID,
    "pipelineFqn": "mysql.mysql_metadata",
    "pipelineName": "mysql_metadata",
    "pipelineType": "metadata",
    "service": "mysql",
    "kind": "manual",
    "state": "success",
    "attempt": 1,
    "requestedBy": "admin",
    "enqueuedAt": _AT_MS,
}
_PLACEMENT: dict[str, Any] = {
    "id": _ID,
    "name": "mysql_metadata",
    "fullyQualifiedName": "mysql.mysql_metadata",
    "pipelineType": "metadata",
    "service": "mysql",
    "client": "airflow",
    "since": _AT_MS,
    "cameFrom": "local",
}
_CHANGES: dict[str, Any] = {"fieldsAdded": [], "fieldsUpdated": [], "fieldsDeleted": [], "previousVersion": 0.1}

EXAMPLES: dict[type[BaseModel], Any] = {
    ErrorAnswer: {"code": 404, "message": f"ingestionPipeline instance for {_ID} not found"},
    LogErrorAnswer: {"message": "ingestionPipeline instance for mysql.x not found"},
    PipelineAnswer: _PIPELINE,
    PipelinesAnswer: {"data": [_PIPELINE], "paging": {"total": 1}},
    VersionsAnswer: {"entityType": "ingestionPipeline", "versions": ['{"version": 0.1}']},
    StatusAnswer: _STATUS,
    StatusesAnswer: {"data": [_STATUS], "paging": {"total": 1}},
    ClientAnswer: {"code": 200, "platform": "local", "runId": _RUN_ID},
    EventAnswer: {
        "id": _RUN_ID,
        "eventType": "entityUpdated",
        "entityType": "ingestionPipeline",
        "entityId": _ID,
        "entityFullyQualifiedName": "mysql.mysql_metadata",
        "previousVersion": 0.1,
        "currentVersion": 0.1,
        "userName": "admin",
        "timestamp": _AT_MS,
        "changeDescription": _CHANGES,
        "incrementalChangeDescription": _CHANGES,
        "entity": _PIPELINE,
    },
    JobAnswer: {"jobId": _RUN_ID, "message": "Delete operation initiated for x", "entityName": "x"},
    HostIpAnswer: {"ip": "192.0.2.1"},
    LastLogAnswer: {"ingestion_task": "a line\n", "total": "1"},
    LogPieceAnswer: {"logs": "a line\n", "total": 7},
    RunsWithLogsAnswer: {"runs": [_RUN_ID]},
    MessageAnswer: {"message": "Log stream closed successfully"},
    ProgressAnswer: {"runId": _RUN_ID, "timestamp": _AT_MS, "updateType": "PROCESSING"},
    RunAnswer: _RUN,
    WholeRunAnswer: {**_RUN, "steps": []},
    RunsAnswer: {"data": [_RUN], "paging": {}},
    QueueAnswer: {
        "data": [{**_RUN, "waiting": {"position": 1, "reason": "slots", "text": "All 4 slots are taken."}}],
        "slots": 4,
        "running": 4,
        "draining": False,
        "services": {"of": {}},
        "runtimes": ["main"],
    },
    OutboxAnswer: {"data": []},
    AuditAnswer: {
        "data": [
            {
                "id": 42,
                "at": 1735689600000,
                "user": "ann",
                "role": "operator",
                "via": "password",
                "operation": "trigger_pipeline",
                "request": f"POST /api/v1/services/ingestionPipelines/trigger/{_ID}",
                "peer": "127.0.0.1",
                "touched": "mysql.mysql_metadata, run 5f4a7f5e-0c44-4f5c-8a6e-2f4d2b1d9a10",
            }
        ],
        "paging": {"next": 42},
    },
    RuntimesAnswer: {
        "data": [{"name": "main", "state": "ready", "activeRuns": 0, "spares": 2, "memoryLimits": "cgroup"}]
    },
    DeploymentsAnswer: {
        "data": [
            {
                "id": _ID,
                "name": "mysql_metadata",
                "fullyQualifiedName": "mysql.mysql_metadata",
                "pipelineType": "metadata",
                "service": "mysql",
                "enabled": True,
                "deployedAt": _AT_MS,
                "leftOut": [],
            }
        ]
    },
    PlacementAnswer: _PLACEMENT,
    PlacementsAnswer: {"data": [_PLACEMENT]},
    MoveAnswer: {
        "pipelineId": _ID,
        "fullyQualifiedName": "mysql.mysql_metadata",
        "from": "local",
        "to": "airflow",
        "verdict": "moved",
        "notes": ["Airflow's plugin takes workflowTimeout (3600 s) for days."],
    },
    TakenOverAnswer: {"standing": "new", "enabled": False, "notes": []},
    TicksAnswer: {
        "data": [
            {
                "scheduledFor": _AT_MS,
                "through": _AT_MS,
                "instants": 1,
                "decision": "fired",
                "decidedAt": _AT_MS + 4,
                "runId": _RUN_ID,
            }
        ],
        "paging": {},
    },
    WhyAnswer: {
        "pipelineId": _ID,
        "at": _AT_MS,
        "timezone": "Europe/Berlin",
        "verdict": "paused",
        "sentence": "It did not run at 2025-01-01 01:00 CET: mysql.mysql_metadata was disabled.",
    },
    PreviewAnswer: {
        "pipelineId": _ID,
        "schedule": "0 1 * * *",
        "timezone": "Europe/Berlin",
        "enabled": True,
        "data": [{"at": _AT_MS, "utc": "2025-01-01T00:00:00+00:00", "local": "2025-01-01T01:00:00+01:00"}],
    },
    BackfillAnswer: {"dryRun": False, "queued": [{"scheduledFor": _AT_MS, "runId": _RUN_ID}], "known": []},
    SimulationAnswer: {"from": _AT_MS, "to": _AT_MS + 86_400_000, "instants": 0, "pipelines": []},
    AliveAnswer: {"status": "alive"},
    ReadyAnswer: {"status": "ready", "runtimes": {"main": "ready"}, "memoryLimits": {"main": "cgroup"}},
}
