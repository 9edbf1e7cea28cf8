"""From a YAML file and the environment to Settings, remembering where each value came from.

The environment wins over the file. What does not fit is refused with its place and a hint, never with its value.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from minisched.domain.errors import ConfigurationError
from minisched.settings.model import Settings
from minisched.settings.tree import ENV_NESTING, ENV_PREFIX, Leaf, leaves
from minisched.settings.values import default_data_dir
from minisched.settings.yaml_file import ParsedFile, parse_yaml

CONFIG_VARIABLE = "MINISCHED_CONFIG"
CONFIG_NAME = "config.yaml"
_SURELY_MEANT = 0.8
_SERVICE_LINK = re.compile(r"(.*_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)")


@dataclass
class _Gathered:
    """Values as a nested dict, and for each dotted name where it was found."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, path: tuple[str, ...], value: Any, origin: str) -> None:
        section = self.values
        for part in path[:-1]:
            nested = section.get(part)
            section[part] = section = nested if isinstance(nested, dict) else {}
        section[path[-1]] = value
        self.origins[".".join(path)] = origin

    def origin_of(self, path: tuple[str, ...]) -> str:
        """Where the value was found, or what it is part of, or its parts."""
        name = ".".join(path)
        around = (self.origins.get(".".join(path[:length])) for length in range(len(path), 0, -1))
        if found := next(filter(None, around), None):
            return found
        return ", ".join(dict.fromkeys(v for k, v in self.origins.items() if k.startswith(f"{name}.")))


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the file and the environment.

    The file is `path`, else that of MINISCHED_CONFIG, else `config.yaml` of the data directory if there is one.
    Raises ConfigurationError, with one line for each thing that is wrong.
    """
    gathered = _Gathered()
    if (file := settings_file(path, environ)) is not None:
        _take_file(parse_yaml(file), gathered)
    _take_environment(environ, gathered)
    gathered.values.setdefault("data_dir", default_data_dir(environ))
    return _validated(gathered)


def settings_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Which file is read. Raises ConfigurationError when one that was asked for does not exist."""
    if path is not None:
        return _existing(path, "--config")
    if named := environ.get(CONFIG_VARIABLE):
        return _existing(Path(named), CONFIG_VARIABLE)
    data_dir = environ.get(ENV_PREFIX + "DATA_DIR")
    usual = (Path(data_dir).expanduser() if data_dir else default_data_dir(environ)) / CONFIG_NAME
    return usual if usual.is_file() else None


def _existing(path: Path, asked_by: str) -> Path:
    path = path.expanduser()
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise ConfigurationError(
            f"The settings file {path} of {asked_by} {what}.",
            hint="Make one with: minisched config example > config.yaml",
        )
    return path


def _take_file(file: ParsedFile, gathered: _Gathered) -> None:
    known = {leaf.path: leaf for leaf in leaves()}
    for path, value in file.entries(sections={path[:1] for path in known if len(path) > 1}):
        leaf = known.get(path)
        placed = _beside_file(value, file.path.parent) if leaf and leaf.holds_paths else value
        gathered.put(path, placed, f"{file.path}:{file.line_of(path)}")


def _beside_file(value: Any, directory: Path) -> Any:
    """Relative paths in a file mean: from where the file is."""
    if isinstance(value, str):
        return ",".join(str(directory / Path(part.strip()).expanduser()) for part in value.split(",")) if value else ""
    return [_beside_file(item, directory) for item in value] if isinstance(value, list) else value


def _take_environment(environ: Mapping[str, str], gathered: _Gathered) -> None:
    """Take variables that name a setting; an empty one counts as not set, so that a container can pass it through."""
    known = {leaf.env_name: leaf for leaf in leaves()}
    for name in sorted(name for name in environ if name.startswith(ENV_PREFIX)):
        if not environ[name]:
            continue
        if leaf := known.get(name):
            _take_variable(leaf, name, environ[name], gathered)
        elif (entry := _map_entry(name, known)) is not None:
            gathered.put(entry, environ[name], f"env {name}")
        else:
            _refuse_variable(name, environ[name], known, gathered)


def _take_variable(leaf: Leaf, name: str, text: str, gathered: _Gathered) -> None:
    if not leaf.is_map:
        gathered.put(leaf.path, text, f"env {name}")
        return
    try:
        gathered.put(leaf.path, json.loads(text), f"env {name}")
    except ValueError:
        gathered.problems.append(f"{leaf.name} (env {name}): should be a JSON object of names and texts.")


def _map_entry(name: str, known: Mapping[str, Leaf]) -> tuple[str, ...] | None:
    """One entry of a map: MINISCHED_RUNTIME__ENVIRONMENT__HTTP_PROXY; its key keeps its case."""
    for leaf in known.values():
        start = leaf.env_name + ENV_NESTING
        if leaf.is_map and name.startswith(start) and len(name) > len(start):
            return (*leaf.path, name[len(start) :])
    return None


def _refuse_variable(name: str, text: str, known: Mapping[str, Leaf], gathered: _Gathered) -> None:
    """A variable with our prefix that names no setting is refused only when a setting must have been meant.

    Others are left alone: Kubernetes invents MINISCHED_PORT and MINISCHED_SERVICE_HOST for a service of our name.
    """
    rest = name.removeprefix(ENV_PREFIX)
    if _SERVICE_LINK.fullmatch(rest) or text.startswith(("tcp://", "udp://")):
        return
    targets = {leaf_name.removeprefix(ENV_PREFIX): leaf_name for leaf_name in known}
    close = difflib.get_close_matches(rest.upper(), targets, n=1, cutoff=_SURELY_MEANT)
    if ENV_NESTING in rest or close or rest.lower() in Settings.model_fields:
        nearest = close or difflib.get_close_matches(rest.upper(), targets, n=1)
        meant = f" Did you mean {targets[nearest[0]]}?" if nearest else " See: minisched config show"
        gathered.problems.append(f"env {name}: there is no such setting.{meant}")


def _validated(gathered: _Gathered) -> Settings:
    try:
        settings = Settings.model_validate(gathered.values)
    except ValidationError as error:
        gathered.problems += [_sentence(problem, gathered) for problem in error.errors(include_input=False)]
        raise ConfigurationError("\n".join(gathered.problems)) from None
    if gathered.problems:
        raise ConfigurationError("\n".join(gathered.problems))
    return settings.with_origins(gathered.origins)


def _sentence(problem: Any, gathered: _Gathered) -> str:
    path = tuple(str(part) for part in problem["loc"] if part != "[key]")
    where = f" ({origin})" if (origin := gathered.origin_of(path)) else ""
    text = f"{'.'.join(path)}{where}: " if path else ""
    if problem["type"] == "extra_forbidden":
        return f"{text}there is no such setting.{_did_you_mean(path)}"
    if problem["type"] == "model_type":
        return f"{text}should hold settings, as names and values."
    return f"{text}{problem['msg'].removeprefix('Value error, ').removeprefix('Input ')}."


def _did_you_mean(path: tuple[str, ...]) -> str:
    names = [leaf.name for leaf in leaves()] + sorted({leaf.path[0] for leaf in leaves()})
    close = difflib.get_close_matches(".".join(path), names, n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else " See: minisched config example"
