"""A secret in a file appears whole or not at all, and is made once."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.parametrize("cut", [None, "", "abc"])
def test_all_who_make_it_at_once_get_the_same(tmp_path: Path, cut: str | None) -> None:
    path = tmp_path / "token"
    if cut is not None:
        path.write_text(cut)
    makers = [_ready_to_make(path) for _ in range(8)]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.close()
    found = {_answer(maker) for maker in makers}
    assert found == {path.read_text()}
    assert [found.name for found in tmp_path.iterdir()] == ["token"]


def _ready_to_make(path: Path) -> subprocess.Popen[str]:
    """A process that makes it as soon as its standard input is closed."""
    program = (
        "import sys; from pathlib import Path; from minisched.app.kept_secret import kept_secret; "
        "print('ready', flush=True); sys.stdin.read(); print(kept_secret(Path(sys.argv[1]), random_bytes=32))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _answer(maker: subprocess.Popen[str]) -> str:
    assert maker.stdout is not None
    with maker.stdout:
        answer = maker.stdout.read()
    assert maker.wait(30) == 0
    return answer.strip()


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
