"""The leaves of the settings tree: their dotted names, types and descriptions."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from minisched.domain.secrets import MASK, map_secrets
from minisched.settings.model import Settings

ENV_PREFIX = "MINISCHED_"
ENV_NESTING = "__"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: `path` as in YAML, `field` as declared."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def name(self) -> str:
        """As in YAML and in messages: `server.port`."""
        return ".".join(self.path)

    @property
    def env_name(self) -> str:
        """As in the environment: `MINISCHED_SERVER__PORT`."""
        return ENV_PREFIX + ENV_NESTING.join(self.path).upper()

    @property
    def is_secret(self) -> bool:
        return _mentions(self.field.annotation, SecretStr)

    @property
    def is_map(self) -> bool:
        return _mentions(self.field.annotation, dict)

    @property
    def holds_paths(self) -> bool:
        return _mentions(self.field.annotation, Path)

    @property
    def default(self) -> Any:
        """A JSON-like value; null where the default is nothing or is found out."""
        extra = self.field.json_schema_extra
        if isinstance(extra, dict) and "shown_default" in extra:
            return extra["shown_default"]
        default = self.field.get_default(call_default_factory=True, validated_data={})
        return list(default) if isinstance(default, tuple) else default


def leaves(model: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every setting in the order of declaration."""
    for name, field in model.model_fields.items():
        if section := section_of(field):
            yield from leaves(section, (*prefix, name))
        else:
            yield Leaf((*prefix, name), field)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section's model, when the field is a section and not a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A setting in effect: `value` is JSON-like and masked, `source` is default, FILE:LINE or env NAME."""

    name: str
    value: Any
    source: str


def setting_values(settings: Settings) -> list[SettingValue]:
    """Every setting with its value in effect and where that came from; secrets are masked."""
    return [
        SettingValue(leaf.name, _shown(leaf, _value_at(settings, leaf.path)), settings.origin(leaf.name))
        for leaf in leaves()
    ]


# What is made when it is missing.
_MADE_BY_US = frozenset({"data_dir", "secrets.key_file", "runtime.directory"})


def missing_files(settings: Settings) -> list[str]:
    """A sentence for each file or directory that a setting names, and that is not there or cannot be read."""
    problems = []
    for leaf in leaves():
        if not leaf.holds_paths or leaf.name in _MADE_BY_US:
            continue
        value = _value_at(settings, leaf.path)
        for path in value if isinstance(value, tuple) else [value] if value else []:
            if not os.access(path, os.R_OK):
                what = "cannot be read" if path.exists() else "does not exist"
                problems.append(f"{leaf.name} ({settings.origin(leaf.name)}): {path} {what}.")
    return problems


def _value_at(settings: Settings, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for part in path:
        value = getattr(value, part)
    return value


def _shown(leaf: Leaf, value: Any) -> Any:
    if leaf.is_secret:
        return None if value is None else MASK
    return _json_like(value)


def _json_like(value: Any) -> Any:
    if isinstance(value, Mapping):
        return map_secrets({key: _json_like(item) for key, item in value.items()}, lambda _: MASK)
    if isinstance(value, tuple):
        return [_json_like(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _mentions(annotation: Any, wanted: type) -> bool:
    if get_origin(annotation) is Annotated:
        return _mentions(get_args(annotation)[0], wanted)
    if get_origin(annotation) in (Union, types.UnionType, tuple, dict):
        return get_origin(annotation) is wanted or any(_mentions(part, wanted) for part in get_args(annotation))
    return annotation is wanted
