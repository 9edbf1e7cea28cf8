"""How passwords are kept: argon2id, with the memory and time that OWASP asks for at least (19 MiB, two passes)."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# However many guess at once, hashing takes no more memory and processors than this many times one.
_AT_ONCE = threading.BoundedSemaphore(2)


def hashed(password: str) -> str:
    """argon2's own text, with its salt and parameters."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def fits(password: str, password_hash: str) -> bool:
    """Takes some hundredths of a second, whatever the answer."""
    try:
        with _AT_ONCE:
            return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


# Compared with when there is no such user, so that an answer takes as long as for one that exists.
OF_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$bWluaXNjaGVkLW5vYm9keQ$4m2hYwGvF0c0Qm3d0zv2XW2p6o1nq7yB5k8Tj9rLs3E"
