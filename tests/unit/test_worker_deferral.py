"""Packages whose import is put off: nobody can tell, except by what it costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.worker import deferral

_INIT = """
import heavy_trace
heavy_trace.ran.append(__name__)
from . import inner
from .inner.leaf import Thing
__version__ = "3"
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The packages whose own code has run, in order; `heavy` and its `inner` are deferred."""
    (tmp_path / "heavy" / "inner").mkdir(parents=True)
    (tmp_path / "heavy_trace.py").write_text("ran = []\n")
    (tmp_path / "heavy" / "__init__.py").write_text(_INIT)
    (tmp_path / "heavy" / "inner" / "__init__.py").write_text(
        "import heavy_trace\nheavy_trace.ran.append(__name__)\nfrom .leaf import Thing\nvalue = 5\n"
    )
    (tmp_path / "heavy" / "inner" / "leaf.py").write_text("class Thing: ...\n")
    (tmp_path / "heavy" / "broken").mkdir()
    (tmp_path / "heavy" / "broken" / "__init__.py").write_text("raise ImportError('no such library')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    deferral.defer(["heavy"])
    import heavy_trace  # type: ignore[import-not-found]

    yield heavy_trace.ran
    for name in [name for name in sys.modules if name.split(".")[0] in ("heavy", "heavy_trace")]:
        del sys.modules[name]


def test_importing_packages_and_their_modules_runs_none_of_them(ran: list[str]) -> None:
    from heavy import inner  # type: ignore[import-not-found]
    from heavy.inner.leaf import Thing  # type: ignore[import-not-found]

    assert (inner.__name__, Thing.__name__, ran) == ("heavy.inner", "Thing", [])


def test_the_first_use_runs_it_and_is_answered(ran: list[str]) -> None:
    import heavy
    import heavy.inner  # type: ignore[import-not-found]

    assert heavy.inner.value == 5
    assert ran == ["heavy.inner"]
    assert heavy.__version__ == "3"
    assert ran == ["heavy.inner", "heavy"]
    assert heavy.Thing is heavy.inner.Thing is sys.modules["heavy.inner.leaf"].Thing


def test_names_from_a_package_that_has_run_are_its_own(ran: list[str]) -> None:
    from heavy.inner import Thing, value

    assert (value, ran) == (5, ["heavy.inner"])
    assert Thing is sys.modules["heavy.inner.leaf"].Thing
    with pytest.raises(ImportError):
        exec("from heavy.inner import missing", {})


def test_looking_at_every_module_runs_nothing(ran: list[str]) -> None:
    import heavy

    assert not hasattr(heavy, "__wrapped__")
    assert heavy.__path__
    assert ran == []


def test_a_package_that_cannot_be_imported_says_so_at_each_use(ran: list[str]) -> None:
    from heavy import broken

    for _ in range(2):
        with pytest.raises(ImportError, match="no such library"):
            getattr(broken, "anything")  # noqa: B009


def test_other_packages_are_imported_as_ever(ran: list[str]) -> None:
    deferral.defer(["nothing"])
    import json.decoder

    assert type(json.decoder) is type(json)
    assert ran == []
