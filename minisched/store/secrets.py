"""Encryption of the secrets in stored documents.

A sealed value reads `enc:<key id>:<Fernet token>`. The first key seals, every key unseals, so a key is replaced by
putting a new one in front, sealing everything again (`rotation.py`) and then dropping the old one.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import Document
from minisched.domain.secrets import map_secrets

_SEALED = re.compile(r"enc:([0-9a-f]{8}):(.+)", re.DOTALL)
_SEPARATORS = re.compile(r"[\s,]+")


class SecretBox:
    """Seals and unseals the secret strings of documents (those that `domain.secrets` names); thread-safe."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are Fernet keys (32 bytes in URL-safe base64), the one that seals first. Raises ConfigurationError."""
        if not keys:
            raise ConfigurationError("There is no key to encrypt secrets with.", field="secrets.key")
        self._boxes = {key_id(key): _fernet(key) for key in keys}
        self._id = key_id(keys[0])

    @property
    def id(self) -> str:
        """Names the key that seals; says nothing about the key itself."""
        return self._id

    def seal(self, document: Document) -> Document:
        """A copy with every secret encrypted."""
        sealed: Document = map_secrets(document, self.seal_text)
        return sealed

    def unseal(self, document: Document) -> Document:
        """A copy with every sealed secret in clear. Raises ConfigurationError when its key is not among ours."""
        clear: Document = map_secrets(document, self.unseal_text)
        return clear

    def seal_text(self, value: str) -> str:
        token = self._boxes[self._id].encrypt(value.encode("utf-8", "surrogatepass"))
        return f"enc:{self._id}:{token.decode('ascii')}"

    def unseal_text(self, value: str) -> str:
        sealed = _SEALED.fullmatch(value)
        if sealed is None:
            return value
        box = self._boxes.get(sealed.group(1))
        if box is None:
            raise _unknown_key(sealed.group(1), tuple(self._boxes))
        try:
            return box.decrypt(sealed.group(2).encode()).decode("utf-8", "surrogatepass")
        except InvalidToken as error:
            raise ConfigurationError(
                f"A secret sealed with key {sealed.group(1)} is damaged.",
                field="secrets.key",
                hint="Deploy or save the pipeline again with its secrets, or restore a backup of the database.",
            ) from error


def _unknown_key(wanted: str, known: tuple[str, ...]) -> ConfigurationError:
    return ConfigurationError(
        f"A stored secret was sealed with key {wanted}, but only {', '.join(known)} is at hand.",
        field="secrets.key",
        hint=f"Add the key with the id {wanted} behind the first one in secrets.key or in the key file.",
    )


def key_id(key: str) -> str:
    """Eight hexadecimal digits that name a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _fernet(key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise ConfigurationError(
            "This is not a Fernet key.",
            field="secrets.key",
            hint="It is 32 random bytes in URL-safe base64: openssl rand -base64 32 | tr +/ -_",
        ) from error


def new_key() -> str:
    """A fresh Fernet key."""
    return Fernet.generate_key().decode("ascii")


def open_secret_box(key: str | None, key_file: Path) -> SecretBox:
    """The box of the keys in the settings, else of the key file, which is created with a new key on first use.

    Several keys are separated by commas, spaces or line ends; the first one seals. Raises ConfigurationError, also for
    a key file that others than its owner may read.
    """
    if key and key.strip():
        return SecretBox(_split(key))
    if not key_file.exists():
        _create(key_file, new_key())
    return SecretBox(_read(key_file))


def put_new_key_first(key_file: Path) -> str:
    """Add a key in front of those in the file and return its id; stored secrets stay readable with the old ones."""
    fresh = new_key()
    _replace(key_file, [fresh, *(_read(key_file) if key_file.exists() else [])])
    return key_id(fresh)


def drop_old_keys(key_file: Path) -> int:
    """Keep only the first key of the file, after everything was sealed with it; how many were dropped."""
    first, *old = _read(key_file)
    _replace(key_file, [first])
    return len(old)


def _split(keys: str) -> list[str]:
    return [key for key in _SEPARATORS.split(keys) if key]


def _read(key_file: Path) -> list[str]:
    try:
        if key_file.stat().st_mode & 0o077:
            raise ConfigurationError(
                f"{key_file} can be read by others.", field="secrets.key_file", hint=f"chmod 600 {key_file}"
            )
        return _split(key_file.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{key_file} cannot be read: {error}.", field="secrets.key_file") from error


def _create(key_file: Path, key: str) -> None:
    """Appears whole or not at all; when two processes start at once, one key wins and both use it."""
    try:
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = _draft(key_file, [key])
        try:
            os.link(draft, key_file)
        except FileExistsError:
            return
        finally:
            draft.unlink()
        _sync_directory(key_file.parent)
    except OSError as error:
        raise ConfigurationError(f"{key_file} cannot be created: {error}.", field="secrets.key_file") from error


def _replace(key_file: Path, keys: Sequence[str]) -> None:
    try:
        _draft(key_file, keys).replace(key_file)
        _sync_directory(key_file.parent)
    except OSError as error:
        raise ConfigurationError(f"{key_file} cannot be written: {error}.", field="secrets.key_file") from error


def _draft(key_file: Path, keys: Sequence[str]) -> Path:
    draft = key_file.with_name(f".{key_file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
