"""What every command knows of how it was called: settings file, server address, and how loud to fail."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minisched.domain.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx

    from minisched.cli.server import Server
    from minisched.settings import Settings

URL_VARIABLE = "MINISCHED_URL"
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - read, never bound


@dataclass
class Invocation:
    """The global options. Settings are read when first asked for, so `--help` and remote commands need none.

    `transport` replaces the network in tests.
    """

    config_path: Path | None = None
    url: str | None = None
    token_file: Path | None = None
    debug: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    transport: httpx.BaseTransport | None = None

    @cached_property
    def settings(self) -> Settings:
        """Raises ConfigurationError when the file or a value in it is wrong."""
        return self.settings_with({})

    def settings_with(self, overrides: Mapping[str, str]) -> Settings:
        """The settings as if these MINISCHED_… variables were set as well: how options win over everything else."""
        from minisched.settings import load_settings

        return load_settings(self.config_path, {**self.environ, **overrides})

    @property
    def server_url(self) -> str:
        """--url, else MINISCHED_URL (click reads it into `url`), else where the settings say that `serve` listens."""
        if self.url:
            return self.url.rstrip("/")
        if public_url := self.settings.server.public_url:
            return str(public_url).rstrip("/")
        return self._listening_url

    @property
    def _listening_url(self) -> str:
        server = self.settings.server
        host = _EVERY_INTERFACE.get(server.host, server.host)
        return f"{'https' if server.tls_cert_file else 'http'}://{host}:{server.port}"

    def server(self) -> Server:
        """A client of the running server; use it as a context manager.

        To the server of the settings, and to no other, it shows what that server's data directory holds, unless
        something was given to be shown.
        """
        from minisched.cli import credentials
        from minisched.cli.server import Server

        url = self.server_url
        authorization, tls = credentials.given(self.token_file, self.environ), None
        if not self.url or self.url.rstrip("/") == self._listening_url:
            authorization = authorization or self._own_authorization()
            tls = self._own_tls(url)
        return Server(url, self.transport, authorization=authorization, tls=tls)

    def _own_authorization(self) -> str | None:
        from minisched.cli import credentials

        chosen = self.settings.admin_password
        if chosen is not None:
            return credentials.basic("admin", chosen.get_secret_value())
        return credentials.of_first_admin(self.settings.data_dir)

    def _own_tls(self, url: str) -> ssl.SSLContext | None:
        """Trusts exactly the certificate of the settings, by whatever address the server is called."""
        certificate = self.settings.server.tls_cert_file
        if certificate is None or not url.startswith("https:") or self.settings.server.public_url:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=str(certificate))
        except OSError as error:
            raise ConfigurationError(f"cannot be read: {error}", field="server.tls_cert_file") from error
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)

Command = TypeVar("Command", bound="Callable[..., Any]")


def json_option(command: Command) -> Command:
    """The `--json` of every command that prints something."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")(command)
