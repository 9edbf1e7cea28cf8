"""Every setting, with its unit in its name, its default, and the text that documentation is made from.

Frozen: built once by the command line, taken apart by the composition root; other modules receive plain values.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from minisched.domain import client_rules
from minisched.domain.client_rules import ClientName
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import PIPELINE_TYPES
from minisched.domain.runtime_rules import rule_of
from minisched.domain.secrets import secret_values

_DATABASE_URL = re.compile(r"(sqlite|postgresql|mysql|mariadb)(\+\w+)?://")
_CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_DATA_HOME/minisched`, or `~/.local/share/minisched`."""
    environ = os.environ if environ is None else environ
    root = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return absolute(Path(root) / "minisched")


def absolute(path: Path) -> Path:
    """With `~` replaced, and relative to the working directory of this moment."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _split(value: object) -> object:
    """Lists may be written with commas, so that an environment variable can hold one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be a URL such as http://openmetadata:8585")
    if parts.username or parts.password:
        raise ValueError("should hold no user and no password")
    return value.rstrip("/")


def _client_rule(value: dict[str, str]) -> dict[str, str]:
    try:
        client_rules.rule_of(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    return value


_Path = Annotated[Path, AfterValidator(absolute)]
_HttpUrl = Annotated[str, AfterValidator(_http_url)]
_Paths = Annotated[tuple[_Path, ...], BeforeValidator(_split)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A group of settings: frozen, without unknown keys, and silent about values in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, str_strip_whitespace=True
    )


class ServerSettings(Section):
    """Where minisched listens."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on: one of loopback, or any other together with TLS or behind_proxy.",
    )
    behind_proxy: bool = Field(
        default=False,
        description=(
            "Says that a proxy before this server encrypts what passes. Without it, and without TLS, the server "
            "listens on loopback only."
        ),
    )
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        default=("127.0.0.1", "::1"),
        description="With behind_proxy: addresses of proxies whose X-Forwarded-For is believed.",
    )
    tls_cert_file: _Path | None = Field(
        default=None, description="Certificate in PEM form, with those that lead to its authority; null: no TLS."
    )
    tls_key_file: _Path | None = Field(default=None, description="Private key of the certificate, in PEM form.")
    port: int = Field(default=8580, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    public_url: _HttpUrl | None = Field(
        default=None, description="URL under which others reach this server; null means http://host:port."
    )
    shutdown_grace_s: _NotNegative = Field(
        default=10.0, description="Seconds that open requests and log streams have to end when the server stops."
    )
    max_body_mb: int = Field(default=32, ge=1, description="Largest request body in megabytes.")
    standby: bool = Field(
        default=False,
        description="Whether to wait while another server holds the database, and to take over when it is gone.",
    )
    lease_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=15.0,
        description=(
            "Seconds without a sign of life after which another server may take over the database; renewed at a third."
        ),
    )

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("server.tls_cert_file and server.tls_key_file go together")
        if not self.behind_proxy and not self.tls_cert_file and not _is_loopback(self.host):
            raise ValueError(
                "server.host is not loopback: passwords would cross the network in clear; "
                "set server.tls_cert_file and server.tls_key_file, or server.behind_proxy"
            )
        return self


class DatabaseSettings(Section):
    """Where pipelines and runs are kept."""

    url: SecretStr | None = Field(
        default=None,
        description=(
            "SQLAlchemy URL of a PostgreSQL or MySQL/MariaDB database; null means SQLite in data_dir/minisched.db."
        ),
    )
    busy_timeout_s: _Positive = Field(
        default=30.0, description="Seconds to wait for a lock of the database before giving up."
    )
    pool_size: int = Field(default=10, ge=1, le=200, description="Most connections to the database.")

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not _DATABASE_URL.match(value.get_secret_value()):
            raise ValueError("should be a URL such as postgresql+psycopg://user:password@host/database")
        return value


class SecretsSettings(Section):
    """The key that encrypts secrets in the database."""

    key: SecretStr | None = Field(
        default=None,
        description=(
            "Fernet key, or several with commas: the first encrypts, all decrypt. Set this or key_file, not both."
        ),
    )
    key_file: _Path | None = Field(
        default=None,
        description="File with Fernet keys, one per line; null means data_dir/secret.key, made when it is missing.",
    )

    @field_validator("key")
    @classmethod
    def _is_fernet(cls, value: SecretStr | None) -> SecretStr | None:
        for key in value.get_secret_value().split(",") if value else ():
            try:
                Fernet(key.strip())
            except ValueError:
                raise ValueError("should be a Fernet key: 32 bytes in URL-safe base64") from None
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.key and self.key_file:
            raise ValueError("set secrets.key or secrets.key_file, not both")
        return self


class ExecutorSettings(Section):
    """How runs are executed."""

    slots: int = Field(default=4, ge=1, le=256, description="Runs at the same time.")
    max_runs_per_service: int | None = Field(
        default=None, ge=1, description="Runs of one service at the same time, whatever its pipelines; null: no limit."
    )
    max_runs_of_service: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Runs at the same time by the FQN of a service, instead of executor.max_runs_per_service.",
    )
    retry_backoff: Literal["constant", "exponential"] = Field(
        default="constant",
        description=(
            "How airflowConfig.retryDelay grows from attempt to attempt: constant (not at all) or exponential (doubled "
            "each time)."
        ),
    )
    retry_max_delay_s: _Positive = Field(
        default=3600.0, description="Longest pause in seconds to which an exponential retry_backoff grows."
    )
    stop_grace_s: _NotNegative = Field(
        default=10.0, description="Seconds between SIGTERM and SIGKILL when a run is stopped."
    )
    timeout_s: _Positive | None = Field(
        default=None,
        description="Longest run in seconds, for pipelines without airflowConfig.workflowTimeout; null: no limit.",
    )
    memory_limit_mb: int | None = Field(
        default=None,
        ge=64,
        description=(
            "Most memory of one run, all its processes together, in megabytes; null: no limit. "
            "What a run shares with its launcher, such as the imported ingestion package, does not count."
        ),
    )
    log_limit_mb: int | None = Field(
        default=100,
        ge=1,
        description="Largest log of one run in megabytes; of a longer one the middle is dropped. null: no limit.",
    )
    automation_timeout_s: _Positive = Field(
        default=120.0, description="Longest automation, such as the test of a connection, in seconds."
    )
    nice: int = Field(default=5, ge=0, le=19, description="Niceness of runs; a higher one gives way to the server.")
    open_files: int | None = Field(
        default=None, ge=64, description="Most open files of each process of a run; null: as this process has it."
    )
    retention_days: _Positive = Field(
        default=30.0, description="Days after which ended runs and their logs are deleted."
    )
    poll_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        default=4.0,
        description="Seconds between two looks at the queue when nothing calls; "
        "a retry starts late by as much at most.",
    )
    drain: Literal["leave", "wait", "stop"] = Field(
        default="leave",
        description="Running runs when the server stops: leave (they go on), wait for them, or stop them.",
    )
    drain_wait_s: _NotNegative = Field(
        default=300.0, description="With drain wait: seconds after which runs that are left go on without the server."
    )


class LauncherSettings(Section):
    """The warm processes from which runs are forked."""

    spares: int = Field(default=2, ge=0, le=32, description="Children forked in advance, waiting for a run.")
    linger_s: _NotNegative = Field(
        default=60.0, description="Seconds that a launcher without a server and without runs stays alive."
    )
    start_timeout_s: _Positive = Field(
        default=120.0, description="Longest start of a launcher in seconds; it imports the ingestion package."
    )
    recycle_after_runs: int = Field(
        default=1000, ge=0, description="Runs after which a launcher is replaced by a fresh one; 0: never."
    )


class RuntimeSettings(Section):
    """The environments that openmetadata-ingestion is installed in."""

    default: str = Field(
        default="auto",
        min_length=1,
        description="Runtime of pipelines that name none: a name, the path of an interpreter, or auto.",
    )
    directory: _Path | None = Field(
        default=None, description="Where runtimes are created; null means data_dir/runtimes."
    )
    python_path: _Paths = Field(
        default=(), description="Directories with your own connectors, put on the import path of every run."
    )
    workflow_classes: dict[str, str] = Field(
        default_factory=dict, description="Workflow class by pipelineType, as module:Class, instead of the usual one."
    )
    rules: tuple[dict[str, str], ...] = Field(
        default=(),
        description=(
            "Which runtime runs what, where that is not the default: a list of which the first that fits decides. Each "
            "has a runtime and any of server (the line of the OpenMetadata server, such as 1.5), serviceType and "
            "pipeline (patterns such as mysql_*)."
        ),
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Environment variables of every run. A value under a name that says password, secret, token or the like "
            "is treated as a secret: programs that a run starts see it, launchers do not."
        ),
    )

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, value: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
        for parts in value:
            try:
                rule_of(parts)
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("workflow_classes")
    @classmethod
    def _are_classes(cls, value: dict[str, str]) -> dict[str, str]:
        for kind, path in value.items():
            if kind not in PIPELINE_TYPES:
                raise ValueError(f"{kind!r} is no pipelineType; there are {', '.join(PIPELINE_TYPES)}")
            if not _CLASS_PATH.fullmatch(path):
                raise ValueError(f"the class of {kind} should be written as package.module:Class")
        return value


class SchedulerSettings(Section):
    """When schedules fire."""

    enabled: bool = Field(default=True, description="Whether schedules fire at all; triggers by hand always work.")
    misfire_grace_s: _NotNegative = Field(
        default=3600.0,
        description=(
            "Seconds that a scheduled run may be late, at least 60; of instants missed longer ago none fires, unless "
            "the pipeline catches up."
        ),
    )
    catchup_window_s: _NotNegative = Field(
        default=86400.0,
        description=(
            "How far back, in seconds, instants that passed while the server was down count: those of pipelines with "
            "pipelineCatchup fire, older ones are recorded as missed."
        ),
    )
    catchup_runs: int = Field(
        default=100, ge=1, le=1000, description="Most instants of one pipeline that are caught up at once, the latest."
    )
    spread_s: _NotNegative = Field(
        default=0.0,
        description=(
            "Seconds over which runs of one instant are spread, each pipeline always at the same distance; choose less "
            "than the shortest interval. 0: all at once."
        ),
    )
    spread_of_pipelines: dict[str, _NotNegative] = Field(
        default_factory=dict, description="Seconds by the FQN of a pipeline, instead of scheduler.spread_s."
    )
    tick_retention_days: _Positive = Field(
        default=30.0, description="Days after which the record of an instant, fired or not, is deleted."
    )


class OpenMetadataSettings(Section):
    """The OpenMetadata server that workflows report to when their document names none."""

    host_port: _HttpUrl | None = Field(
        default=None, description="Its API, such as http://openmetadata:8585/api; null: none."
    )
    jwt_token: SecretStr | None = Field(default=None, description="Token of the ingestion bot.")
    verify_ssl: Literal["no-ssl", "ignore", "validate"] = Field(
        default="no-ssl",
        description=(
            "OpenMetadata's verifySSL: no-ssl (an https certificate is checked by the system's authorities), "
            "ignore (not checked), validate (checked by ca_file)."
        ),
    )
    ca_file: _Path | None = Field(
        default=None, description="Certificate authority in PEM form, for verify_ssl validate."
    )
    connect_timeout_s: _Positive = Field(default=5.0, description="Seconds to wait for a connection.")
    read_timeout_s: _Positive = Field(default=30.0, description="Seconds to wait for a whole answer.")

    @model_validator(mode="after")
    def _validate_needs_authority(self) -> Self:
        if self.verify_ssl == "validate" and self.ca_file is None:
            raise ValueError("openmetadata.verify_ssl validate needs openmetadata.ca_file")
        return self


class AirflowPluginSettings(Section):
    """The account by which an OpenMetadata server drives this one as if it were its Airflow."""

    username: str = Field(default="admin", min_length=1, description="AIRFLOW_USERNAME of the OpenMetadata server.")
    password: SecretStr | None = Field(
        default=None,
        description=(
            "AIRFLOW_PASSWORD of the OpenMetadata server; null: nobody is let in, and answers say that it is not set."
        ),
    )

    @field_validator("username")
    @classmethod
    def _fits_basic_authentication(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("should hold no colon")
        return value

    @field_validator("password")
    @classmethod
    def _is_not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value():
            raise ValueError("should not be empty")
        return value


class AirflowSettings(Section):
    """The Airflow that client, client_rules or a move hand pipelines to; it has to have OpenMetadata's plugin."""

    url: _HttpUrl | None = Field(default=None, description="Where it is, such as https://airflow:8080; null: none.")
    username: str = Field(default="admin", min_length=1, description="User of it who may change DAGs.")
    password: SecretStr | None = Field(default=None, description="That user's password, for Basic authentication.")
    verify_ssl: bool = Field(default=True, description="Whether an https certificate is checked.")
    ca_file: _Path | None = Field(
        default=None, description="Certificate authority in PEM form; null: the system's authorities."
    )
    connect_timeout_s: _Positive = Field(default=10.0, description="Seconds to wait for a connection.")
    read_timeout_s: _Positive = Field(default=30.0, description="Seconds to wait for the answer to a question.")
    action_timeout_s: _Positive = Field(
        default=180.0,
        description="Seconds to wait for what Airflow does before it answers: deploys, kills, deletions, automations.",
    )
    parse_wait_s: _NotNegative = Field(
        default=30.0,
        description=(
            "Seconds that a first deploy waits until Airflow has parsed the pipeline, so that it can be triggered; "
            "0: not at all."
        ),
    )

    @field_validator("username")
    @classmethod
    def _fits_basic_authentication(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("should hold no colon")
        return value

    @property
    def usable(self) -> bool:
        """Whether it is said where it is and how to be let in."""
        return bool(self.url and self.password)

    @model_validator(mode="after")
    def _checks_by_authority(self) -> Self:
        if self.ca_file is not None and not self.verify_ssl:
            raise ValueError("set airflow.ca_file or airflow.verify_ssl: false, not both")
        return self


class AuthSettings(Section):
    """Who is let in besides the users and tokens of `minisched user` and `minisched token`."""

    openmetadata_jwks_url: _HttpUrl | None = Field(
        default=None,
        description=(
            "Where an OpenMetadata server publishes the keys of its tokens, such as "
            "http://openmetadata:8585/api/v1/system/config/jwks: its tokens are then accepted here; null: they are not."
        ),
    )
    openmetadata_public_key_file: _Path | None = Field(
        default=None, description="Its public key in PEM or DER form, instead of that address."
    )
    openmetadata_issuer: str = Field(
        default="open-metadata.org", min_length=1, description="Issuer that its tokens have to name (its JWT_ISSUER)."
    )
    openmetadata_role: Literal["viewer", "operator", "admin"] = Field(
        default="viewer", description="What those with its tokens may do here: viewer, operator or admin. Bots report."
    )
    openmetadata_roles: dict[str, Literal["viewer", "operator", "admin"]] = Field(
        default_factory=dict, description="More, by the name of a role in the token, such as Admin: admin."
    )
    audit_retention_days: _Positive = Field(
        default=365.0, description="Days after which the record of who changed what is deleted."
    )

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if self.openmetadata_jwks_url and self.openmetadata_public_key_file:
            raise ValueError("set auth.openmetadata_jwks_url or auth.openmetadata_public_key_file, not both")
        return self


class OutboxSettings(Section):
    """How persistently OpenMetadata is told how runs ended."""

    first_delay_s: _Positive = Field(default=1.0, description="Seconds before the second attempt; doubled each time.")
    max_delay_s: _Positive = Field(default=300.0, description="Longest pause between attempts in seconds.")
    max_age_s: _Positive = Field(default=604800.0, description="Seconds after which a message is given up.")

    @model_validator(mode="after")
    def _delays_grow(self) -> Self:
        if self.first_delay_s > self.max_delay_s:
            raise ValueError("outbox.first_delay_s should not be longer than outbox.max_delay_s")
        return self


class SandboxSettings(Section):
    """The built-in stand-in for an OpenMetadata server."""

    enabled: bool = Field(
        default=True, description="Whether runs without an OpenMetadata server send what they find to the sandbox."
    )


class LoggingSettings(Section):
    """What minisched writes to stderr."""

    format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = Field(
        default="auto", description="json, console, or auto: console on a terminal and json elsewhere."
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info", description="Least level that is written: debug, info, warning or error."
    )


class Settings(Section):
    """All settings of a minisched process."""

    data_dir: _Path = Field(
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
