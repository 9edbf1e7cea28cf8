"""How passwords are kept: argon2id, with the memory and time that OWASP asks for at least (19 MiB, two passes)."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# However many guess at once, hashing takes no more memory and processors than this many times one.
_AT_ONCE = threading.BoundedSemaphore(2)


T = TypeVar("T")

_M_MMAP_THRESHOLD = -3  # malloc.h


def hashed(password: str) -> str:
    """argon2's own text, with its salt and parameters."""
    return _with_memory(lambda: _HASHER.hash(password))


def fits(password: str, password_hash: str) -> bool:
    """Takes some hundredths of a second, whatever the answer."""
    try:
        return _with_memory(lambda: _HASHER.verify(password_hash, password))
    except (VerificationError, InvalidHashError):
        return False


def _with_memory(work: Callable[[], T]) -> T:
    with _AT_ONCE:
        _give_large_memory_back_at_once()
        return work()


def _give_large_memory_back_at_once() -> None:
    """glibc learns from the first hash to keep the memory of the next ones, for each thread; so it is told not to."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


# Compared with when there is no such user, so that an answer takes as long as for one that exists.
OF_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$bWluaXNjaGVkLW5vYm9keQ$4m2hYwGvF0c0Qm3d0zv2XW2p6o1nq7yB5k8Tj9rLs3E"
