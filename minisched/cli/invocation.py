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
_END = "-----END CERTIFICATE-----"
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
        """--url, else MINISCHED_URL (click reads it into `url`), else where the settings say that `serve` listens: on
        this machine while a server of this data directory runs here, else by its public address."""
        if self.url:
            return self.url.rstrip("/")
        public_url = self.settings.server.public_url
        if public_url and not self._runs_here:
            return str(public_url).rstrip("/")
        return self._listening_url

    @cached_property
    def _runs_here(self) -> bool:
        """Whether a server has this data directory now; who listens at its address otherwise is a stranger."""
        from minisched.instance_lock import is_held

        return is_held(self.settings.data_dir / "server.lock")

    @property
    def _listening_url(self) -> str:
        server = self.settings.server
        host = _EVERY_INTERFACE.get(server.host, server.host)
        return f"{'https' if server.tls_cert_file else 'http'}://{host}:{server.port}"

    def server(self) -> Server:
        """A client of the running server; use it as a context manager.

        To the server of this data directory, while it runs on this machine, and to no other, it shows what is kept
        there, unless something was given to be shown.
        """
        from minisched.cli import credentials
        from minisched.cli.server import Server

        url, given = self.server_url, credentials.given(self.token_file, self.environ)
        # An address that was named tells us nothing of settings, which may not even be readable here.
        if self.url and given is not None and not url.startswith("https:"):
            return Server(url, self.transport, authorization=given)
        own = url == self._listening_url and self._runs_here
        authorization = given or (self._own_authorization() if own else None)
        return Server(
            url, self.transport, authorization=authorization, tls=self._own_tls() if own else None, direct=own
        )

    def _own_authorization(self) -> str | None:
        from minisched.cli import credentials

        if (kept := credentials.of_first_admin(self.settings.data_dir)) is not None:
            return kept
        chosen = self.settings.admin_password
        return None if chosen is None else credentials.basic("admin", chosen.get_secret_value())

    def _own_tls(self) -> ssl.SSLContext | None:
        """Trusts exactly the certificate of the settings, by whatever address the server is called."""
        certificate = self.settings.server.tls_cert_file
        if certificate is None:
            return None
        import ssl

        try:
            # The first one in the file is the server's; those behind it have signed others, too.
            first = certificate.read_text(encoding="ascii").partition(_END)
            context = ssl.create_default_context(cadata=first[0] + first[1])
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot be read: {error}", field="server.tls_cert_file") from error
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)

Command = TypeVar("Command", bound="Callable[..., Any]")


def json_option(command: Command) -> Command:
    """The `--json` of every command that prints something."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")(command)
