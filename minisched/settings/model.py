"""Every setting, with its unit in its name, its default, and the text that documentation is made from.

Frozen: built once by the command line, taken apart by the composition root; other modules receive plain values.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from minisched.domain import client_rules
from minisched.domain.client_rules import ClientName
from minisched.domain.errors import InvalidInput
from minisched.domain.secrets import secret_values
from minisched.settings.execution import ExecutorSettings, LauncherSettings, RuntimeSettings, SchedulerSettings
from minisched.settings.neighbours import (
    AirflowPluginSettings,
    AirflowSettings,
    OpenMetadataSettings,
    OutboxSettings,
    SandboxSettings,
)
from minisched.settings.server import AuthSettings, DatabaseSettings, SecretsSettings, ServerSettings
from minisched.settings.values import LocalPath, Section, default_data_dir, lower


def _client_rule(value: dict[str, str]) -> dict[str, str]:
    try:
        client_rules.rule_of(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    return value


class LoggingSettings(Section):
    """What minisched writes to stderr."""

    format: Annotated[Literal["auto", "json", "console"], BeforeValidator(lower)] = Field(
        default="auto", description="json, console, or auto: console on a terminal and json elsewhere."
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = Field(
        default="info", description="Least level that is written: debug, info, warning or error."
    )


class Settings(Section):
    """All settings of a minisched process."""

    data_dir: LocalPath = Field(
        default_factory=default_data_dir,
        description="Directory of the database, run logs, runtimes and keys; made with mode 0700.",
        json_schema_extra={"shown_default": "~/.local/share/minisched"},
    )
    server: ServerSettings = Field(default_factory=ServerSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    admin_password: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="Password of the user admin, which the first start makes; null: a random one, kept in data_dir.",
    )
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    secrets: SecretsSettings = Field(default_factory=SecretsSettings)
    client: ClientName = Field(
        default="local",
        description=(
            "Orchestrator that runs pipelines, where client_rules say nothing else: local (this machine), airflow (see "
            "there) or noop (none)."
        ),
    )
    client_rules: tuple[Annotated[dict[str, str], AfterValidator(_client_rule)], ...] = Field(
        default=(),
        description=(
            "Which orchestrator gets what, when it is first deployed: a list of which the first that fits decides. "
            "Each has a client and any of pipelineType, serviceType, service, pipeline and domain (patterns such as "
            "mysql_*)."
        ),
    )
    airflow: AirflowSettings = Field(default_factory=AirflowSettings)
    executor: ExecutorSettings = Field(default_factory=ExecutorSettings)
    launcher: LauncherSettings = Field(default_factory=LauncherSettings)
    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings)
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
    openmetadata: OpenMetadataSettings = Field(default_factory=OpenMetadataSettings)
    airflow_plugin: AirflowPluginSettings = Field(default_factory=AirflowPluginSettings)
    outbox: OutboxSettings = Field(default_factory=OutboxSettings)
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings)
    host_ip: str | None = Field(
        default=None,
        description="Address from which workflows reach the sources, as shown to users; null: found out.",
    )
    logging: LoggingSettings = Field(default_factory=LoggingSettings)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where the setting of this dotted name was found: default, FILE:LINE or env NAME; several for a map."""
        parts = name.split(".")
        around = (self._origins.get(".".join(parts[:length])) for length in range(len(parts), 0, -1))
        inside = (origin for entry, origin in self._origins.items() if entry.startswith(f"{name}."))
        return ", ".join(dict.fromkeys([*filter(None, around), *inside])) or "default"

    def with_origins(self, origins: Mapping[str, str]) -> Self:
        """The same settings, which know where they were found."""
        copy = self.model_copy()
        copy._origins = dict(origins)  # noqa: SLF001 - a Settings of ours
        return copy

    @field_validator("host_ip")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ValueError("should be an IPv4 or IPv6 address") from None
        return value

    @model_validator(mode="after")
    def _airflow_is_named(self) -> Self:
        if self.airflow.usable:
            return self
        if self.client == "airflow":
            raise ValueError("client: airflow needs airflow.url and airflow.password")
        for number, parts in enumerate(self.client_rules):
            if parts["client"] == "airflow":
                raise ValueError(f"client_rules.{number}: client: airflow needs airflow.url and airflow.password")
        return self

    @property
    def database_url(self) -> SecretStr:
        """The URL of the settings, else that of the SQLite file in the data directory."""
        return self.database.url or SecretStr(f"sqlite:///{self.data_dir / 'minisched.db'}")

    @property
    def secret_key_file(self) -> Path:
        return self.secrets.key_file or self.data_dir / "secret.key"

    @property
    def runtimes_directory(self) -> Path:
        return self.runtime.directory or self.data_dir / "runtimes"

    def secret_values(self) -> list[str]:
        """Every secret of the settings in clear, for those who keep secrets out of logs."""
        given = (
            self.database.url,
            self.secrets.key,
            self.openmetadata.jwt_token,
            self.airflow_plugin.password,
            self.airflow.password,
            self.admin_password,
        )
        values = [secret.get_secret_value() for secret in given if secret]
        if self.secrets.key:
            values += self.secrets.key.get_secret_value().split(",")
        if self.database.url and (password := urlsplit(self.database.url.get_secret_value()).password):
            values += [password, unquote(password)]
        return [*values, *secret_values(self.runtime.environment)]

    def warnings(self) -> list[str]:
        """What is allowed but probably not meant, as sentences for people."""
        found = []
        if not self.sandbox.enabled and self.openmetadata.host_port is None:
            found.append(
                "sandbox.enabled is false and openmetadata.host_port is not set: "
                "only pipelines whose document names an OpenMetadata server can run."
            )
        if self.openmetadata.host_port and self.openmetadata.jwt_token is None:
            found.append("openmetadata.host_port is set without openmetadata.jwt_token: the server will refuse.")
        if self.executor.drain == "wait" and self.executor.drain_wait_s == 0:
            found.append("executor.drain is wait and executor.drain_wait_s is 0: that is the same as leave.")
        return found
