"""Users, tokens and what they did: for the server, and for the command line that works on the database directly."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog

from minisched.acting import Action, acting
from minisched.app.database_at_rest import database_at_rest
from minisched.app.kept_secret import kept_secret
from minisched.domain.access import Principal, Role
from minisched.domain.errors import Conflict
from minisched.observability import remember_secrets
from minisched.operations.accounts import ADMIN, Accounts
from minisched.ports import JwtVerifier
from minisched.settings import Settings
from minisched.store.accounts import SqlAccountStore
from minisched.store.audit import SqlAuditTrail
from minisched.system_clock import SystemClock

log = structlog.get_logger(__name__)


def admin_password_file(settings: Settings) -> Path:
    """Where the password of the first admin is, if nobody has set one."""
    return settings.data_dir / "admin.password"


def make_first_admin(settings: Settings, accounts: Accounts) -> None:
    """Where there is no user, there is the user admin afterwards; a password that nobody chose is told once.

    It is in its file before it is in the database: a start that was cut off finds it there again.
    """
    if accounts.users():
        return
    chosen = settings.admin_password
    path = admin_password_file(settings)
    password = chosen.get_secret_value() if chosen else kept_secret(path, random_bytes=18)
    remember_secrets([password])
    try:
        accounts.add(ADMIN, Role.ADMIN, password)
    except Conflict:  # another server on this database was faster
        return
    log.info("admin.created", kept_in=None if chosen else str(path))
    if not chosen:
        told = f"minisched: made the user {ADMIN} with the password {password} (kept in {path}, for its owner only)"
        print(told, file=sys.stderr, flush=True)  # noqa: T201 - not the log, which others may read


def forget_admin_password(settings: Settings, name: str) -> None:
    """What the file of the first admin says is not true any more once somebody has chosen another password."""
    if name == ADMIN:
        admin_password_file(settings).unlink(missing_ok=True)


def jwt_verifier(settings: Settings) -> JwtVerifier | None:
    """For the tokens of the OpenMetadata server of the settings. Raises ConfigurationError when its key is none."""
    auth = settings.auth
    if auth.openmetadata_public_key_file is None and auth.openmetadata_jwks_url is None:
        return None
    # Only here: what checks signatures takes some megabytes, and most servers have none to check.
    from minisched.clients.openmetadata_tokens import KeysOfUrl, OpenMetadataTokens, key_of_file

    path, url = auth.openmetadata_public_key_file, auth.openmetadata_jwks_url
    key_of = key_of_file(path) if path is not None else KeysOfUrl(str(url))
    roles = {name: Role(role) for name, role in auth.openmetadata_roles.items()}
    return OpenMetadataTokens(key_of, issuer=auth.openmetadata_issuer, roles=roles, role=Role(auth.openmetadata_role))


@contextlib.contextmanager
def local_accounts(settings: Settings, operation: str) -> Iterator[Accounts]:
    """For whoever may read the data directory or knows the database: no server is asked, and none has to run.

    Raises ConfigurationError when there is no database of this version.
    """
    with database_at_rest(settings) as database:
        clock = SystemClock()
        database.have_witnessed(SqlAuditTrail(database, clock).witness)
        before = acting.set(Action(Principal(_shell_user(), Role.ADMIN, "shell"), operation, operation, ""))
        try:
            yield Accounts(SqlAccountStore(database), clock)
        finally:
            acting.reset(before)


def _shell_user() -> str:
    """By the kernel's word; a container's user may have no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
