"""A secret in a file appears whole or not at all, and is made once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minisched.app.kept_secret import kept_secret
from minisched.domain.errors import ConfigurationError
from minisched.instance_lock import instance_lock, is_held
from minisched.operations.authentication import OnlyRuns


def test_it_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    secret = kept_secret(path, random_bytes=32)
    assert len(secret) >= 40
    assert kept_secret(path, random_bytes=32) == secret == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("cut", ["", "\n", "abc"])
def test_one_that_was_cut_off_is_made_anew(tmp_path: Path, cut: str) -> None:
    """An empty token would let everybody in who shows an empty one."""
    path = tmp_path / "token"
    path.write_text(cut)
    assert len(kept_secret(path, random_bytes=32)) >= 40


def test_all_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "token"
    pid = os.getpid()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: _made_by_a_process(path), range(8)))
    assert len(found) == 1
    assert os.getpid() == pid
    assert [found.name for found in tmp_path.iterdir()] == ["token"]


def _made_by_a_process(path: Path) -> str:
    import subprocess
    import sys

    program = "import sys; from pathlib import Path; from minisched.app.kept_secret import kept_secret; "
    program += "print(kept_secret(Path(sys.argv[1]), random_bytes=32))"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_nobody_is_let_in_by_an_empty_token() -> None:
    with pytest.raises(ConfigurationError):
        OnlyRuns("")
    runs = OnlyRuns("a token that is long enough")
    assert runs.remembered("Bearer ") is None
    assert runs.remembered("Bearer") is None
    assert runs.remembered("Bearer a token that is long enough") is not None


def test_whether_a_server_has_a_directory_can_be_asked_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    assert not is_held(path)
    with instance_lock(path):
        assert is_held(path)
    assert path.exists()
    assert not is_held(path)
