"""The directory that everything of ours lives in, readable by its owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from minisched.domain.errors import ConfigurationError

PRIVATE_DIRECTORY = 0o700
_OTHERS = 0o077
# A directory with one of these in it was made by us, so that its mode may be corrected.
_OURS = frozenset(
    {"minisched.db", "sandbox.db", "server.lock", "secret.key", "config.yaml", "runs", "runtimes", "launchers"}
)


def prepare_data_dir(path: Path) -> Path:
    """Make the directory with mode 0700, or check the one that is there.

    A directory of ours that others may enter is closed to them. Raises ConfigurationError when it belongs to somebody
    else, holds things that are not ours while being open to others, or cannot be made.
    """
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        _require_private(path)
    except FileExistsError:
        raise _refusal(path, "is not a directory") from None
    except OSError as error:
        raise _refusal(path, f"cannot be used: {error.strerror}") from None
    return path


def _require_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise _refusal(path, "belongs to another user")
    if not stat.S_IMODE(found.st_mode) & _OTHERS:
        return
    names = {entry.name for entry in path.iterdir()}
    if names and not names & _OURS:
        raise _refusal(path, "is open to other users and holds files that are not minisched's")
    path.chmod(PRIVATE_DIRECTORY)


def _refusal(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The data directory {path} {why}.",
        field="data_dir",
        hint="Choose a directory of your own with data_dir or MINISCHED_DATA_DIR.",
    )
