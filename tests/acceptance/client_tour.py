"""What a script does with openmetadata-ingestion's own Python client, told as JSON: run by a runtime's interpreter.

`client_tour.py URL TOKEN DATABASE`; URL without /api, DATABASE a file of SQLite.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from uuid import uuid4

import requests
from metadata.generated.schema.api.services.createDatabaseService import CreateDatabaseServiceRequest
from metadata.generated.schema.api.services.ingestionPipelines.createIngestionPipeline import (
    CreateIngestionPipelineRequest,
)
from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
    OpenMetadataConnection,
)
from metadata.generated.schema.entity.services.databaseService import DatabaseService
from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import (
    IngestionPipeline,
    PipelineState,
    PipelineStatus,
)
from metadata.generated.schema.entity.services.ingestionPipelines.logStreamEvent import LogStreamEvent
from metadata.generated.schema.entity.services.ingestionPipelines.operationMetrics import (
    OperationMetric,
    OperationMetricsBatch,
)
from metadata.generated.schema.entity.services.ingestionPipelines.pipelineServiceClientResponse import (
    PipelineServiceClientResponse,
)
from metadata.generated.schema.entity.services.ingestionPipelines.progressUpdate import (
    ProgressNode,
    ProgressUpdate,
    ProgressUpdateType,
)
from metadata.generated.schema.type.changeEvent import ChangeEvent
from metadata.generated.schema.type.entityHistory import EntityVersionHistory as EntityHistory
from metadata.ingestion.ometa.ometa_api import OpenMetadata

PIPELINES = "/services/ingestionPipelines"


def connected(url: str, token: str) -> Any:
    connection = {
        "hostPort": f"{url}/api",
        "authProvider": "openmetadata",
        "securityConfig": {"jwtToken": token},
        "enableVersionValidation": True,
    }
    return OpenMetadata(OpenMetadataConnection.model_validate(connection))


def service_of(client: Any, database: str) -> Any:
    connection = {"type": "SQLite", "hostPort": "", "database": "shop", "databaseMode": database}
    request = {"name": "tour.shop", "serviceType": "SQLite", "connection": {"config": connection}}
    return client.create_or_update(CreateDatabaseServiceRequest.model_validate(request))


def create_request(service: Any, name: str, **changes: Any) -> Any:
    request = {
        "name": name,
        "pipelineType": "metadata",
        "service": {"id": str(service.id.root), "type": "databaseService"},
        "sourceConfig": {"config": {"type": "DatabaseMetadata", "includeViews": True}},
        "airflowConfig": {"scheduleInterval": "0 3 * * *"},
        **changes,
    }
    return CreateIngestionPipelineRequest.model_validate(request)


def status_of(run_id: str, state: PipelineState, at: int) -> Any:
    fields = {"runId": run_id, "pipelineState": state, "startDate": at, "timestamp": at, "endDate": at + 5}
    return PipelineStatus.model_validate(fields)


def entity_tour(client: Any, service: Any) -> dict[str, Any]:
    made = client.create_or_update(create_request(service, "night.ly", enableStreamableLogs=True))
    fqn = made.fullyQualifiedName.root
    by_name = client.get_by_name(IngestionPipeline, fqn, fields=["owners", "pipelineStatuses"])
    by_id = client.get_by_id(IngestionPipeline, made.id)
    for number in range(3):
        client.create_or_update(create_request(service, f"more {number}"))
    listed = list(
        client.list_all_entities(IngestionPipeline, limit=2, params={"service": service.fullyQualifiedName.root})
    )
    changed = by_name.model_copy(deep=True)
    changed.description = "patched by the client"
    changed.airflowConfig.scheduleInterval = "0 4 * * *"
    patched = client.patch(IngestionPipeline, by_name, changed)
    versions = client.list_versions(made.id, IngestionPipeline)
    client.delete(IngestionPipeline, made.id)
    gone = client.get_by_name(IngestionPipeline, fqn)
    restored = client.restore(IngestionPipeline, made.id)
    return {
        "fqn": fqn,
        "same": str(by_id.id.root) == str(by_name.id.root) == str(made.id.root),
        "listed": sorted(pipeline.name.root for pipeline in listed),
        "description": patched.description.root,
        "schedule": patched.airflowConfig.scheduleInterval,
        "version": patched.version.root,
        "versions": len(versions.versions),
        "gone": gone is None,
        "restored": restored is not None and not restored.deleted,
    }


def status_tour(client: Any, fqn: str) -> dict[str, Any]:
    run_id, at = str(uuid4()), 1735689600000
    unknown = client.get_pipeline_status(fqn, run_id)
    client.create_or_update_pipeline_status(fqn, status_of(run_id, PipelineState.running, at))
    client.create_or_update_pipeline_status(fqn, status_of(run_id, PipelineState.success, at))
    read = client.get_pipeline_status(fqn, run_id)
    between = client.get_pipeline_status_between_ts(fqn, at - 1, at + 1)
    return {
        "unknown": unknown is None,
        "state": read.pipelineState.value,
        "between": [status.runId == run_id for status in between],
    }


def progress_tour(client: Any, fqn: str) -> dict[str, Any]:
    run_id, at = str(uuid4()), 1735689600000
    node = ProgressNode(entityType="Database", processed=1, expected=2, children=[ProgressNode(label="shop")])
    nothing = client.get_progress_state(fqn, run_id)
    update = {"runId": run_id, "timestamp": at, "updateType": ProgressUpdateType.PROCESSING, "progress": node}
    client.send_progress_update(fqn, run_id, ProgressUpdate.model_validate(update))
    state = client.get_progress_state(fqn, run_id)
    metric = OperationMetric(category="db_queries", operation="SELECT", timestamp=at, durationMs=3)
    client.send_operation_metrics_batch(
        fqn, run_id, OperationMetricsBatch(runId=run_id, stepName="SQLite", metrics=[metric])
    )
    return {"nothing": nothing is None, "label": state.progress.children[0].label}


def log_tour(client: Any, fqn: str) -> dict[str, Any]:
    run_id = uuid4()
    long = "".join(f"line {number} of a log that is long enough to be packed\n" for number in range(400))
    sent = client.send_logs_batch(fqn, run_id, "first\n")
    packed = client.send_logs_batch(fqn, run_id, long, enable_compression=True)
    client.close_log_stream(fqn, run_id)
    read = client.get_logs_from_s3(fqn, run_id) or ""
    return {
        "sent": sent["logs_sent"] + packed["logs_sent"],
        "first": read.split("] ", 1)[-1].startswith("first\n"),
        "last": read.rstrip().endswith("line 399 of a log that is long enough to be packed"),
    }


def run_tour(client: Any, pipeline_id: str, fqn: str, service: Any) -> dict[str, Any]:
    deployed = client.client.post(f"{PIPELINES}/deploy/{pipeline_id}")
    triggered = client.client.post(f"{PIPELINES}/trigger/{pipeline_id}")
    run_id = triggered["runId"]
    deadline = time.monotonic() + 120
    state = None
    while time.monotonic() < deadline and state not in ("success", "failed", "partialSuccess", "stopped"):
        time.sleep(0.2)
        statuses = client.client.get(f"{PIPELINES}/{fqn}/pipelineStatus")["data"]
        state = next((status["pipelineState"] for status in statuses if status["runId"] == run_id), None)
    logs = client.client.get(f"{PIPELINES}/logs/{pipeline_id}/last")
    progress = client.get_progress_state(fqn, run_id)
    whole = client.get_logs_from_s3(fqn, run_id, limit=100_000) or ""
    client.delete(IngestionPipeline, pipeline_id, hard_delete=True)
    left = client.client.get(f"{PIPELINES}?service={service.fullyQualifiedName.root}&include=all")
    client.delete(DatabaseService, service.id, recursive=True, hard_delete=True)
    gone = client.client.get(f"{PIPELINES}?service={service.fullyQualifiedName.root}&include=all")
    return {
        "deployed": deployed["code"],
        "triggered": triggered["code"],
        "state": state,
        "log": "Workflow" in logs["ingestion_task"],
        "progress": progress.updateType.value,
        "same log": whole == logs["ingestion_task"],
        "said twice": whole.count("Workflow Summary") > 1,
        "left": sorted(pipeline["name"] for pipeline in left["data"]),
        "left without the service": gone["paging"]["total"],
    }


def events_of(client: Any, path: str) -> list[dict[str, Any]]:
    """Of a stream that ends."""
    token = client.config.securityConfig.jwtToken.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"}
    response = requests.get(f"{client.config.hostPort}/v1{path}", headers=headers, timeout=60)
    lines = response.content.decode().split("\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def shape_tour(client: Any, service: Any) -> dict[str, str]:
    """Every kind of answer, read by the models that OpenMetadata generates from its schemas; what they say against."""
    http, fqn = client.client, f"{service.fullyQualifiedName.root}.shapes"
    made = http.post(PIPELINES, create_request(service, "shapes").model_dump_json(exclude_none=True))
    pipeline_id, run_id, at = made["id"], str(uuid4()), 1735689600000
    user = http.get("/users/name/admin")["id"]
    status = {"runId": run_id, "pipelineState": "success", "timestamp": at, "status": [{"name": "s", "records": 1}]}
    update = {"runId": run_id, "timestamp": at, "updateType": "PIPELINE_COMPLETE", "progress": {"processed": 1}}
    answers = {
        "followed": (ChangeEvent, http.put(f"{PIPELINES}/{pipeline_id}/followers", json.dumps(user))),
        "reported": (ChangeEvent, http.put(f"{PIPELINES}/{fqn}/pipelineStatus", json.dumps(status))),
        "status": (PipelineStatus, http.get(f"{PIPELINES}/{fqn}/pipelineStatus/{run_id}")),
        "unfollowed": (ChangeEvent, http.delete(f"{PIPELINES}/{pipeline_id}/followers/{user}")),
        "deployed": (PipelineServiceClientResponse, http.post(f"{PIPELINES}/deploy/{pipeline_id}")),
        "toggled": (IngestionPipeline, http.post(f"{PIPELINES}/toggleIngestion/{pipeline_id}")),
        "whole": (IngestionPipeline, http.get(f"{PIPELINES}/{pipeline_id}?fields=*")),
        "version": (IngestionPipeline, http.get(f"{PIPELINES}/{pipeline_id}/versions/0.1")),
        "history": (EntityHistory, http.get(f"{PIPELINES}/{pipeline_id}/versions")),
        "server": (PipelineServiceClientResponse, http.get(f"{PIPELINES}/status")),
    }
    http.put(f"{PIPELINES}/progress/{fqn}/{run_id}", json.dumps(update))
    http.post(f"{PIPELINES}/logs/{fqn}/{run_id}", json.dumps("a line\n"))
    http.post(f"{PIPELINES}/logs/{fqn}/{run_id}/close")
    told = events_of(client, f"{PIPELINES}/logs/{fqn}/stream/{run_id}")
    answers |= {f"log event {number}": (LogStreamEvent, event) for number, event in enumerate(told)}
    told = events_of(client, f"{PIPELINES}/progress/{fqn}/stream/{run_id}")
    answers |= {f"progress event {number}": (ProgressUpdate, event) for number, event in enumerate(told)}
    client.delete(IngestionPipeline, pipeline_id, hard_delete=True)
    problems = {}
    for name, (model, answer) in answers.items():
        try:
            model.model_validate(answer)
        except ValueError as error:
            problems[name] = str(error)
    return problems | {"read": str(len(answers))}


def main() -> None:
    url, token, database = sys.argv[1:]
    client = connected(url, token)
    service = service_of(client, database)
    entities = entity_tour(client, service)
    fqn = entities["fqn"]
    pipeline = client.get_by_name(IngestionPipeline, fqn)
    told = {
        "entities": entities,
        "shapes": shape_tour(client, service),
        "statuses": status_tour(client, fqn),
        "progress": progress_tour(client, fqn),
        "logs": log_tour(client, fqn),
        "runs": run_tour(client, str(pipeline.id.root), fqn, service),
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
