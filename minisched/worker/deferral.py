"""Packages that the ingestion package imports for everybody and nearly nobody uses: imported at their first use.

kubernetes is one of its secrets managers, and costs every launcher 38 MB and a third of a second. A run that does use
it imports it then, and pays for itself.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from typing import Any, Sequence

PACKAGES = ("kubernetes",)
_OWN_DUNDERS = frozenset({"__all__", "__version__"})


def defer(packages: Sequence[str] = PACKAGES) -> None:
    """From now on these packages, and the packages in them, are empty until something of theirs is asked for."""
    sys.meta_path.insert(0, _Finder(tuple(packages)))


class _Finder:
    """Finds packages as usual, and puts off running them. Their plain modules are left to everybody else."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        if name.split(".")[0] not in self._packages:
            return None
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations is None:
            return None
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader:
    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Deferred(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing, for now."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _Deferred(types.ModuleType):
    """A package that runs its own code when it is asked for something that is not one of its modules."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _OWN_DUNDERS:
            raise AttributeError(name)  # asked of every module there is, by inspect for one
        inner = "{}.{}".format(self.__name__, name)
        if importlib.machinery.PathFinder.find_spec(inner, self.__path__) is not None:
            return importlib.import_module(inner)
        self._run()
        return getattr(self, name)

    def _run(self) -> None:
        spec: Any = self.__spec__
        deferred = spec.loader
        spec.loader = deferred.real
        object.__setattr__(self, "__class__", types.ModuleType)
        try:
            spec.loader.exec_module(self)
        except BaseException:
            # The next use tries again, and hears the same.
            spec.loader = deferred
            object.__setattr__(self, "__class__", _Deferred)
            raise
