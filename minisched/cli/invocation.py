"""What every command knows of how it was called: settings file, server address, and how loud to fail."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
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
        server = self.settings.server
        if server.public_url:
            return str(server.public_url).rstrip("/")
        host = _EVERY_INTERFACE.get(server.host, server.host)
        return f"http://{host}:{server.port}"

    def server(self) -> Server:
        """A client of the running server; use it as a context manager."""
        from minisched.cli.server import Server

        return Server(self.server_url, self.transport)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)

Command = TypeVar("Command", bound="Callable[..., Any]")


def json_option(command: Command) -> Command:
    """The `--json` of every command that prints something."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")(command)
