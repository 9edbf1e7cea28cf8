"""The data directory is private, or it is not used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from minisched.domain.errors import ConfigurationError
from minisched.settings import prepare_data_dir


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = prepare_data_dir(tmp_path / "share" / "minisched")

    assert mode_of(path) == 0o700


def test_a_private_directory_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    (path / "something").touch()

    assert prepare_data_dir(path) == path
    assert mode_of(path) == 0o700


@pytest.mark.parametrize("content", [[], ["minisched.db", "notes.txt"], ["runs"]])
def test_a_directory_of_ours_that_is_open_is_closed(tmp_path: Path, content: list[str]) -> None:
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(0o755)
    for name in content:
        (path / name).touch()

    prepare_data_dir(path)

    assert mode_of(path) == 0o700


def test_an_open_directory_with_foreign_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.mkdir()
    path.chmod(0o755)
    (path / "letter.txt").touch()

    with pytest.raises(ConfigurationError, match="open to other users"):
        prepare_data_dir(path)

    assert mode_of(path) == 0o755


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(ConfigurationError, match="belongs to another user"):
        prepare_data_dir(tmp_path)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(ConfigurationError, match="is not a directory"):
        prepare_data_dir(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="cannot be used: Not a directory"):
        prepare_data_dir(tmp_path / "data" / "below")
