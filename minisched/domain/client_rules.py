"""Rules by which an orchestrator is chosen for a pipeline: the first that fits decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from minisched.domain.automation import service_type_of
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document

ClientName = Literal["local", "airflow", "noop"]
CLIENTS: tuple[ClientName, ...] = get_args(ClientName)

# What a pattern is held against; where people write types in their own way, their case is nothing to go by.
_PARTS = ("pipelineType", "serviceType", "service", "pipeline", "domain")
_CASELESS = frozenset({"pipelineType", "serviceType"})


@dataclass(frozen=True, slots=True)
class ClientRule:
    """What has to fit for `client` to be taken: every one of `patterns`, which know `*`, `?` and `[…]`, by part.

    `pipelineType` and `serviceType` (databaseService) are held against the types, `service` and `pipeline` against name
    and FQN, `domain` against the FQN of each of the pipeline's domains: the label that OpenMetadata's pipelines carry,
    for tags they have none.
    """

    client: ClientName
    patterns: Mapping[str, str]


def rule_of(parts: Mapping[str, str]) -> ClientRule:
    """From the words of the settings. Raises InvalidInput."""
    if unknown := sorted(parts.keys() - {"client", *_PARTS}):
        raise InvalidInput(f"{unknown[0]!r} is no part of a rule; there are client, {', '.join(_PARTS)}")
    for client in CLIENTS:
        if parts.get("client") == client:
            return ClientRule(client, {part: parts[part] for part in _PARTS if part in parts})
    raise InvalidInput(f"a rule needs a client, which is one of {', '.join(CLIENTS)}")


def first_fitting(rules: tuple[ClientRule, ...], pipeline: Document) -> ClientName | None:
    """The client of the first rule that fits an IngestionPipeline; None when no rule does."""
    return next((rule.client for rule in rules if _fits(rule, pipeline)), None)


def automation_subject(workflow: Document) -> Document:
    """An automation as if it were a pipeline of the service that it is about, without a type or domains."""
    request = workflow.get("request")
    service_name = request.get("serviceName") if isinstance(request, dict) else None
    return {"name": workflow.get("name"), "service": {"type": service_type_of(workflow), "name": service_name}}


def _fits(rule: ClientRule, pipeline: Document) -> bool:
    return all(_matches(part, pattern, pipeline) for part, pattern in rule.patterns.items())


def _matches(part: str, pattern: str, pipeline: Document) -> bool:
    if part in _CASELESS:
        return any(fnmatchcase(value.lower(), pattern.lower()) for value in _values(part, pipeline))
    return any(fnmatchcase(value, pattern) for value in _values(part, pipeline))


def _values(part: str, pipeline: Document) -> Iterator[str]:
    service = _object(pipeline.get("service"))
    match part:
        case "pipelineType":
            found = [pipeline.get("pipelineType")]
        case "serviceType":
            found = [service.get("type")]
        case "service":
            found = [service.get("name"), service.get("fullyQualifiedName")]
        case "domain":
            found = [_object(domain).get("fullyQualifiedName") for domain in pipeline.get("domains") or []]
        case _:
            found = [pipeline.get("name"), pipeline.get("fullyQualifiedName")]
    return (value for value in found if isinstance(value, str) and value)


def _object(node: object) -> Document:
    """What callers of the plugin's dialect send may be anything."""
    return node if isinstance(node, dict) else {}
