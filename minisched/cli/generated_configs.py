"""The directory in which OpenMetadata's Airflow plugin keeps what was deployed to it, one JSON file a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minisched.api.json_values import check_json
from minisched.domain.errors import InvalidInput
from minisched.domain.from_airflow import problem_with
from minisched.domain.pipeline import Document, clean_name

FIELD = "--configs"
SUFFIX = ".json"
_WHERE = "The plugin keeps them in AIRFLOW_HOME/dag_generated_configs, or where its setting dag_generated_configs says."


@dataclass(frozen=True, slots=True)
class GeneratedConfig:
    """One pipeline, with its secrets in clear: never print the document."""

    path: Path
    document: Document

    @property
    def dag_id(self) -> str:
        return clean_name(str(self.document["name"]))

    @property
    def fqn(self) -> str:
        return str(self.document.get("fullyQualifiedName") or self.document["name"])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that holds no pipeline that could be imported, and why."""

    path: Path
    problem: str


def read_directory(directory: Path) -> tuple[list[GeneratedConfig], list[Unreadable]]:
    """Every `*.json` in it, by name. Raises InvalidInput when it is no directory or has none."""
    if not directory.is_dir():
        raise InvalidInput(f"{directory} is not a directory.", field=FIELD, hint=_WHERE)
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise InvalidInput(f"cannot read {directory}: {error.strerror}.", field=FIELD) from error
    if not paths:
        raise InvalidInput(f"{directory} has no {SUFFIX} file.", field=FIELD, hint=_WHERE)
    read = [_read(path) for path in paths]
    configs = [found for found in read if isinstance(found, GeneratedConfig)]
    doubles = list(_doubles(configs))
    refused = {double.path for double in doubles}
    return (
        [config for config in configs if config.path not in refused],
        sorted((*(found for found in read if isinstance(found, Unreadable)), *doubles), key=lambda found: found.path),
    )


def _read(path: Path) -> GeneratedConfig | Unreadable:
    try:
        document = check_json(json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant))
    except OSError as error:
        return Unreadable(path, f"it cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        return Unreadable(path, "it is not UTF-8 text.")
    except json.JSONDecodeError as error:
        return Unreadable(path, f"it is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.")
    except (ValueError, RecursionError) as error:
        return Unreadable(path, f"it cannot be kept: it {error}.")
    problem = problem_with(document)
    return GeneratedConfig(path, document) if problem is None else Unreadable(path, problem)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"holds {word}, which is no number of JSON")


def _doubles(configs: list[GeneratedConfig]) -> Iterator[Unreadable]:
    """Files that stand for a pipeline or a workflow id which another file has; the one named after its id has it."""
    by_name, by_id = dict[str, Path](), dict[str, Path]()
    for config in sorted(configs, key=lambda config: (config.path.stem != config.dag_id, config.path)):
        pipeline_id = str(config.document.get("id") or config.path)
        if other := by_name.get(config.dag_id):
            yield Unreadable(config.path, f"its workflow id {config.dag_id!r} is that of {other.name}; rename one.")
        elif other := by_id.get(pipeline_id):
            yield Unreadable(config.path, f"its id is that of {other.name}: it is the same pipeline.")
        else:
            by_name[config.dag_id] = by_id[pipeline_id] = config.path
