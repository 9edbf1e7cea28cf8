"""The servers that this one talks to: OpenMetadata and Airflow, and the sandbox in their place."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import (
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
)


class OpenMetadataSettings(Section):
    """The OpenMetadata server that workflows report to when their document names none."""

    host_port: HttpUrl | None = Field(
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
    ca_file: LocalPath | None = Field(
        default=None, description="Certificate authority in PEM form, for verify_ssl validate."
    )
    connect_timeout_s: Positive = Field(default=5.0, description="Seconds to wait for a connection.")
    read_timeout_s: Positive = Field(default=30.0, description="Seconds to wait for a whole answer.")

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

    url: HttpUrl | None = Field(default=None, description="Where it is, such as https://airflow:8080; null: none.")
    username: str = Field(default="admin", min_length=1, description="User of it who may change DAGs.")
    password: SecretStr | None = Field(default=None, description="That user's password, for Basic authentication.")
    verify_ssl: bool = Field(default=True, description="Whether an https certificate is checked.")
    ca_file: LocalPath | None = Field(
        default=None, description="Certificate authority in PEM form; null: the system's authorities."
    )
    connect_timeout_s: Positive = Field(default=10.0, description="Seconds to wait for a connection.")
    read_timeout_s: Positive = Field(default=30.0, description="Seconds to wait for the answer to a question.")
    action_timeout_s: Positive = Field(
        default=180.0,
        description="Seconds to wait for what Airflow does before it answers: deploys, kills, deletions, automations.",
    )
    parse_wait_s: NotNegative = Field(
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


class OutboxSettings(Section):
    """How persistently OpenMetadata is told how runs ended."""

    first_delay_s: Positive = Field(default=1.0, description="Seconds before the second attempt; doubled each time.")
    max_delay_s: Positive = Field(default=300.0, description="Longest pause between attempts in seconds.")
    max_age_s: Positive = Field(default=604800.0, description="Seconds after which a message is given up.")

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
