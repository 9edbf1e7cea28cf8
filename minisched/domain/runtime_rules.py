"""Rules by which a runtime is chosen: the first that fits decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from minisched.domain.errors import InvalidInput
from minisched.domain.versions import Line, is_version, line_of

_LINE = re.compile(r"(\d+)\.(\d+)(\.\d+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RuntimeRule:
    """What has to fit for `runtime` to be taken; None fits everything.

    `server` is the line of the OpenMetadata server, `service_type` a pattern of the type of the pipeline's service
    (databaseService), `pipeline` one of its name or FQN; patterns know `*`, `?` and `[…]`.
    """

    runtime: str
    server: Line | None = None
    service_type: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a runtime is wanted for: the names that it goes by, and the type of its service."""

    names: tuple[str, ...]
    service_type: str


class Undecided(Exception):
    """It depends on the version of the server, which is not known."""


def rule_of(parts: dict[str, str]) -> RuntimeRule:
    """From the words of the settings: runtime, server, serviceType, pipeline. Raises InvalidInput."""
    if unknown := sorted(parts.keys() - {"runtime", "server", "serviceType", "pipeline"}):
        raise InvalidInput(f"{unknown[0]!r} is no part of a rule; there are runtime, server, serviceType, pipeline")
    if not parts.get("runtime"):
        raise InvalidInput("a rule needs a runtime")
    return RuntimeRule(
        runtime=parts["runtime"],
        server=_line(parts["server"]) if "server" in parts else None,
        service_type=parts.get("serviceType"),
        pipeline=parts.get("pipeline"),
    )


def first_fitting(
    rules: tuple[RuntimeRule, ...], subject: Subject, server_version: Callable[[], str | None]
) -> str | None:
    """The runtime of the first rule that fits; the version is asked for only when a rule depends on it.

    None when no rule fits; where `server_version` knows nothing, rules about servers do not.
    """
    for rule in rules:
        if _fits(rule, subject) and (rule.server is None or _is_of(rule.server, server_version())):
            return rule.runtime
    return None


def _fits(rule: RuntimeRule, subject: Subject) -> bool:
    if rule.service_type is not None and not fnmatchcase(subject.service_type.lower(), rule.service_type.lower()):
        return False
    return rule.pipeline is None or any(fnmatchcase(name, rule.pipeline) for name in subject.names)


def _is_of(line: Line, version: str | None) -> bool:
    return version is not None and is_version(version) and line_of(version) == line


def _line(text: str) -> Line:
    found = _LINE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"the server of a rule is a line such as 1.5, not {text!r}")
    return int(found[1]), int(found[2])
