"""The sandbox catalog of this node, and which OpenMetadata server its runs talk to unless they name one."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator

from litestar import Litestar

from minisched.api.access import guard_of
from minisched.api.errors import EXCEPTION_HANDLERS
from minisched.clients.connection import connection_document
from minisched.domain.pipeline import Document
from minisched.operations.authentication import OnlyRuns
from minisched.sandbox.dependents import Dependents, NoDependents
from minisched.sandbox.directory import SandboxDirectory
from minisched.sandbox.routes import sandbox_routes
from minisched.serving import bind, serving_in_background
from minisched.settings import Settings
from minisched.store.documents import open_document_store
from minisched.store.secrets import SecretBox, open_secret_box

# What the catalog says it is until a launcher has told its version.
_VERSION_BEFORE_ANY_RUNTIME = "2.0.0"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not bound


def secret_box(settings: Settings) -> SecretBox:
    """The box of the settings' key, or of the key file, which is made when it is missing."""
    key = settings.secrets.key
    return open_secret_box(key.get_secret_value() if key else None, settings.secret_key_file)


def own_url(listener: socket.socket, *, tls: bool = False) -> str:
    """Where processes of this machine reach the server that listens here."""
    host, port = listener.getsockname()[:2]
    host = _ANY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if tls else 'http'}://{host}:{port}"


def bot_token(settings: Settings) -> str:
    """What runs show the sandbox as their bot's token: made once, because runs outlive the server."""
    path = settings.data_dir / "sandbox.token"
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def configured_connection(settings: Settings) -> Document | None:
    """The OpenMetadata server of the settings."""
    remote = settings.openmetadata
    if remote.host_port is None:
        return None
    token = remote.jwt_token.get_secret_value() if remote.jwt_token else None
    ca_file = str(remote.ca_file) if remote.ca_file else None
    return connection_document(remote.host_port, token, verify_ssl=remote.verify_ssl, ca_file=ca_file)


def own_connection(settings: Settings, url: str) -> Document | None:
    """The server of the settings, else our own sandbox, else none."""
    configured = configured_connection(settings)
    if configured is not None or not settings.sandbox.enabled:
        return configured
    tls = settings.server.tls_cert_file is not None
    # The certificate names how others call this server; here is only this machine between the two.
    return connection_document(f"{url}/api", bot_token(settings), verify_ssl="ignore" if tls else "no-ssl")


class SandboxCatalog:
    """The catalog over its own SQLite file; `routes` for the server, `directory` for references in pipelines.

    `dependents` go with the services that are deleted; whoever has some sets them.
    """

    dependents: Dependents = NoDependents()

    def __init__(self, settings: Settings, url: str, box: SecretBox, runtime_version: Callable[[], str | None]) -> None:
        self._documents = open_document_store(settings.data_dir / "sandbox.db", box)
        self.routes = sandbox_routes(
            self._documents,
            server_version=lambda: runtime_version() or _VERSION_BEFORE_ANY_RUNTIME,
            base_url=f"{url}/api",
            dependents=self,
        )
        self.directory = SandboxDirectory(self._documents)

    def exist(self, service_type: str, fqn: str) -> bool:
        return self.dependents.exist(service_type, fqn)

    def delete(self, service_type: str, fqn: str, *, hard: bool, user: str) -> None:
        self.dependents.delete(service_type, fqn, hard=hard, user=user)

    def close(self) -> None:
        self._documents.close()


@contextlib.contextmanager
def served_sandbox(settings: Settings, runtime_version: str | None) -> Iterator[Document]:
    """Serve nothing but the sandbox on a free port of loopback while the block runs; the connection to it."""
    box = secret_box(settings)
    with bind("127.0.0.1", 0) as listener:
        url = own_url(listener)
        with contextlib.closing(SandboxCatalog(settings, url, box, lambda: runtime_version)) as catalog:
            limit = settings.server.max_body_mb * 1024 * 1024
            app = Litestar(
                catalog.routes,
                guards=[guard_of(OnlyRuns(bot_token(settings)))],
                exception_handlers=EXCEPTION_HANDLERS,
                openapi_config=None,
                request_max_body_size=limit,
                logging_config=None,
            )
            with serving_in_background(app, listener, stopping=threading.Event()):
                yield connection_document(f"{url}/api", bot_token(settings))
