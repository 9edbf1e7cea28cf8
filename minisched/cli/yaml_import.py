"""Declarations of pipelines made true on a server: all are judged before the first is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minisched.api.schemas import CreateIngestionPipeline, check
from minisched.cli.exit_codes import ServerRefused
from minisched.cli.orchestrator_answers import notes_of
from minisched.cli.pipeline_lookup import all_pipelines, service_reference
from minisched.cli.server import PIPELINES, Server
from minisched.cli.yaml_files import read_declaration
from minisched.domain import schedule as schedules
from minisched.domain.declaration import SAID_BY_SILENCE, brief, declare
from minisched.domain.errors import InvalidInput, NotFound
from minisched.domain.pipeline import Document
from minisched.domain.secret_references import resolve
from minisched.domain.secrets import mask

_KEPT = ("owners", "domains", "processingEngine")
CREATED, UPDATED, UNCHANGED, REFUSED, DELETED = "created", "updated", "unchanged", "refused", "deleted"


@dataclass(frozen=True, slots=True)
class Declared:
    """One file, ready to be sent: `request` is the create request, secrets in clear; `existing` what the server has."""

    path: Path
    request: Document
    enabled: bool
    existing: Document | None

    @property
    def name(self) -> str:
        known = self.existing and self.existing.get("fullyQualifiedName")
        return str(known or self.request["name"])

    @property
    def key(self) -> tuple[str, str]:
        return str(self.request["service"]["id"]), str(self.request["name"])

    def expected(self) -> str:
        """What a write would do, as far as masked secrets let tell: a secret that differs is not seen."""
        if self.existing is None:
            return CREATED
        if self.existing.get("deleted"):
            return UPDATED
        wanted = brief(mask({**self.request, "enabled": self.enabled}))
        stored = declare(self.existing)
        # The service is the key, the provider never changes; left out of a file, the others stay as they are.
        kept = {key: stored.get(key) for key in _KEPT if key not in wanted}
        fixed = {"service": None, "provider": None}
        same = _canonical({**wanted, **kept, **fixed}) == _canonical({**stored, **kept, **fixed})
        return UNCHANGED if same else UPDATED


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file cannot be imported."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the files say. `undeclared`: pipelines of the server that have no file; meaningless beside problems."""

    declared: Sequence[Declared]
    problems: Sequence[Problem]
    undeclared: Sequence[Document]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pipeline without a file, and why it could not be deleted."""

    entity: Document
    problem: str | None = None

    @property
    def name(self) -> str:
        return _fqn(self.entity)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one file; `notes` are what the orchestrator said of its deployment."""

    declared: Declared
    outcome: str
    deployed: bool = False
    notes: str | None = None
    problem: str | None = None


def judge(server: Server, paths: Sequence[Path], environ: Mapping[str, str]) -> Judgement:
    """Every file by itself, then all together. Writes nothing. Raises ServerUnreachable."""
    existing = {
        (str(entity["service"]["id"]), str(entity["name"])): entity
        for entity in all_pipelines(server, fields="owners,domains", include="all")
    }
    declared: list[Declared] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            declared.append(_declared(server, path, environ, existing))
        except (InvalidInput, NotFound) as error:
            problems.append(Problem(path, str(error)))
    keys = {one.key for one in declared}
    undeclared = sorted((entity for key, entity in existing.items() if key not in keys), key=_fqn)
    return Judgement(declared, [*problems, *_doubles(declared)], undeclared)


def _declared(
    server: Server, path: Path, environ: Mapping[str, str], existing: Mapping[tuple[str, str], Document]
) -> Declared:
    document, missing = resolve(read_declaration(path), environ)
    if missing:
        raise InvalidInput(
            "; ".join(f"{one.path}: the environment has no variable {one.name}" for one in missing) + "."
        )
    enabled = document.pop("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidInput("has to be true or false.", field="enabled")
    if "service" in document:
        document["service"] = service_reference(server, document["service"])
    said = {key: value for key, value in SAID_BY_SILENCE.items() if key != "enabled"} | document
    request = check(CreateIngestionPipeline, said).document()
    schedules.validate(request["airflowConfig"])
    return Declared(path, request, enabled, existing.get((request["service"]["id"], request["name"])))


def _doubles(declared: Sequence[Declared]) -> Iterator[Problem]:
    first: dict[tuple[str, str], Path] = {}
    for one in declared:
        if one.key in first:
            yield Problem(one.path, f"it declares the same pipeline as {first[one.key]}.")
        first.setdefault(one.key, one.path)


def write(server: Server, declared: Sequence[Declared], *, deploys: bool) -> Iterator[Written]:
    """One after the other; one that the server refuses stops nothing. Raises ServerUnreachable."""
    for one in declared:
        try:
            yield _write(server, one, deploys=deploys)
        except (ServerRefused, NotFound) as error:
            yield Written(one, REFUSED, problem=str(error))


def prune(server: Server, undeclared: Sequence[Document]) -> Iterator[Pruned]:
    """Delete them for good; one that cannot be stops nothing. Raises ServerUnreachable."""
    for entity in undeclared:
        try:
            server.delete(f"{PIPELINES}/{entity['id']}", {"hardDelete": "true"})
            yield Pruned(entity)
        except NotFound:
            yield Pruned(entity)  # somebody else was faster
        except ServerRefused as error:
            yield Pruned(entity, problem=str(error))


def _write(server: Server, one: Declared, *, deploys: bool) -> Written:
    entity = server.put(PIPELINES, one.request)
    if entity.get("enabled", True) is not one.enabled:
        entity = server.patch(f"{PIPELINES}/{entity['id']}", [{"op": "add", "path": "/enabled", "value": one.enabled}])
    outcome = _outcome(one.existing, entity)
    if not deploys or (outcome == UNCHANGED and entity.get("deployed")):
        return Written(one, outcome)
    try:
        answer = server.post(f"{PIPELINES}/deploy/{entity['id']}")
    except ServerRefused as error:
        return Written(one, outcome, problem=f"not deployed: {error}")
    return Written(one, outcome, deployed=True, notes=notes_of(answer))


def _outcome(existing: Document | None, entity: Document) -> str:
    if existing is None:
        return CREATED
    return UNCHANGED if entity["version"] == existing["version"] else UPDATED


def _fqn(entity: Document) -> str:
    return str(entity["fullyQualifiedName"])


def _canonical(document: Document) -> str:
    return json.dumps(document, sort_keys=True)
