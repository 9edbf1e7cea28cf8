"""Reading the ingestion package's own pydantic models, of either major version, to learn what this line knows."""

from __future__ import annotations

import importlib
from enum import Enum
from functools import lru_cache
from typing import Any, Iterator

WORKFLOW_SCHEMA = "metadata.generated.schema.metadataIngestion.workflow"
APPLICATION_SCHEMA = "metadata.generated.schema.metadataIngestion.application"
_PIPELINES = "metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline"


class Field:
    """A field of a model: the key it has in JSON, and the models and enumerations that its value may be of."""

    def __init__(self, key: str, classes: list[Any]) -> None:
        self.key = key
        self.models = [one for one in classes if not issubclass(one, Enum)]
        self.enumerations = [one for one in classes if issubclass(one, Enum)]


def model(path: str, name: str) -> Any | None:
    """A model of the package, or None where this line has none of that name."""
    try:
        return getattr(importlib.import_module(path), name, None)
    except ImportError:
        return None


def server_connection_model() -> Any | None:
    """The model of openMetadataServerConnection."""
    return model(
        "metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection",
        "OpenMetadataConnection",
    )


def known_connection(connection: dict[str, Any]) -> dict[str, Any]:
    """An openMetadataServerConnection without what this line does not know."""
    model_class = server_connection_model()
    return dict(drop_unknown(connection, [model_class] if model_class else [], "", []))


def pipeline_model(name: str) -> Any | None:
    """A model that belongs to ingestion pipelines (IngestionPipeline, AirflowConfig, PipelineState …)."""
    return model(_PIPELINES, name)


@lru_cache(maxsize=None)  # models are there for life, and the launcher's forks inherit what it has looked up
def fields(model_class: Any) -> dict[str, Field]:
    """The fields of a model by the key that they have in JSON. Kept: never change what you get."""
    if hasattr(model_class, "model_fields"):
        found = (
            Field(info.alias or name, list(_classes_in(info.annotation)))
            for name, info in model_class.model_fields.items()
        )
    else:
        found = (
            Field(info.alias, list(_classes_in_v1(info))) for info in getattr(model_class, "__fields__", {}).values()
        )
    return {field.key: field for field in found}


def _classes_in(annotation: Any) -> Iterator[Any]:
    """Models and enumerations anywhere in a type."""
    if isinstance(annotation, type) and (hasattr(annotation, "model_fields") or issubclass(annotation, Enum)):
        yield annotation
        return
    for part in getattr(annotation, "__args__", ()):
        yield from _classes_in(part)


def _classes_in_v1(info: Any) -> Iterator[Any]:
    for part in info.sub_fields or ():
        yield from _classes_in_v1(part)
    kind = info.type_
    if not info.sub_fields and isinstance(kind, type) and (hasattr(kind, "__fields__") or issubclass(kind, Enum)):
        yield kind


def is_closed(model_class: Any) -> bool:
    """True when the model refuses keys that it does not know."""
    config = getattr(model_class, "model_config", None)
    extra = config.get("extra") if isinstance(config, dict) else getattr(model_class.__config__, "extra", None)
    return getattr(extra, "value", extra) == "forbid"


def is_wrapper(model_class: Any) -> bool:
    """True for a model that stands for a single value."""
    if hasattr(model_class, "model_fields"):
        return any(base.__name__ == "RootModel" for base in model_class.__mro__)
    return "__root__" in model_class.__fields__


def source_config_models(type_value: str | None) -> list[Any]:
    """The models of sourceConfig.config for this `type`; all of them when it is None."""
    holder = model(WORKFLOW_SCHEMA, "SourceConfig")
    if holder is None or "config" not in fields(holder):
        return []
    candidates = fields(holder)["config"].models
    return [one for one in candidates if type_value is None or type_value in _type_values(one)]


def _type_values(model_class: Any) -> set[str]:
    field = fields(model_class).get("type")
    return {str(member.value) for enumeration in (field.enumerations if field else ()) for member in enumeration}


def parse(model_class: Any, document: Any) -> Any:
    """Build a model from JSON data. Raises pydantic's ValidationError."""
    return (getattr(model_class, "model_validate", None) or model_class.parse_obj)(document)


def drop_unknown(document: Any, models: list[Any], path: str, dropped: list[str]) -> Any:
    """A copy of the JSON data without the keys that none of these models knows; `dropped` gets their paths.

    Where a model takes any key, or nothing is known about the value, everything is kept.
    """
    if isinstance(document, list):
        return [drop_unknown(item, models, path, dropped) for item in document]
    if not isinstance(document, dict) or not models or any(is_wrapper(one) or not is_closed(one) for one in models):
        return document
    known: dict[str, list[Any]] = {}
    for one in models:
        for key, field in fields(one).items():
            known.setdefault(key, []).extend(field.models)
    kept = {}
    for key, value in document.items():
        inner = "{}.{}".format(path, key) if path else str(key)
        if key in known:
            kept[key] = drop_unknown(value, known[key], inner, dropped)
        elif value is not None:  # a null says nothing that could be missed
            dropped.append(inner)
    return kept
