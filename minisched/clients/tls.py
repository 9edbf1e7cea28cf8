"""By which certificates a server is trusted."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusting(authority: str | None) -> ssl.SSLContext:
    """The authority of this PEM file, else those of the system. Raises OSError when the file is of no use.

    Kept, because reading the system's authorities takes some thirty milliseconds.
    """
    return ssl.create_default_context(cafile=authority)


@cache
def unchecked() -> ssl.SSLContext:
    """Whoever answers is believed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
