"""Which runtime runs what: as the caller chose, else by the rules of the settings, else the default."""

from __future__ import annotations

from collections.abc import Callable

from minisched.clients.server_versions import ServerVersions
from minisched.domain.automation import service_type_of
from minisched.domain.pipeline import Deployment, Document
from minisched.domain.runtime_rules import Subject, Undecided, first_fitting, rule_of
from minisched.runtimes import RuntimeCatalog
from minisched.runtimes.catalog import AUTO, DEFAULT_NAME
from minisched.settings import Settings


class RuntimeChoice:
    """Implements `ports.RuntimeChooser`."""

    def __init__(self, settings: Settings, versions: ServerVersions) -> None:
        runtime = settings.runtime
        self.default = runtime.default
        self._rules = tuple(rule_of(parts) for parts in runtime.rules)
        self._versions = versions
        self._catalog = RuntimeCatalog(
            settings.runtimes_directory, default=runtime.default, python_path=runtime.python_path
        )

    @property
    def depends_on_servers(self) -> bool:
        """Whether the version of an OpenMetadata server can make a difference."""
        return any(rule.server is not None for rule in self._rules)

    def of(self, deployment: Deployment) -> str:
        document = deployment.document
        return self._own(deployment) or self._by_rule(_subject(deployment), lambda: self._versions.asked(document))

    def known(self, deployment: Deployment) -> str | None:
        def version() -> str:
            found = self._versions.known(deployment.document)
            if found is None:
                raise Undecided
            return found

        try:
            return self._own(deployment) or self._by_rule(_subject(deployment), version)
        except Undecided:
            return None

    def of_automation(self, workflow: Document) -> str:
        return self._by_rule(_subject_of_automation(workflow), lambda: self._versions.asked(workflow))

    def version(self, runtime: str) -> str | None:
        return self._catalog.resolve(runtime).version

    def named(self, runtime: str | None) -> str | None:
        """The name under which this runtime is served, so that one environment has one launcher."""
        return AUTO if self.default == AUTO and runtime == DEFAULT_NAME else runtime

    def _own(self, deployment: Deployment) -> str | None:
        return self.named(deployment.runtime)

    def _by_rule(self, subject: Subject, server_version: Callable[[], str | None]) -> str:
        return self.named(first_fitting(self._rules, subject, server_version)) or self.default


def _subject(deployment: Deployment) -> Subject:
    return Subject((deployment.name, deployment.fqn), deployment.service_type)


def _subject_of_automation(workflow: Document) -> Subject:
    return Subject((str(workflow.get("name") or ""),), service_type_of(workflow))
