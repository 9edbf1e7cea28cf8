"""A real `minisched serve` with the real ingestion package, and what tests do with it over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document
from tests.waiting import wait_until

TERMINAL = ("success", "failed", "partialSuccess", "stopped")
CONNECTORS = Path(__file__).parent / "connectors"


class CatalogServer:
    """The API of a server: pipelines, runs, and the sandbox catalog that they fill."""

    def __init__(self, process: ServerProcess) -> None:
        self.http = httpx.Client(
            base_url=f"{process.url}/api/v1", timeout=30, headers={"Authorization": process.authorization or ""}
        )

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **query: str) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    def named(self, collection: str, fqn: str, **query: str) -> Any:
        return self.get(f"/{collection}/name/{quote(fqn, safe='')}", **query)

    def put(self, path: str, body: Document) -> Any:
        answer = self.http.put(path, json=body)
        assert answer.status_code in (200, 201), (path, answer.text)
        return answer.json()

    def database_service(self, request: Document) -> Document:
        """A reference to the service, made now or before."""
        service = self.put("/services/databaseServices", request)
        return {"id": service["id"], "type": "databaseService"}

    def pipeline(self, pipeline_type: str, service: Document, config: Document, **changes: Any) -> str:
        """Create and deploy; the id."""
        request = {
            "name": f"{pipeline_type}_{uuid4().hex[:8]}",
            "pipelineType": pipeline_type,
            "service": service,
            "sourceConfig": {"config": config},
            "airflowConfig": {},
            **changes,
        }
        created = self.http.post("/services/ingestionPipelines", json=request)
        assert created.status_code == 201, created.text
        pipeline_id = str(created.json()["id"])
        deployed = self.http.post(f"/services/ingestionPipelines/deploy/{pipeline_id}")
        assert deployed.status_code == 200, deployed.text
        return pipeline_id

    def trigger(self, pipeline_id: str, overrides: Document | None = None) -> str:
        answer = self.http.post(f"/services/ingestionPipelines/trigger/{pipeline_id}", json=overrides)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["runId"])

    def ended(self, run_id: str, timeout_s: float = 180.0) -> Document:
        """The run when it is terminal."""
        wait_until(lambda: self.run(run_id)["state"] in TERMINAL, timeout_s=timeout_s, every_s=0.1)
        return self.run(run_id)

    def run(self, run_id: str) -> Document:
        found: Document = self.get(f"/minisched/runs/{run_id}")
        return found

    def log(self, run_id: str) -> str:
        return self.http.get(f"/minisched/runs/{run_id}/log", params={"offset": 0, "limit": 1_000_000}).text

    def completed(
        self, pipeline_type: str, service: Document, config: Document, overrides: Document | None = None
    ) -> Document:
        """A run of a new pipeline, which has to end as success."""
        run = self.ended(self.trigger(self.pipeline(pipeline_type, service, config), overrides))
        assert run["state"] == "success", (run["message"], run["steps"], self.log(run["id"])[-4000:])
        return run
