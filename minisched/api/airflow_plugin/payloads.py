"""What is wrong with a document that is to be deployed or run: one line per problem, and no value in any of them.

Properties that we do not know are no problem: they come from a newer line of OpenMetadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from minisched.api.json_values import check_name
from minisched.domain.errors import InvalidInput, InvalidPipelineConfig
from minisched.domain.pipeline import PIPELINE_TYPES, Document

_LONGEST_NAME = 256

# By property: whether it must be there, and what it must be.
Rules = dict[str, tuple[bool, Callable[[Any], bool]]]


def check_pipeline(document: Document) -> None:
    """Raises InvalidPipelineConfig."""
    _refuse(_problems(document, _PIPELINE), InvalidPipelineConfig)
    _refuse(_problems_within(document), InvalidPipelineConfig)
    _check_loader(document)


def check_automation(document: Document) -> None:
    """Raises InvalidInput."""
    _refuse(_problems(document, _AUTOMATION), InvalidInput)
    _refuse(_problems_of_connection(document), InvalidInput)
    _check_loader(document)


def _refuse(problems: Iterator[str], error: type[InvalidInput]) -> None:
    if found := list(problems):
        raise error("\n".join(found))


def _problems(document: Document, rules: Rules) -> Iterator[str]:
    for name, (required, is_valid) in rules.items():
        value = document.get(name)
        if value is None and required:
            yield f"Missing parameter '{name}'"
        elif value is not None and not is_valid(value):
            yield f"Invalid parameter value for '{name}'"


def _problems_within(document: Document) -> Iterator[str]:
    if not isinstance(document["sourceConfig"].get("config"), dict):
        yield "Missing parameter 'config' in 'sourceConfig'"
    if document["pipelineType"] != "application" and not (document.get("service") or {}).get("name"):
        yield "Missing parameter 'name' in 'service'"
    yield from _problems_in(document, "airflowConfig", _AIRFLOW_CONFIG)
    yield from _problems_of_connection(document)


def _problems_of_connection(document: Document) -> Iterator[str]:
    if document.get("openMetadataServerConnection"):
        yield from _problems_in(document, "openMetadataServerConnection", _CONNECTION)


def _problems_in(document: Document, name: str, rules: Rules) -> Iterator[str]:
    return (f"{problem} in '{name}'" for problem in _problems(document[name], rules))


def _check_loader(document: Document) -> None:
    connection = document.get("openMetadataServerConnection") or {}
    if connection.get("secretsManagerLoader") == "airflow":
        raise InvalidPipelineConfig(
            "The secrets manager's credentials would come from Airflow, and there is no Airflow here.",
            field="openMetadataServerConnection.secretsManagerLoader",
            hint="Set PIPELINE_SERVICE_CLIENT_SECRETS_MANAGER_LOADER of the OpenMetadata server to env or noop.",
        )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_name(value: Any) -> bool:
    try:
        return isinstance(value, str) and 0 < len(check_name(value)) <= _LONGEST_NAME
    except ValueError:
        return False


def _is_count(value: Any) -> bool:
    """What a database's integer holds."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_http_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


_PIPELINE: Rules = {
    "id": (True, _is_uuid),
    "name": (True, _is_name),
    "fullyQualifiedName": (False, lambda value: isinstance(value, str)),
    "pipelineType": (True, lambda value: value in PIPELINE_TYPES),
    "sourceConfig": (True, _is_object),
    "airflowConfig": (True, _is_object),
    "openMetadataServerConnection": (False, _is_object),
    "service": (False, _is_object),
    "enabled": (False, lambda value: isinstance(value, bool)),
    "loggerLevel": (False, lambda value: isinstance(value, str)),
}
# What we read of it ourselves; the schedule is judged where schedules are.
_AIRFLOW_CONFIG: Rules = {
    "maxActiveRuns": (False, _is_count),
    "workflowTimeout": (False, _is_count),
}
_CONNECTION: Rules = {
    "hostPort": (True, _is_http_url),
    "securityConfig": (False, _is_object),
    "sslConfig": (False, _is_object),
}
_AUTOMATION: Rules = {
    "id": (False, _is_uuid),
    "name": (True, _is_name),
    "workflowType": (True, lambda value: isinstance(value, str)),
    "request": (True, _is_object),
    "openMetadataServerConnection": (False, _is_object),
}
