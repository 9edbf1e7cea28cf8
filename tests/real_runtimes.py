"""An interpreter with the real openmetadata-ingestion, made once per machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from minisched.runtimes import DEFAULT_LINE, RuntimeBuildFailed, RuntimeCatalog
from tests.requirements_of_tests import skip_or_fail

# What the acceptance tests connect to, and what classification needs.
EXTRAS = ("postgres", "mysql", "pii-processor")


@pytest.fixture(scope="session")
def real_runtime() -> Path:
    """Its path: MINISCHED_TEST_RUNTIME, else a runtime kept in MINISCHED_TEST_CACHE or ~/.cache/minisched-tests."""
    if named := os.environ.get("MINISCHED_TEST_RUNTIME"):
        return Path(named)
    cache = Path(os.environ.get("MINISCHED_TEST_CACHE") or Path.home() / ".cache" / "minisched-tests")
    try:
        return _kept_runtime(cache / "runtimes")
    except RuntimeBuildFailed as error:
        skip_or_fail(f"no real runtime: {error}")


def _kept_runtime(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    catalog = RuntimeCatalog(directory)
    name = "line-{}.{}".format(*DEFAULT_LINE)
    with (directory / ".tests.lock").open("w") as lock:
        # Tests in other processes wait here until the first of them has made it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        usable = [runtime for runtime in catalog.list() if runtime.name == name and not runtime.problem]
        runtime = usable[0] if usable else catalog.create(name, extras=EXTRAS, replace=True)
    return runtime.python
