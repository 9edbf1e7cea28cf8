"""A pipeline as the front API owns it, and a deployment: the same document as an orchestrator knows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Document = dict[str, Any]

PIPELINE_TYPES = (
    "metadata",
    "usage",
    "lineage",
    "profiler",
    "autoClassification",
    "TestSuite",
    "dataInsight",
    "elasticSearchReindex",
    "dbt",
    "application",
    "policyAgent",
)

# Log key per pipelineType, contract §2.4; whatever is not named logs under ingestion_task.
_TASK_IDS = {
    "profiler": "profiler_task",
    "autoClassification": "auto_classification_task",
    "lineage": "lineage_task",
    "dbt": "dbt_task",
    "usage": "usage_task",
    "TestSuite": "test_suite_task",
    "dataInsight": "data_insight_task",
    "elasticSearchReindex": "elasticsearch_reindex_task",
    "application": "application_task",
}

_UNCLEAN = re.compile(r"[^0-9a-zA-Z\-_]+")


def task_id(pipeline_type: str) -> str:
    """The key under which OpenMetadata looks for the log of this type of pipeline (contract §2.4)."""
    return _TASK_IDS.get(pipeline_type, "ingestion_task")


def clean_name(name: str) -> str:
    """The workflow id that Airflow's plugin makes of a name: lossy, see contract §1.7."""
    return _UNCLEAN.sub("_", name)


def quote_name(name: str) -> str:
    """A name as a part of a fully qualified name: quoted when it holds a dot or a quote (contract §3.5)."""
    if "." in name or '"' in name:
        return '"' + name.replace('"', '\\"') + '"'
    return name


@dataclass(frozen=True, slots=True)
class PipelineRef:
    """How a caller names a pipeline: an orchestrator may know the id (ours) or only the name (Airflow's plugin)."""

    name: str
    id: str | None = None
    fqn: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the models of a runtime say about a pipeline that can be run.

    `by` is the version of the package that judged, None when none did; `left_out` are the paths of the fields that it
    does not know, which its runs do without.
    """

    by: str | None = None
    left_out: tuple[str, ...] = ()


NOT_JUDGED = Judgement()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pipeline that the local orchestrator was told to run.

    `document` is the IngestionPipeline as deployed, whole, with its secrets in clear: never log it. `runtime` is the
    one that the caller chose for it, None when the settings choose.
    """

    id: str
    name: str
    fqn: str
    pipeline_type: str
    document: Document
    enabled: bool
    deployed_at: datetime
    runtime: str | None = None
    judgement: Judgement = NOT_JUDGED

    @property
    def clean_name(self) -> str:
        return clean_name(self.name)

    @property
    def service_fqn(self) -> str:
        service = self.document.get("service") or {}
        return str(service.get("fullyQualifiedName") or service.get("name") or "")

    @property
    def service_type(self) -> str:
        return str((self.document.get("service") or {}).get("type") or "")

    @property
    def airflow_config(self) -> Document:
        return dict(self.document.get("airflowConfig") or {})

    @property
    def schedule(self) -> str | None:
        return self.airflow_config.get("scheduleInterval") or None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """An IngestionPipeline entity of the front API: `document` as OpenMetadata would store and return it.

    Secrets are in clear here; `domain.secrets.mask` stands between this and any response.
    """

    document: Document

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def fqn(self) -> str:
        return str(self.document["fullyQualifiedName"])

    @property
    def pipeline_type(self) -> str:
        return str(self.document["pipelineType"])

    @property
    def version(self) -> float:
        return float(self.document["version"])

    @property
    def deleted(self) -> bool:
        return bool(self.document.get("deleted", False))

    @property
    def deployed(self) -> bool:
        return bool(self.document.get("deployed", False))

    @property
    def enabled(self) -> bool:
        return bool(self.document.get("enabled", True))

    @property
    def ref(self) -> PipelineRef:
        return PipelineRef(name=self.name, id=self.id, fqn=self.fqn)
