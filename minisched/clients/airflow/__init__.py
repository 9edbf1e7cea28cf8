"""An Airflow with OpenMetadata's plugin as the orchestrator: PipelineServiceClient over its REST API (contract §1)."""

from __future__ import annotations

from minisched.clients.airflow.client import AirflowClient
from minisched.clients.airflow.server import AirflowServer

__all__ = ["AirflowClient", "AirflowServer"]
