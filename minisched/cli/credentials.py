"""What the command line shows a server: a token, a user's password, or what the server's own data directory holds."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from minisched.domain.errors import InvalidInput

# Variables and not options: what stands on a command line can be read by everybody on the machine.
TOKEN_VARIABLE = "MINISCHED_TOKEN"  # noqa: S105 - its name
USER_VARIABLE = "MINISCHED_USER"
PASSWORD_VARIABLE = "MINISCHED_PASSWORD"  # noqa: S105 - its name

_ADMIN = "admin"
_ADMIN_FILE = "admin.password"


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def bearer(token: str) -> str:
    """An Authorization header."""
    return f"Bearer {token}"


def given(token_file: Path | None, environ: Mapping[str, str]) -> str | None:
    """What whoever calls us has given: a file with a token, a token, or a user and a password. Raises InvalidInput."""
    if token_file is not None:
        try:
            return bearer(token_file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{token_file} cannot be read: {error}", field="--token-file") from error
    if token := environ.get(TOKEN_VARIABLE):
        return bearer(token)
    if password := environ.get(PASSWORD_VARIABLE):
        return basic(environ.get(USER_VARIABLE) or _ADMIN, password)
    if user := environ.get(USER_VARIABLE):
        raise InvalidInput(
            f"there is no password for {user}.", field=PASSWORD_VARIABLE, hint=f"Or unset {USER_VARIABLE}."
        )
    return None


def password_file(data_dir: Path) -> Path:
    """Where a server keeps the password of the first admin, if nobody has chosen one."""
    return data_dir / _ADMIN_FILE


def of_first_admin(data_dir: Path) -> str | None:
    """What the first start of a server left in its data directory, for those who may read it."""
    with suppress(OSError):
        return basic(_ADMIN, password_file(data_dir).read_text(encoding="ascii").strip())
    return None
