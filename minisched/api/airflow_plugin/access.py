"""Who may speak the dialect: one name and password by Basic authentication, and how often somebody may guess."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from http import HTTPStatus

from minisched.operations.failed_attempts import FailedAttempts

_SETTING = "airflow_plugin.password"


class Denied(Exception):
    """The caller is not let in; `code` is 401 or 403, the text is for whoever set up the caller."""

    def __init__(self, code: HTTPStatus, text: str) -> None:
        self.code = code
        super().__init__(text)


class Access:
    """Decides by the Authorization header. Without a password nobody is let in."""

    def __init__(self, username: str, password: str | None) -> None:
        self.username = username
        self._expected = None if password is None else _digest(f"{username}:{password}".encode())
        self._failures = FailedAttempts()

    def check(self, authorization: str | None, peer: str) -> None:
        """Raises Denied. A request without credentials is no guess and does not count as one."""
        if self._expected is None:
            raise Denied(HTTPStatus.UNAUTHORIZED, f"This interface is off until {_SETTING} is set in the settings.")
        if (wait_s := self._failures.wait_s(peer)) > 0:
            text = f"Too many failed attempts from this address; try again in {wait_s:.0f} s."
            raise Denied(HTTPStatus.FORBIDDEN, text)
        if not authorization:
            raise Denied(HTTPStatus.UNAUTHORIZED, "This needs a user name and a password (Basic authentication).")
        if not hmac.compare_digest(_digest(_credentials(authorization)), self._expected):
            self._failures.note(peer)
            text = f"The user name or the password is wrong; they are airflow_plugin.username and {_SETTING}."
            raise Denied(HTTPStatus.UNAUTHORIZED, text)


def _digest(credentials: bytes) -> bytes:
    """Of one length, so that comparing takes the same time for every guess."""
    return hashlib.sha256(credentials).digest()


def _credentials(authorization: str) -> bytes:
    """`user:password` of a Basic header; what no one can have when it is something else."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
