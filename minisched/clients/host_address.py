"""The address from which this machine reaches another one: asked of the routing table, not of a service outside."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def outgoing_address(url: str) -> str:
    """The local address of the route to the host in `url`, or "unknown". Sends nothing: connecting UDP only routes."""
    parts = urlsplit(url)
    try:
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return "unknown"
