# mypy: ignore-errors
"""The shape of the package's workflow classes: create, execute, stop, raise_from_status, and reports on the way."""

from __future__ import annotations

import json
import logging
import time
from enum import Enum
from urllib.parse import quote

from metadata.ingestion.ometa.ometa_api import REST

from . import behaviours

logger = logging.getLogger("metadata.Ingestion")


class PipelineState(Enum):
    running = "running"
    success = "success"
    partialSuccess = "partialSuccess"
    failed = "failed"
    stopped = "stopped"


class WorkflowExecutionError(Exception):
    pass


class SourceConnectionException(Exception):
    pass


class Status:
    def __init__(self, records, failures):
        self.records = ["r"] * records
        self.updated_records, self.warnings, self.filtered = [], [], []
        self.failures = [{"name": "t%d" % i, "error": "boom %d" % i} for i in range(failures)]

    def calculate_success(self):
        good = max(len(self.records), 1)
        return round(good * 100 / (good + len(self.failures)), 2)


class Step:
    def __init__(self, name, records=10, failures=0, late_failures=0):
        self.name = name
        self.status = Status(records, failures)
        self._late = late_failures

    def close(self):
        self.status.failures.extend({"name": "late", "error": "the last batch failed"} for _ in range(self._late))
        self._late = 0


class Client:
    """Stands for the OpenMetadata client: what is sent to it ends in a file, and at the server if there is one."""

    def __init__(self, path, refuse=False, server=None):
        self._path = path
        self._refuse = refuse
        self._server = REST(server) if server else None

    def create_or_update_pipeline_status(self, fqn, status):
        if self._refuse:
            raise ConnectionError("OpenMetadata is down")
        if self._path:
            with open(self._path, "a") as file:
                file.write(json.dumps(status) + "\n")
        if self._server and "runId" in status:
            self._server.put("/services/ingestionPipelines/" + quote(fqn, safe="") + "/pipelineStatus", status)
        return {"name": fqn}


class Summaries:
    def __init__(self, steps):
        self._steps = steps

    def model_dump_json(self, exclude_none=False):
        return json.dumps(
            [
                {"name": s.name, "records": len(s.status.records), "errors": len(s.status.failures),
                 "failures": s.status.failures[:10]}
                for s in self._steps
            ]
        )  # fmt: skip


class MetadataWorkflow:
    threshold = 90

    def __init__(self, config):
        self.config = config
        # What a test asks for stands where it can: in the source, or in a pipeline's sourceConfig.
        self.options = {**config["source"], **((config["source"].get("sourceConfig") or {}).get("config") or {})}
        server = (config.get("workflowConfig") or {}).get("openMetadataServerConfig")
        self.metadata = Client(
            self.options.get("reports"),
            self.options.get("openmetadata_down", False),
            server if self.options.get("reports_itself") else None,
        )
        self.started_ms = int(time.time() * 1000)
        self.steps = ()
        self.set_ingestion_pipeline_status(PipelineState.running)
        if self.options.get("behaviour") == "raise_in_create":
            raise ValueError("cannot create this")
        if self.options.get("behaviour") == "hang_in_create":
            behaviours.hang(self)
        if self.options.get("behaviour") == "wrong_password":
            logger.info("CheckAccess: Failed - password authentication failed for user hugo")
            raise SourceConnectionException("Failed to run the test connection step: CheckAccess")
        steps = self.options.get("steps") or [{"name": "Source"}, {"name": "Sink"}]
        self.steps = tuple(Step(**step) for step in steps)

    @classmethod
    def create(cls, config):
        return cls(config)

    def workflow_steps(self):
        return list(self.steps)

    def execute(self):
        logger.info("executing at %d ns", time.time_ns())
        state = PipelineState.success
        try:
            behaviour = self.options.get("behaviour")
            if behaviour:
                getattr(behaviours, behaviour)(self)
            if self.threshold <= self.calculate_success() < 100:
                state = PipelineState.partialSuccess
            try:
                self.raise_from_status()
            except WorkflowExecutionError:
                state = PipelineState.failed
        except Exception:
            state = PipelineState.failed
            raise
        finally:
            for step in self.steps:
                step.close()
            self.set_ingestion_pipeline_status(state, self.build_ingestion_status())
            self.print_status()
            self.stop()

    def set_ingestion_pipeline_status(self, state, ingestion_status=None):
        status = {"pipelineState": state.value}
        if self.config.get("pipelineRunId") and self.options.get("reports_itself"):
            status.update(runId=self.config["pipelineRunId"], startDate=self.started_ms, timestamp=self.started_ms)
            if state is not PipelineState.running:
                status["endDate"] = int(time.time() * 1000)
        try:
            self.metadata.create_or_update_pipeline_status(self.config.get("ingestionPipelineFQN", "svc.p"), status)
        except Exception as error:
            logger.error("cannot report: %s", error)

    def build_ingestion_status(self):
        return Summaries(self.steps)

    def calculate_success(self):
        return sum(s.status.calculate_success() for s in self.steps) / len(self.steps)

    def raise_from_status(self):
        for step in self.steps:
            if step.status.failures and step.status.calculate_success() < self.threshold:
                raise WorkflowExecutionError(step.name + " reported errors")

    def print_status(self):
        logger.info("Workflow finished")

    def stop(self):
        pass
