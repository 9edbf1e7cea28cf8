"""Importing a runtime's workflow modules, once, and saying what could not be imported."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import platform
import sys
import time
import warnings
from typing import Any, Sequence

from . import deferral, kernel
from .workflows import AUTOMATIONS, WORKFLOW_CLASSES

# What nearly every run imports first, beside the workflow's own module.
_COMPANIONS = (
    "metadata.ingestion.ometa.ometa_api",
    "metadata.ingestion.sink.metadata_rest",
    "metadata.ingestion.processor.query_parser",
    "metadata.ingestion.stage.table_usage",
    "metadata.ingestion.bulksink.metadata_usage",
    "metadata.automations.runner",
)
_SCHEMAS = "metadata.generated.schema."
# The models that nearly every run uses, by the modules that they are in. All of them would take 50 MB, for ever.
_USED_MODELS = tuple(
    _SCHEMAS + name
    for name in (
        "metadataIngestion.application",
        "metadataIngestion.workflow",
        "entity.data.database",
        "entity.data.table",
        "entity.services.connections.connectionBasicType",
        "entity.services.connections.metadata.openMetadata",
        "entity.services.connections.testConnection",
        "entity.services.databaseService",
        "entity.services.ingestionPipelines",
        "security.client",
        "tests.",
        "type.",
    )
)
# Numeric libraries start a pool of threads at import unless told not to; a fork needs a single thread.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_OF_ANOTHER_LINE = "No module named 'metadata."
_THREADS_END_WITHIN_S = 2.0


class Preloaded:
    """What an import of the workflow modules gave. `problem` is set when no run is possible."""

    def __init__(self, version: str | None, import_s: float, modules: dict[str, str | None], problem: str | None):
        self.version = version
        self.import_s = import_s
        self.modules = modules
        self.problem = problem

    @property
    def failures(self) -> dict[str, str]:
        return {name: error for name, error in self.modules.items() if error is not None}


def preload(extra: Sequence[str]) -> Preloaded:
    """Import the workflow modules, their companions and `extra`; failures of single ones are kept, not raised."""
    set_here = [name for name in _ONE_THREAD if name not in os.environ]
    for name in set_here:
        os.environ[name] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = time.monotonic()
            deferral.defer()
            modules = import_workflows()
            workflows_work = not all(error for error in modules.values())
            for name in (*_COMPANIONS, *extra) if workflows_work else ():
                modules[name] = import_error(name)
            build_models()
            import_s = round(time.monotonic() - started, 3)
    finally:
        for name in set_here:
            del os.environ[name]
    version = package_version()
    return Preloaded(version, import_s, modules, _problem(modules, workflows_work, version))


def import_workflows() -> dict[str, str | None]:
    """{module: None or why it cannot be imported}: for each kind the first that can, or all with their errors."""
    modules: dict[str, str | None] = {}
    for candidates in (*WORKFLOW_CLASSES.values(), AUTOMATIONS):
        for candidate in candidates:
            name = candidate.split(":")[0]
            if name not in modules:
                modules[name] = import_error(name)
            if modules[name] is None:
                break
    return _without_other_lines(modules)


def _without_other_lines(modules: dict[str, str | None]) -> dict[str, str | None]:
    """Leave out modules that other lines have and this one never had, unless nothing at all could be imported."""
    if all(error for error in modules.values()):
        return modules
    return {name: error for name, error in modules.items() if error is None or not _is_absent(name, error)}


def _is_absent(name: str, error: str) -> bool:
    packages = itertools.accumulate(name.split("."), "{}.{}".format)
    return any(error == "ModuleNotFoundError: No module named '{}'".format(package) for package in packages)


def build_models() -> None:
    """Finish the models that recent lines leave half made until their first use, which would be once per run."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_USED_MODELS):
            for value in list(vars(module).values()):
                unfinished = isinstance(value, type) and getattr(value, "__pydantic_complete__", True) is False
                if unfinished and value.__module__ == name:
                    with contextlib.suppress(Exception):  # then its first use says what is wrong with it
                        value.model_rebuild()


def import_error(name: str) -> str | None:
    """Import a module; None, or the error in one line."""
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        return "{}: {}".format(type(error).__name__, error).replace("\n", " ")[:500]
    return None


def _problem(modules: dict[str, str | None], workflows_work: bool, version: str | None) -> str | None:
    if not workflows_work:
        reasons = [error for error in modules.values() if error]
        telling = [reason for reason in reasons if _OF_ANOTHER_LINE not in reason]
        first = next(iter(telling or reasons), "it is not installed")
        package = "openmetadata-ingestion {}".format(version) if version else "openmetadata-ingestion"
        return "no workflow class of {} can be imported in {}: {}".format(package, sys.executable, first)
    deadline = time.monotonic() + _THREADS_END_WITHIN_S
    while not kernel.single_threaded():
        if time.monotonic() > deadline:
            return "importing the runtime's modules left threads running ({}), so it cannot fork".format(_threads())
        time.sleep(0.05)
    return None


def _threads() -> str:
    names = []
    for tid in os.listdir("/proc/self/task"):
        with open("/proc/self/task/{}/comm".format(tid), encoding="utf-8", errors="replace") as file:
            names.append(file.read().strip())
    return ", ".join(sorted(names))


def package_version() -> str | None:
    """The installed version of openmetadata-ingestion, or None when it is not installed as a distribution."""
    from importlib import metadata as distributions

    try:
        return distributions.version("openmetadata-ingestion")
    except distributions.PackageNotFoundError:
        return None


def inspect() -> dict[str, Any]:
    """What the runtimes room asks: version, interpreter, which modules import, and how long that takes in seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.monotonic()
        modules = import_workflows()
        import_s = round(time.monotonic() - started, 3)
    return {
        "version": package_version(),
        "python": platform.python_version(),
        "modules": modules,
        "import_s": import_s,
    }
