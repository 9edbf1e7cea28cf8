"""Workflow files of OpenMetadata's connector docs, and documents of pipelines: YAML or JSON from a file or stdin.

A value that is exactly `$NAME` or `${NAME}` is replaced when the environment has that variable. Without it `${NAME}` is
an error, and `$NAME` stays what it is, as does a dollar sign anywhere else: a password may look like that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from minisched.domain.errors import InvalidInput

STDIN = "-"
_VARIABLE = re.compile(r"^\$(?:(\w+)|\{(\w+)\})$", re.ASCII)

_KIND_OF_SOURCE_CONFIG = {
    "DatabaseUsage": "usage",
    "DatabaseLineage": "lineage",
    "Profiler": "profiler",
    "AutoClassification": "autoClassification",
    "TestSuite": "TestSuite",
    "DBT": "dbt",
    "MetadataToElasticSearch": "elasticSearchReindex",
    "Application": "application",
    "dataInsight": "dataInsight",
}
_KIND_OF_PROCESSOR = {
    "orm-profiler": "profiler",
    "orm-test-runner": "TestSuite",
    "tag-pii-processor": "autoClassification",
    "query-parser": "usage",
    "data-insight-processor": "dataInsight",
}
_KIND_OF_SOURCE_SUFFIX = {"-usage": "usage", "-lineage": "lineage"}


def read_text(name: str) -> str:
    """The file, or stdin for `-`. Raises InvalidInput when it cannot be read as UTF-8 text."""
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"cannot read {name}: {reason}.") from error


def read_mapping(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """As `parse_mapping`, variables expanded. Raises InvalidInput for one that is not there, too."""
    document: dict[str, Any] = expand(parse_mapping(name), environ)
    return document


def parse_mapping(name: str) -> dict[str, Any]:
    """The one YAML or JSON mapping in the file, as written. Raises InvalidInput with line and column."""
    text = read_text(name)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{_place(name, error)}: {_problem(error)}.") from error
    if not isinstance(document, dict):
        found = "nothing" if document is None else f"a {type(document).__name__}"
        raise InvalidInput(f"{name}: expected a mapping of names to values, found {found}.")
    return document


def _place(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name


def _problem(error: yaml.YAMLError) -> str:
    """The problem without the lines of the file: they may hold a password."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
    context = getattr(error, "context", None)
    return f"{problem} {context}" if context else str(problem)


def expand(node: Any, environ: Mapping[str, str], path: str = "") -> Any:
    """A copy of the document with the variables put in. Raises InvalidInput with the path of one that is not there."""
    if isinstance(node, dict):
        return {key: expand(value, environ, f"{path}.{key}" if path else str(key)) for key, value in node.items()}
    if isinstance(node, list):
        return [expand(item, environ, f"{path}.{n}") for n, item in enumerate(node)]
    if isinstance(node, str) and (match := _VARIABLE.match(node)):
        bare, braced = match.groups()
        if braced and braced not in environ:
            raise InvalidInput(f"the environment has no variable {braced}.", field=path, hint="Set it, and try again.")
        return environ.get(bare or braced, node)
    return node


def read_workflow(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """A workflow config, checked as far as it is the same for every connector; the rest is the workflow's to judge."""
    config = read_mapping(name, environ)
    if "pipelineType" in config:
        raise InvalidInput(
            f"{name} describes a pipeline, not a workflow.", hint=f"Use `minisched pipeline create {name}`."
        )
    if not isinstance(config.get("workflowConfig"), dict):
        raise InvalidInput(
            f"{name} has no such section.",
            field="workflowConfig",
            hint="The connector docs show workflow files: `source` (or `sourcePythonClass`) and `workflowConfig`.",
        )
    if not _is_application(config):
        _check_source(name, config.get("source"))
    return config


def _check_source(name: str, source: object) -> None:
    if not isinstance(source, dict):
        raise InvalidInput(f"{name} has no such section.", field="source")
    if not isinstance(source.get("type"), str):
        raise InvalidInput(f"{name} does not say which connector to use.", field="source.type")


def _is_application(config: Mapping[str, Any]) -> bool:
    return "sourcePythonClass" in config or ("appConfig" in config and "source" not in config)


def kind_of(config: Mapping[str, Any]) -> str:
    """The pipelineType that runs this workflow config (contract §5.2), told by its own markers; metadata by default."""
    if _is_application(config):
        return "application"
    source = _mapping(config.get("source"))
    source_config = _mapping(_mapping(source.get("sourceConfig")).get("config"))
    by_config = _KIND_OF_SOURCE_CONFIG.get(str(source_config.get("type")))
    by_processor = _KIND_OF_PROCESSOR.get(str(_mapping(config.get("processor")).get("type")))
    return by_config or by_processor or _kind_of_source_type(str(source.get("type"))) or "metadata"


def _kind_of_source_type(source_type: str) -> str | None:
    if source_type.lower() == "dbt":
        return "dbt"
    return next((kind for suffix, kind in _KIND_OF_SOURCE_SUFFIX.items() if source_type.endswith(suffix)), None)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
