"""This server: where it listens, who is let in, and where it keeps what it has."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from cryptography.fernet import Fernet
from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from minisched.settings.values import (
    HttpUrl,
    LocalPath,
    NotNegative,
    Positive,
    Section,
    is_loopback,
    split,
)

_DATABASE_URL = re.compile(r"(sqlite|postgresql|mysql|mariadb)(\+\w+)?://")


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
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(split)] = Field(
        default=("127.0.0.1", "::1"),
        description="With behind_proxy: addresses of proxies whose X-Forwarded-For is believed.",
    )
    tls_cert_file: LocalPath | None = Field(
        default=None, description="Certificate in PEM form, with those that lead to its authority; null: no TLS."
    )
    tls_key_file: LocalPath | None = Field(default=None, description="Private key of the certificate, in PEM form.")
    port: int = Field(default=8580, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    public_url: HttpUrl | None = Field(
        default=None, description="URL under which others reach this server; null means http://host:port."
    )
    shutdown_grace_s: NotNegative = Field(
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
        if not self.behind_proxy and not self.tls_cert_file and not is_loopback(self.host):
            raise ValueError(
                "server.host is not loopback: passwords would cross the network in clear; "
                "set server.tls_cert_file and server.tls_key_file, or server.behind_proxy"
            )
        return self


class AuthSettings(Section):
    """Who is let in besides the users and tokens of `minisched user` and `minisched token`."""

    openmetadata_jwks_url: HttpUrl | None = Field(
        default=None,
        description=(
            "Where an OpenMetadata server publishes the keys of its tokens, such as "
            "http://openmetadata:8585/api/v1/system/config/jwks: its tokens are then accepted here; null: they are not."
        ),
    )
    openmetadata_public_key_file: LocalPath | None = Field(
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
    audit_retention_days: Positive = Field(
        default=365.0, description="Days after which the record of who changed what is deleted."
    )

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if self.openmetadata_jwks_url and self.openmetadata_public_key_file:
            raise ValueError("set auth.openmetadata_jwks_url or auth.openmetadata_public_key_file, not both")
        return self


class DatabaseSettings(Section):
    """Where pipelines and runs are kept."""

    url: SecretStr | None = Field(
        default=None,
        description=(
            "SQLAlchemy URL of a PostgreSQL or MySQL/MariaDB database; null means SQLite in data_dir/minisched.db."
        ),
    )
    busy_timeout_s: Positive = Field(
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
    key_file: LocalPath | None = Field(
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
