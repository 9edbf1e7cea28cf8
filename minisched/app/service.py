"""Serving until told to stop: what comes before a node is built, and what is done with it afterwards."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import structlog

from minisched import __version__, failpoints
from minisched.app.catalog import own_url
from minisched.app.node import Node
from minisched.app.reloading import reload
from minisched.app.tenure import Tenure, tenure
from minisched.observability import configure_logging, remember_secrets
from minisched.serving import ServingOptions, Signals, check_certificate, serve_until_stopped
from minisched.settings import Settings, prepare_data_dir
from minisched.system_clock import offset_of

log = structlog.get_logger(__name__)


def serve(settings: Settings, read_again: Callable[[], Settings] | None = None) -> int:
    """Run the server until it is told to stop; the exit code. Raises ConfigurationError when it cannot start.

    `read_again` reads the settings anew for a reload; without it they stay as they are.
    """
    signals = Signals()
    signals.listen()
    configure_logging(settings.logging.format, settings.logging.level)
    remember_secrets(settings.secret_values())
    if armed := failpoints.arm(os.environ):
        log.warning("failpoint.armed", place=armed)
    if offset_s := offset_of(os.environ):
        log.warning("clock.moved", offset_s=offset_s)
    check_certificate(_serving_options(settings))
    prepare_data_dir(settings.data_dir)
    for warning in settings.warnings():
        log.warning("settings.doubtful", warning=warning)
    with tenure(settings, signals) as held:
        if held is not None:
            _serve(settings, held, signals, read_again)
    log.info("server.stopped")
    return 1 if held is not None and held.keeper.lost else 0


def _serve(settings: Settings, held: Tenure, signals: Signals, read_again: Callable[[], Settings] | None) -> None:
    url = own_url(held.listener, tls=settings.server.tls_cert_file is not None)
    with contextlib.closing(Node(settings, url, signals.stop_asked, held.fence)) as node:
        node.start(after_crash=held.after_crash)
        log.info("server.ready", url=node.url, data_dir=str(settings.data_dir), version=__version__)
        serve_until_stopped(
            node.api,
            held.listener,
            signals,
            options=_serving_options(settings),
            reload=lambda: reload(node, read_again),
            drain=node.drain,
            leave=node.leave,
        )


def _serving_options(settings: Settings) -> ServingOptions:
    server = settings.server
    return ServingOptions(
        grace_s=server.shutdown_grace_s,
        cert_file=server.tls_cert_file,
        key_file=server.tls_key_file,
        trusted_proxies=server.trusted_proxies if server.behind_proxy else (),
    )
