"""Advice on a runtime that lacks a connector's packages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from minisched.worker import causes, own_runtime
from minisched.worker.run_log import FailureMemory


class MissingPluginException(Exception):
    """Named and made as the package's."""

    def __init__(self, plugin: str) -> None:
        super().__init__(f"You might be missing the plugin [{plugin}]. Try: pip install ...")
        self.plugin = plugin


@pytest.fixture(autouse=True)
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(own_runtime, "_extras_of_package", lambda: ["postgres", "snowflake", "sap-hana", "mongo"])
    return tmp_path


def note_manifest(directory: Path, **changes: Any) -> None:
    manifest = {"name": "default", "version": "2.0.7.0", "extras": ["postgres", "mysql"], **changes}
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("connector", "extra"),
    [("snowflake", "snowflake"), ("snowflake-usage", "snowflake"), ("saphana", "sap-hana"), ("mongodb", "EXTRA")],
)
def test_the_command_names_the_runtime_and_all_its_extras(prefix: Path, connector: str, extra: str) -> None:
    note_manifest(prefix)

    description = causes.describe(MissingPluginException(connector), FailureMemory())

    assert description["message"].startswith(f"You might be missing the plugin [{connector}]")
    assert description["hint"].endswith(
        f": minisched runtime create default --replace --version 2.0.7.0 --extras postgres,mysql,{extra}"
    )


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"name": "x"}', '{"name": "x", "version": "1", "extras": null}'])
def test_a_runtime_of_somebody_else_has_no_command(prefix: Path, manifest: str | None) -> None:
    if manifest is not None:
        (prefix / "manifest.json").write_text(manifest)

    assert own_runtime.advice_for_extra("snowflake") == "Add the extra snowflake to the runtime."
    assert own_runtime.advice_for_extra("mongodb") == "Add the extra of this connector to the runtime."
