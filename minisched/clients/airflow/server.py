"""Which Airflow, and how to be let in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from minisched.clients.tls import trusting, unchecked
from minisched.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowServer:
    """`url` may have a path of its own. Times are in seconds: `read_timeout_s` is for the whole of an answer to a
    question, `action_timeout_s` for that to what is done before it is answered, and `parse_wait_s` for a pipeline that
    is deployed for the first time to be known to the scheduler."""

    url: str
    username: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    action_timeout_s: float = 180.0
    parse_wait_s: float = 30.0

    def within_s(self, method: str) -> float:
        return self.read_timeout_s if method == "GET" else self.action_timeout_s

    def time_setting(self, method: str) -> str:
        """The name of the setting that `within_s` comes from."""
        return "airflow.read_timeout_s" if method == "GET" else "airflow.action_timeout_s"


def tls_rules(url: str, *, verify: bool, ca_file: str | None) -> ssl.SSLContext | None:
    """None for plain HTTP. Raises ConfigurationError when the authority cannot be read."""
    if not url.startswith("https:"):
        return None
    if not verify:
        return unchecked()
    try:
        return trusting(ca_file)
    except OSError as error:
        reason = error.strerror or "it holds no certificate in PEM form"
        raise ConfigurationError(f"{ca_file} cannot be used: {reason}", field="airflow.ca_file") from error
