"""A pipeline as a file under version control says it: what a create request says, without what goes without saying.

The keys have one order and defaults are left out, so that two states of a pipeline differ in the lines that matter.
Beyond a create request it may say `enabled: false`, and it names the service by its fully qualified name.
"""

from __future__ import annotations

from typing import Any

from minisched.domain.entity import AIRFLOW_CONFIG_DEFAULTS
from minisched.domain.pipeline import Document
from minisched.domain.source_config import with_defaults

# What a file that does not say it means; a create-or-update would leave these as they are.
SAID_BY_SILENCE: Document = {
    "loggerLevel": "INFO",
    "raiseOnError": True,
    "enableStreamableLogs": False,
    "enabled": True,
    "provider": "user",
}
_ORDER = (
    "name",
    "displayName",
    "description",
    "service",
    "pipelineType",
    "enabled",
    "owners",
    "domains",
    "provider",
    "loggerLevel",
    "raiseOnError",
    "enableStreamableLogs",
    "processingEngine",
    "airflowConfig",
    "sourceConfig",
)
_REFERENCE = ("id", "type", "name")


def declare(entity: Document) -> Document:
    """The declaration of an entity of the front API; its secrets stay as they are, masked or not."""
    said = {key: entity[key] for key in _ORDER if entity.get(key) not in (None, "", [])}
    said["service"] = _service(entity["service"])
    said["owners"] = [_reference(owner) for owner in said.get("owners") or [] if not owner.get("inherited")]
    said["domains"] = [_domain(domain) for domain in said.get("domains") or [] if not _is_inherited(domain)]
    if "processingEngine" in said:
        said["processingEngine"] = _reference(said["processingEngine"])
    return brief(said)


def brief(said: Document) -> Document:
    """A declaration in its normal form: the one order of keys, and nothing that goes without saying."""
    service_type = str(said["service"].get("type")) if isinstance(said.get("service"), dict) else ""
    short = dict(said)
    short["airflowConfig"] = _without(said.get("airflowConfig"), AIRFLOW_CONFIG_DEFAULTS)
    short["sourceConfig"] = {"config": _short_source((said.get("sourceConfig") or {}).get("config"), service_type)}
    return {
        key: short[key]
        for key in _ORDER
        if key in short and short[key] not in (None, "", []) and not _goes_without_saying(key, short[key])
    }


def _goes_without_saying(key: str, value: Any) -> bool:
    return key in SAID_BY_SILENCE and value == SAID_BY_SILENCE[key]


def _short_source(config: Any, service_type: str) -> Document:
    if not isinstance(config, dict):
        return {}
    kind = config.get("type")
    defaults = with_defaults({"config": {"type": kind}}, service_type)["config"]
    short = _without(config, {key: value for key, value in defaults.items() if key != "type"})
    return {"type": kind, **{key: value for key, value in short.items() if key != "type"}} if kind else short


def _without(document: Any, defaults: Document) -> Document:
    """Sorted by key, without nulls and defaults."""
    if not isinstance(document, dict):
        return {}
    return {
        str(key): _sorted(document[key])
        for key in sorted(document, key=str)
        if document[key] is not None and not (key in defaults and document[key] == defaults[key])
    }


def _sorted(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _sorted(node[key]) for key in sorted(node, key=str)}
    return [_sorted(item) for item in node] if isinstance(node, list) else node


def _service(reference: Document) -> Document:
    name = reference.get("fullyQualifiedName") or reference.get("name")
    named = {"fullyQualifiedName": name} if name else {"id": reference.get("id")}
    return {"type": reference.get("type"), **named}


def _reference(reference: Document) -> Document:
    return {key: reference[key] for key in _REFERENCE if reference.get(key) is not None}


def _is_inherited(domain: Any) -> bool:
    return isinstance(domain, dict) and bool(domain.get("inherited"))


def _domain(domain: Any) -> str:
    """By its fully qualified name, as a create request wants it."""
    return str(domain.get("fullyQualifiedName") or domain.get("name")) if isinstance(domain, dict) else str(domain)
