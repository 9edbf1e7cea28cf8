"""Runtimes: environments with openmetadata-ingestion, apart from ours (the server never imports that package)."""

from minisched.runtimes.catalog import AUTO, DEFAULT_NAME, RuntimeCatalog
from minisched.runtimes.errors import RuntimeBuildFailed, RuntimeBusy, RuntimeExists, RuntimeNotFound
from minisched.runtimes.inspection import Inspection, Probe, inspect_interpreter, probe_interpreter
from minisched.runtimes.progress import OnProgress, Phase, Progress
from minisched.runtimes.recipe import DEFAULT_EXTRAS, DEFAULT_LINE, PACKAGE
from minisched.runtimes.runtime import Manifest, Runtime

__all__ = [
    "AUTO",
    "DEFAULT_EXTRAS",
    "DEFAULT_LINE",
    "DEFAULT_NAME",
    "PACKAGE",
    "Inspection",
    "Manifest",
    "OnProgress",
    "Phase",
    "Probe",
    "Progress",
    "Runtime",
    "RuntimeBuildFailed",
    "RuntimeBusy",
    "RuntimeCatalog",
    "RuntimeExists",
    "RuntimeNotFound",
    "inspect_interpreter",
    "probe_interpreter",
]
