"""The job of a run: what its runner is told, in the words of protocol.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minisched.domain.errors import PipelineNotFound
from minisched.domain.pipeline import Document
from minisched.domain.run import Run
from minisched.domain.secrets import secret_values
from minisched.observability import remember_secrets
from minisched.ports import DeploymentStore


class JobBuilder:
    """Makes jobs when runs start, so that each sees the pipeline, its token and the settings as they are then."""

    def __init__(
        self,
        *,
        deployments: DeploymentStore,
        complete: Callable[[Document], Document],
        workflow_classes: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self._deployments = deployments
        self._complete = complete
        self._workflow_classes = dict(workflow_classes)
        self._environment = dict(environment)

    def job_of(self, run: Run) -> Document:
        """Raises PipelineNotFound when the pipeline was deleted meanwhile, ConfigurationError without a server."""
        deployment = self._deployments.get(run.pipeline_id)
        if deployment is None:
            raise PipelineNotFound(f"The pipeline {run.pipeline_fqn} was deleted before its run started.")
        pipeline = self._complete(deployment.document)
        remember_secrets(secret_values([pipeline, run.overrides]))
        return {
            **self._common(run.id),
            "task": "pipeline",
            "pipeline": pipeline,
            "overrides": run.overrides,
        }

    def _common(self, run_id: str) -> Document:
        return {
            "run_id": run_id,
            "workflow_classes": self._workflow_classes,
            "environment": self._environment,
        }


def workflow_job(job_id: str, config: Document, kind: str | None, environment: Mapping[str, str]) -> Document:
    """The job of a workflow file: it names its server itself, and its kind is deduced when None is given."""
    return {"run_id": job_id, "task": "workflow", "config": config, "workflow": kind, "environment": dict(environment)}
