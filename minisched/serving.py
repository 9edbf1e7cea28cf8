"""The HTTP server in the main thread: binds first, stops when it is told to, and ends at once when told twice."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn

from minisched.domain.errors import ConfigurationError

log = structlog.get_logger(__name__)

_BACKLOG = 512
_INTERRUPTED = 130


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: its own handling raises them again after the end, over our clean-up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int, *, listen: bool = True) -> socket.socket:
    """A listening socket, before anything is started that would have to be undone. Raises ConfigurationError.

    Without `listen` the port is only kept, and whoever connects is refused until the server begins to serve.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}: {error}", field="server.host") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        if listen:
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}", field="server.port", hint="Choose another port."
        ) from error
    return listener


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How to serve: with TLS when there is a certificate, and whose X-Forwarded-For is believed."""

    grace_s: float
    cert_file: Path | None = None
    key_file: Path | None = None
    trusted_proxies: Sequence[str] = ()


def _server(app: Any, options: ServingOptions) -> _Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        # Log streams stay open for ever; without a limit the server would wait for their clients (pitfall L5).
        timeout_graceful_shutdown=max(1, round(options.grace_s)),
        lifespan="on",
        server_header=False,
        ws="none",
        proxy_headers=bool(options.trusted_proxies),
        forwarded_allow_ips=list(options.trusted_proxies),
        ssl_certfile=options.cert_file,
        ssl_keyfile=options.key_file,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"the certificate or its key cannot be used: {error}", field="server.tls_cert_file"
        ) from error
    return _Server(config)


class Signals:
    """What the process is told from outside: to stop (SIGTERM, SIGINT; at once the second time) or to read its settings
    again (SIGHUP). Handlers only take notes; `wait` gives them to the thread that acts."""

    def __init__(self) -> None:
        self.stop_asked = threading.Event()
        self._heard: queue.SimpleQueue[signal.Signals | None] = queue.SimpleQueue()

    def listen(self) -> None:
        """From now on, until the process ends: the second signal also cuts the caller's clean-up short."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # A terminal that is closed ends what runs in it; whoever has none wants a reload.
        signal.signal(signal.SIGHUP, self._stop if sys.stdin and sys.stdin.isatty() else self._note)

    def wait(self) -> signal.Signals | None:
        """The next one that was heard; None when the server has to leave whatever it was told."""
        return self._heard.get()

    def leave(self) -> None:
        """Not told from outside: nothing may be drained or written any more."""
        self.stop_asked.set()
        self._heard.put(None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop_asked.is_set():
            os._exit(_INTERRUPTED)
        self.stop_asked.set()
        self._note(number, frame)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._heard.put(signal.Signals(number))


def serve_until_stopped(
    app: Any,
    listener: socket.socket,
    signals: Signals,
    *,
    options: ServingOptions,
    reload: Callable[[], None],
    drain: Callable[[], None],
    leave: Callable[[], None],
) -> None:
    """Serve until told to stop. What is asked meanwhile still gets its answers while `drain` is at work; `leave` is
    what is done instead when there is nothing to be drained any more."""
    server = _server(app, options)

    def obey() -> None:
        while (heard := signals.wait()) is signal.SIGHUP:
            reload()
        log.info("server.stopping", signal=heard.name if heard else None)
        try:
            (drain if heard else leave)()
        finally:
            server.should_exit = True

    threading.Thread(target=obey, name="signals", daemon=True).start()
    server.run(sockets=[listener])


@contextlib.contextmanager
def serving_in_background(app: Any, listener: socket.socket, *, stopping: threading.Event) -> Iterator[None]:
    """Serve from a thread while the block runs."""
    server = _server(app, ServingOptions(grace_s=1.0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    try:
        _await(lambda: server.started or not thread.is_alive())
        yield
    finally:
        stopping.set()
        server.should_exit = True
        thread.join()


def _await(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    while not condition():
        waiting.wait(0.01)
