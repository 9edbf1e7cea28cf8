"""Files of a launcher are named after its runtime, whatever the runtime is called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minisched.executor.launchers import label_of


@given(st.text(max_size=300))
def test_every_runtime_has_a_short_and_plain_label(name: str) -> None:
    label = label_of(name)
    assert 0 < len(label) <= 40
    assert label.isascii()
    assert label.replace("_", "a").isalnum()


def test_long_paths_that_end_alike_are_told_apart() -> None:
    tail = "/" + "x" * 60 + "/bin/python"
    assert label_of("/one" + tail) != label_of("/two" + tail)


def test_a_name_is_its_own_label() -> None:
    assert label_of("default") == "default"
