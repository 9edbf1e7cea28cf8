"""Judging the connector that a workflow file names before the package's own parser does.

That one tries the connection of every connector there is, and complains of each.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from enum import Enum
from functools import lru_cache
from typing import Any, Iterator

from . import models
from .errors import CannotRun
from .preload import package_version

_SERVICES = "metadata.generated.schema.entity.services"
# Their sources are connectors; those of the others go by names of their own (`dbt`, `TestSuite`, `dataInsight`).
_KINDS = frozenset({"metadata", "usage", "lineage", "profiler", "autoClassification"})
_NEAR_NAMES = 3
_HINT = (
    "Correct source.type: it is the name of the connector in lower case, with -usage or -lineage behind it in files "
    "of these kinds; a connector that is newer needs a runtime of a newer version."
)


class UnknownSourceType(CannotRun):
    """No connector of this runtime's package goes by such a name."""


def refuse_unknown(config: dict[str, Any], kind: str) -> None:
    """Raises UnknownSourceType when `source.type` names nothing that the package has. In doubt it has it."""
    source = config.get("source")
    named = source.get("type") if isinstance(source, dict) else None
    if kind not in _KINDS or not isinstance(named, str) or named.lower().startswith("custom"):
        return
    connectors = known_connectors()
    if not connectors or _as_connector(named) in connectors or _package_knows(named):
        return
    message = "source.type is {!r}: there is no connector of this source type in openmetadata-ingestion {}".format(
        named, package_version() or "of this runtime"
    )
    near = [name.lower() for name in near_names(_as_connector(named))]
    raise UnknownSourceType(message + ("; near: {}".format(", ".join(near)) if near else ""), _HINT)


def near_names(name: str) -> list[str]:
    """The service types that are written much like this one."""
    connectors = known_connectors()
    return [connectors[one] for one in difflib.get_close_matches(name.lower(), sorted(connectors), _NEAR_NAMES)]


@lru_cache(maxsize=None)  # the models of a package do not change, and the launcher's forks inherit what it has found
def known_connectors() -> dict[str, str]:
    """Every service type of this line's models by its name in lower case; empty where they are not as we know them."""
    try:
        return {str(member.value).lower(): str(member.value) for types in _service_types() for member in types}
    except Exception:
        return {}  # the package will say what is wrong with it


def _service_types() -> Iterator[Any]:
    """The enumerations DatabaseServiceType, DashboardServiceType …"""
    for module in pkgutil.iter_modules(importlib.import_module(_SERVICES).__path__):
        if module.name.endswith("Service"):
            for name, value in vars(importlib.import_module("{}.{}".format(_SERVICES, module.name))).items():
                if name.endswith("ServiceType") and isinstance(value, type) and issubclass(value, Enum):
                    yield value


def _as_connector(source_type: str) -> str:
    """As the package does it: mysql-usage -> mysql, unity_catalog -> unitycatalog."""
    name = source_type.lower().replace("-", "_")
    for part in ("_usage", "_lineage", "_"):
        name = name.replace(part, "")
    return "metadataes" if name == "metadataelasticsearch" else name


def _package_knows(source_type: str) -> bool:
    """What the package itself makes of it, where it can be asked."""
    service_type = models.model("metadata.utils.class_helper", "get_service_type_from_source_type")
    try:
        return service_type is not None and service_type(source_type) is not None
    except Exception:
        return False
