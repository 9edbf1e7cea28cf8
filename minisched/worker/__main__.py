"""Entry point by path: `<runtime's python> <site>/minisched/worker launcher|inspect …`.

The runtime has no minisched, so this directory makes itself known as the package `minisched_worker`, and disappears
from sys.path: its modules must not shadow anybody's.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

PACKAGE = "minisched_worker"


def _become_package() -> None:
    directory = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != directory]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, os.path.join(directory, "__init__.py"), submodule_search_locations=[directory]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _become_package()
    sys.exit(importlib.import_module(PACKAGE + ".commands").main(sys.argv[1:]))
