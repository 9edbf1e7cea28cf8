"""Which class of the ingestion package runs which kind of pipeline, on every line of it (contract §5.4)."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Mapping

from .errors import CannotRun

_GENERAL = ("metadata.workflow.metadata:MetadataWorkflow", "metadata.ingestion.api.workflow:Workflow")

# In the order of preference: the newest line first.
WORKFLOW_CLASSES: dict[str, tuple[str, ...]] = {
    "metadata": _GENERAL,
    "lineage": _GENERAL,
    "dbt": _GENERAL,
    "elasticSearchReindex": _GENERAL,
    "usage": ("metadata.workflow.usage:UsageWorkflow", "metadata.ingestion.api.workflow:Workflow"),
    "profiler": (
        "metadata.workflow.profiler:ProfilerWorkflow",
        "metadata.profiler.api.workflow:ProfilerWorkflow",
        "metadata.orm_profiler.api.workflow:ProfilerWorkflow",
    ),
    "TestSuite": (
        "metadata.workflow.data_quality:TestSuiteWorkflow",
        "metadata.data_quality.api.workflow:TestSuiteWorkflow",
        "metadata.test_suite.api.workflow:TestSuiteWorkflow",
    ),
    "dataInsight": (
        "metadata.workflow.data_insight:DataInsightWorkflow",
        "metadata.data_insight.api.workflow:DataInsightWorkflow",
    ),
    "application": ("metadata.workflow.application:ApplicationWorkflow",),
    "autoClassification": ("metadata.workflow.classification:AutoClassificationWorkflow",),
}
AUTOMATIONS = ("metadata.automations.execute_runner:execute", "metadata.automations.runner:execute")

_SINCE = {
    "application": "the application workflow came with OpenMetadata 1.3",
    "autoClassification": "auto classification came with OpenMetadata 1.6 and needs the extra pii-processor",
    "dataInsight": "data insight pipelines ended with OpenMetadata 1.4; it is an application now",
}


class UnsupportedKind(CannotRun):
    """This runtime has no workflow for such a pipeline."""


def workflow_class(kind: str, overrides: Mapping[str, str]) -> Any:
    """The class that runs this kind here. `kind` may itself be "module:Class". Raises UnsupportedKind, ImportError."""
    if ":" in kind:
        return load(kind)
    if kind in overrides:
        return load(overrides[kind])
    if kind == "policyAgent":
        raise UnsupportedKind("policyAgent pipelines have no open-source workflow in any version of the package")
    if kind not in WORKFLOW_CLASSES:
        raise UnsupportedKind(
            "there is no workflow for pipelines of type {}; known types: {}".format(kind, ", ".join(WORKFLOW_CLASSES))
        )
    return first_importable(WORKFLOW_CLASSES[kind], _SINCE.get(kind, "the package looks incomplete"))


def first_importable(candidates: tuple[str, ...], otherwise: str) -> Any:
    """The first that this runtime has. Raises UnsupportedKind with the reasons."""
    reasons = []
    for candidate in candidates:
        try:
            return load(candidate)
        except (ImportError, AttributeError) as error:
            reasons.append("{}: {}".format(candidate, error))
    raise UnsupportedKind("not available in this runtime ({}). {}".format(otherwise, "; ".join(reasons)))


def is_importable(module: str) -> bool:
    """True when this runtime has such a module; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def load(path: str) -> Any:
    """The attribute of a module named by "module:attribute"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
