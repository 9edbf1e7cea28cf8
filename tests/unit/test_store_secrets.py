"""The box of keys: forms, files and refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minisched.domain.errors import ConfigurationError
from minisched.store.secrets import (
    SecretBox,
    drop_old_keys,
    key_id,
    new_key,
    open_secret_box,
    put_new_key_first,
)


@pytest.mark.parametrize("value", ["p", "enc:00000000:x", "ä\U0001f680\ud800", "enc:", "x" * 100_000, "\0"])
def test_what_is_sealed_comes_back(value: str) -> None:
    box = SecretBox([new_key()])
    sealed = box.seal({"password": value, "name": value})
    assert sealed["name"] == value
    assert sealed["password"].startswith(f"enc:{box.id}:")
    assert box.unseal(sealed) == {"password": value, "name": value}


def test_equal_secrets_look_different() -> None:
    box = SecretBox([new_key()])
    assert box.seal_text("same") != box.seal_text("same")


def test_a_value_in_clear_stays_as_it_is() -> None:
    assert SecretBox([new_key()]).unseal({"password": "clear"}) == {"password": "clear"}


def test_a_damaged_value_is_refused() -> None:
    box = SecretBox([new_key()])
    with pytest.raises(ConfigurationError, match="damaged"):
        box.unseal_text(box.seal_text("x")[:-4] + "AAAA")


@pytest.mark.parametrize("key", ["hunter2", "x" * 44, "ä"])
def test_a_key_that_is_none_is_refused_without_being_repeated(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_secret_box(key, tmp_path / "secret.key")
    assert refusal.value.field == "secrets.key"
    assert key not in str(refusal.value)


def test_keys_of_the_settings_win_and_the_first_seals(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    box = open_secret_box(f" {first},\n{second} ", tmp_path / "secret.key")
    assert box.id == key_id(first)
    assert box.unseal_text(SecretBox([second]).seal_text("x")) == "x"
    assert not (tmp_path / "secret.key").exists()


def test_a_key_file_is_made_on_first_use_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    box = open_secret_box(None, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_secret_box("  ", path).id == box.id
    assert [one.name for one in path.parent.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_agree_on_a_key(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(lambda _: open_secret_box(None, path), range(16)))
    assert len({box.id for box in boxes}) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    open_secret_box(None, path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_secret_box(None, path)


def test_a_key_file_that_is_empty_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    with pytest.raises(ConfigurationError, match="no key"):
        open_secret_box(None, path)


def test_a_key_file_is_renewed_in_two_steps(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = open_secret_box(None, path).seal_text("x")
    fresh = put_new_key_first(path)
    both = open_secret_box(None, path)
    assert (both.id, both.unseal_text(sealed)) == (fresh, "x")
    assert drop_old_keys(path) == 1
    with pytest.raises(ConfigurationError):
        open_secret_box(None, path).unseal_text(sealed)
    assert path.stat().st_mode & 0o777 == 0o600
